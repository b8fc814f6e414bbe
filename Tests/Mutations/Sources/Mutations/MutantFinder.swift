// Finds the places of a file that a mutant may change.

internal import SwiftSyntax

/// Walks a file and notes each mutant with the node that it changes.
final class MutantFinder: SyntaxVisitor {
    /// How the node changes.
    enum Form {
        /// An expression gives way to this text.
        case replacement(String)
        /// `case PATTERN = VALUE` in a condition gives way to this text.
        case pattern(String)
        /// A condition that binds names is never met.
        case unmetBinding
        /// A statement is left out.
        case leftOut
    }

    struct Found {
        var node: SyntaxIdentifier
        var form: Form
        var mutant: Mutant
    }

    private(set) var found: [Found] = []
    private let path: String
    private let locations: SourceLocationConverter
    private var ordinals: [String: Int] = [:]

    /// - Parameter written: the mutants that `guards.txt` writes for this file.
    init(path: String, tree: Syntax, written: [GuardTable.Written] = []) {
        self.path = path
        self.locations = SourceLocationConverter(fileName: path, tree: tree)
        super.init(viewMode: .sourceAccurate)
        self.walk(tree)
        if !written.isEmpty { self.noteWritten(written, in: tree) }
    }

    /// They come last, so that the others keep their places.
    private func noteWritten(_ written: [GuardTable.Written], in node: Syntax) {
        if node.is(ExprSyntax.self) {
            let text = node.trimmedDescription
            let scope = "\(Mutant.shortened(self.path)) \(Self.scope(node).name)"
            for change in written where change.before == text && scope.hasPrefix(change.place) {
                self.note(.written, node, .replacement(change.after), after: change.after)
            }
        }
        for child in node.children(viewMode: .sourceAccurate) { self.noteWritten(written, in: child) }
    }

    // MARK: Operators

    override func visit(_ node: InfixOperatorExprSyntax) -> SyntaxVisitorContinueKind {
        guard let token = node.operator.as(BinaryOperatorExprSyntax.self)?.operator.text else { return .visitChildren }
        func swap(_ kind: Mutant.Kind, _ other: String) {
            guard let left = Self.onOneLine(node.leftOperand), let right = Self.onOneLine(node.rightOperand) else {
                return
            }
            self.note(kind, Syntax(node), .replacement("\(left) \(other) \(right)"), after: other, before: token)
        }
        switch token {
        case "<": swap(.boundary, "<=")
        case "<=": swap(.boundary, "<")
        case ">": swap(.boundary, ">=")
        case ">=": swap(.boundary, ">")
        case "==": swap(.equality, "!=")
        case "!=": swap(.equality, "==")
        case "&&": swap(.connective, "||")
        case "||": swap(.connective, "&&")
        case "+", "-", "&+", "&-":
            guard node.rightOperand.is(IntegerLiteralExprSyntax.self), let left = Self.onOneLine(node.leftOperand)
            else {
                break
            }
            swap(.sign, token.hasSuffix("+") ? token.dropLast() + "-" : token.dropLast() + "+")
            self.note(.step, Syntax(node), .replacement(left), after: left)
        case "+=", "-=", "&+=", "&-=":
            if node.rightOperand.is(IntegerLiteralExprSyntax.self) {
                self.note(
                    .step,
                    Syntax(node.rightOperand),
                    .replacement("0"),
                    after: "0",
                    before: node.trimmedDescription
                )
            }
        default: break
        }
        return .visitChildren
    }

    override func visit(_ node: PrefixOperatorExprSyntax) -> SyntaxVisitorContinueKind {
        if node.operator.text == "!", let operand = Self.onOneLine(node.expression) {
            self.note(.negation, Syntax(node), .replacement(operand), after: operand)
        }
        return .visitChildren
    }

    override func visit(_ node: TernaryExprSyntax) -> SyntaxVisitorContinueKind {
        if let condition = Self.onOneLine(node.condition) {
            self.note(.negation, Syntax(node.condition), .replacement("!(\(condition))"), after: "!(\(condition))")
        }
        return .visitChildren
    }

    // MARK: Conditions

    override func visit(_ node: GuardStmtSyntax) -> SyntaxVisitorContinueKind {
        // A guard that always refuses is noticed by whatever works: only its removal asks a question.
        for element in node.conditions { self.noteCondition(element, unmet: false) }
        return .visitChildren
    }

    override func visit(_ node: IfExprSyntax) -> SyntaxVisitorContinueKind {
        for element in node.conditions { self.noteCondition(element, unmet: true) }
        return .visitChildren
    }

    override func visit(_ node: WhereClauseSyntax) -> SyntaxVisitorContinueKind {
        self.note(.met, Syntax(node.condition), .replacement("true"), after: "true")
        self.note(.unmet, Syntax(node.condition), .replacement("false"), after: "false")
        return .visitChildren
    }

    private func noteCondition(_ element: ConditionElementSyntax, unmet: Bool) {
        switch element.condition {
        case .expression(let expression):
            self.note(.met, Syntax(expression), .replacement("true"), after: "true")
            if unmet { self.note(.unmet, Syntax(expression), .replacement("false"), after: "false") }
        case .matchingPattern(let pattern):
            let binds = pattern.pattern.tokens(viewMode: .sourceAccurate).contains {
                $0.tokenKind == .keyword(.let) || $0.tokenKind == .keyword(.var)
            }
            if !binds {
                self.note(.met, Syntax(pattern), .pattern("true"), after: "true")
                if unmet { self.note(.unmet, Syntax(pattern), .pattern("false"), after: "false") }
            } else if unmet {
                self.note(.unmet, Syntax(pattern), .unmetBinding, after: "false")
            }
        case .optionalBinding(let binding):
            if unmet { self.note(.unmet, Syntax(binding), .unmetBinding, after: "false") }
        default: break
        }
    }

    // MARK: Numbers and times

    private static let times: Set<String> = [
        "nanoseconds", "microseconds", "milliseconds", "seconds", "minutes", "hours",
    ]

    override func visit(_ node: FunctionCallExprSyntax) -> SyntaxVisitorContinueKind {
        let name: String
        if let member = node.calledExpression.as(MemberAccessExprSyntax.self) {
            name = member.declName.baseName.text
        } else {
            name = node.calledExpression.trimmedDescription
        }
        // They hold our own bugs, which no peer and no test causes.
        if ["assert", "precondition", "assertionFailure", "preconditionFailure"].contains(name) {
            return .skipChildren
        }
        if Self.times.contains(name), let value = node.arguments.first?.expression, node.arguments.count == 1,
            let literal = value.as(IntegerLiteralExprSyntax.self), literal.literal.text != "0"
        {
            self.note(
                .time,
                Syntax(value),
                .replacement("\(literal.literal.text)000"),
                after: "×1000",
                before: node.trimmedDescription
            )
        }
        if name == "min" || name == "max", node.calledExpression.is(DeclReferenceExprSyntax.self),
            node.arguments.count == 2, node.trailingClosure == nil, let arguments = Self.onOneLine(node.arguments)
        {
            let other = name == "min" ? "max" : "min"
            self.note(.extremum, Syntax(node), .replacement("\(other)(\(arguments))"), after: other, before: name)
        }
        return .visitChildren
    }

    override func visit(_ node: InitializerClauseSyntax) -> SyntaxVisitorContinueKind {
        // The values of an enum's cases are literals by rule.
        if node.parent?.is(EnumCaseElementSyntax.self) == true { return .skipChildren }
        if Self.isNumber(node.value), node.value.trimmedDescription != "0", let text = Self.onOneLine(node.value) {
            self.note(.doubled, Syntax(node.value), .replacement("(\(text)) * 2"), after: "(\(text)) * 2")
            self.note(.oneMore, Syntax(node.value), .replacement("(\(text)) + 1"), after: "(\(text)) + 1")
            return .skipChildren
        }
        return .visitChildren
    }

    private static func isNumber(_ node: ExprSyntax) -> Bool {
        if node.is(IntegerLiteralExprSyntax.self) { return true }
        guard let infix = node.as(InfixOperatorExprSyntax.self) else { return false }
        return infix.operator.trimmedDescription == "*" && Self.isNumber(infix.leftOperand)
            && Self.isNumber(infix.rightOperand)
    }

    // MARK: Exits

    override func visit(_ node: ThrowStmtSyntax) -> SyntaxVisitorContinueKind {
        self.noteExit(Syntax(node))
        return .visitChildren
    }

    override func visit(_ node: ReturnStmtSyntax) -> SyntaxVisitorContinueKind {
        self.noteExit(Syntax(node))
        return .visitChildren
    }

    /// A `throw` or `return` behind other statements. One that stands alone in an `if` goes with its condition, and one
    /// in a `guard` has to stay.
    private func noteExit(_ node: Syntax) {
        guard let item = node.parent?.as(CodeBlockItemSyntax.self),
            let list = item.parent?.as(CodeBlockItemListSyntax.self)
        else { return }
        let owner = list.parent?.is(CodeBlockSyntax.self) == true ? list.parent?.parent : list.parent
        guard let owner else { return }
        let mayGo =
            owner.is(SwitchCaseSyntax.self) || owner.is(CatchClauseSyntax.self)
            || (owner.is(IfExprSyntax.self) && list.count > 1)
        guard mayGo else { return }
        if node.as(ReturnStmtSyntax.self).map({ $0.expression == nil }) == true, Self.isLast(node) {
            // It keeps its number, so that the names of the others stay.
            _ = self.nextName(.exit, Self.scope(node).name)
        } else {
            self.note(.exit, node, .leftOut, after: "left out")
        }
    }

    /// True for a statement behind which its function has nothing left to do: leaving it out changes nothing.
    private static func isLast(_ node: Syntax) -> Bool {
        var current = node
        while let parent = current.parent {
            if let item = current.as(CodeBlockItemSyntax.self),
                parent.as(CodeBlockItemListSyntax.self)?.last?.id != item.id
            {
                return false
            }
            if parent.is(ForStmtSyntax.self) || parent.is(WhileStmtSyntax.self) || parent.is(RepeatStmtSyntax.self) {
                return false
            }
            if parent.is(ClosureExprSyntax.self) || parent.is(DeclSyntax.self) { return true }
            current = parent
        }
        return true
    }

    // MARK: Notes

    private func note(_ kind: Mutant.Kind, _ node: Syntax, _ form: Form, after: String, before: String? = nil) {
        let scope = Self.scope(node)
        self.found.append(
            Found(
                node: node.id,
                form: form,
                mutant: Mutant(
                    number: -1,
                    id: self.nextName(kind, scope.name),
                    file: self.path,
                    kind: kind,
                    lines: self.lines(node),
                    scope: self.lines(scope.node),
                    before: before.map { $0 == node.trimmedDescription ? $0 : "\(Self.brief(node)) [\($0)]" }
                        ?? Self.brief(node),
                    after: after,
                    isGuard: kind != .written
                        && ([.doubled, .oneMore, .time, .exit].contains(kind) || Self.way(node) != nil),
                    isWeaker: Self.isWeaker(kind, Self.way(node))
                )
            )
        )
    }

    /// The name of the next mutant of a kind in a declaration.
    private func nextName(_ kind: Mutant.Kind, _ scope: String) -> String {
        let key = "\(scope) \(kind.rawValue)"
        let ordinal = self.ordinals[key, default: 0] + 1
        self.ordinals[key] = ordinal
        return "\(Mutant.shortened(self.path)) \(key) \(ordinal)"
    }

    /// Where a condition decides whether to leave.
    private enum Way {
        /// It has to be met to go on.
        case onward
        /// It is met to leave.
        case out
    }

    private static func way(_ node: Syntax) -> Way? {
        var current = node
        while let parent = current.parent, !parent.is(CodeBlockItemSyntax.self) {
            if parent.is(ConditionElementListSyntax.self) {
                if parent.parent?.is(GuardStmtSyntax.self) == true { return .onward }
                guard let body = parent.parent?.as(IfExprSyntax.self)?.body else { return nil }
                let leaves = body.statements.contains {
                    $0.item.is(ThrowStmtSyntax.self) || $0.item.is(ReturnStmtSyntax.self)
                }
                return leaves ? .out : nil
            }
            current = parent
        }
        return nil
    }

    private static func isWeaker(_ kind: Mutant.Kind, _ way: Way?) -> Bool {
        switch kind {
        case .met: way == .onward
        case .unmet: way == .out
        case .boundary, .connective, .extremum, .doubled, .oneMore, .time, .exit, .written: true
        case .equality, .negation, .sign, .step: false
        }
    }

    private func lines(_ node: Syntax) -> ClosedRange<Int> {
        let first = self.locations.location(for: node.positionAfterSkippingLeadingTrivia).line
        let last = self.locations.location(for: node.endPositionBeforeTrailingTrivia).line
        return first...max(first, last)
    }

    private static func brief(_ node: Syntax) -> String {
        let text = node.trimmedDescription.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return text.count > 90 ? text.prefix(87) + "…" : text
    }

    /// The text of a node on one line, or `nil` where that would change its meaning.
    private static func onOneLine(_ node: some SyntaxProtocol) -> String? {
        let text = node.trimmedDescription
        guard text.contains(where: \.isNewline) else { return text }
        if text.contains("//") || text.contains("/*") || text.contains("\"\"\"") { return nil }
        let hasStatements = node.tokens(viewMode: .sourceAccurate).contains { token in
            token.parent?.as(ClosureExprSyntax.self).map { $0.statements.count > 1 } ?? false
        }
        if hasStatements { return nil }
        return text.split(whereSeparator: \.isNewline).map { $0.drop(while: { $0 == " " }) }.joined(separator: " ")
    }

    /// The nearest declaration around a node that has a name, with the names of the types around it.
    private static func scope(_ node: Syntax) -> (name: String, node: Syntax) {
        var names: [String] = []
        var nearest: Syntax?
        var current = node.parent
        while let here = current {
            if let name = Self.name(here) {
                // A variable within a function belongs to the function.
                let isLocal = here.is(VariableDeclSyntax.self) && here.parent?.is(CodeBlockItemSyntax.self) == true
                if !isLocal || here.parent?.parent?.parent?.is(SourceFileSyntax.self) == true {
                    names.append(name)
                    if nearest == nil { nearest = here }
                }
            }
            current = here.parent
        }
        return (names.reversed().joined(separator: "."), nearest ?? node.root)
    }

    private static func name(_ node: Syntax) -> String? {
        if let function = node.as(FunctionDeclSyntax.self) {
            let labels = function.signature.parameterClause.parameters.map { "\($0.firstName.text):" }.joined()
            return "\(function.name.text)(\(labels))"
        }
        if let initializer = node.as(InitializerDeclSyntax.self) {
            let labels = initializer.signature.parameterClause.parameters.map { "\($0.firstName.text):" }.joined()
            return "init(\(labels))"
        }
        if let variable = node.as(VariableDeclSyntax.self) {
            return variable.bindings.first?.pattern.trimmedDescription
        }
        if node.is(SubscriptDeclSyntax.self) { return "subscript" }
        if node.is(DeinitializerDeclSyntax.self) { return "deinit" }
        if let type = node.as(StructDeclSyntax.self) { return type.name.text }
        if let type = node.as(ClassDeclSyntax.self) { return type.name.text }
        if let type = node.as(EnumDeclSyntax.self) { return type.name.text }
        if let type = node.as(ActorDeclSyntax.self) { return type.name.text }
        if let type = node.as(ProtocolDeclSyntax.self) { return type.name.text }
        if let type = node.as(ExtensionDeclSyntax.self) { return type.extendedType.trimmedDescription }
        return nil
    }
}
