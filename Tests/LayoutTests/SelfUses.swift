// Finds instance members that are used without `self.`, by the tokens and braces of formatted sources. It knows the scopes
// of names, no types: where a name may stand for something else (a local one, a static one, one of C) it says nothing.

/// The members that types declare in all of their files.
struct MemberTable {
    enum Kind { case property, method, shared, type }

    /// By module and type; a type of another module, which a module extends, has those of all modules.
    private var kinds: [String: [Substring: Set<Kind>]] = [:]

    init(_ files: [SelfUses]) {
        for file in files {
            var reader = file
            reader.read { type, name, kind in
                self.kinds[file.module + type, default: [:]][name, default: []].insert(kind)
                self.kinds[type, default: [:]][name, default: []].insert(kind)
            }
        }
    }

    /// True where a name that stands alone in code of this type can only be an instance member's.
    func isInstance(_ name: Substring, of type: String, in module: String, isCalled: Bool) -> Bool {
        let own = self.kinds[module + type] ?? [:]
        let isOwn = own[""] == [.type]
        guard let kinds = isOwn ? own[name] : self.kinds[type]?[name], !kinds.contains(.shared) else { return false }
        return kinds.contains(.property) || isCalled
    }
}

/// One file's tokens, read in order.
struct SelfUses {
    private struct Token {
        var text: Substring
        /// True where a colon follows without a blank, as it does behind a label.
        var isLabel = false
        var line = 0

        var isWord: Bool {
            self.text.utf8.first.map { $0 == 0x5F || $0 >= 0x61 && $0 <= 0x7A || Self.isCapital($0) } ?? false
        }
        var isCapital: Bool { self.text.utf8.first.map(Self.isCapital) ?? false }

        private static func isCapital(_ byte: UInt8) -> Bool { 0x41...0x5A ~= byte }
    }

    private enum ScopeKind { case type, member, block }

    private struct Scope {
        var kind: ScopeKind
        var type: String
        var isShared = false
        var names: Set<Substring> = []
        /// Names that a condition, a loop or a pattern binds for the next block.
        var pending: Set<Substring> = []
        /// How many parentheses were open around the brace.
        var parentheses = 0
    }

    private let path: String
    /// The folder of the file's module, with a slash.
    let module: String
    private let tokens: [Token]
    private var index = 0
    private var scopes: [Scope] = []
    private var parentheses = 0
    /// True where the braces of the property that is declared hold no `self`.
    private var isNextShared = false

    init(_ file: SourceFile) {
        self.path = file.path
        let folders = file.path.split(separator: "/").dropLast()
        self.module =
            folders.prefix(folders.contains("Sources") && folders.first != "Sources" ? 3 : 2)
            .joined(separator: "/") + "/"
        self.tokens = Self.tokens(of: file.code(withInterpolations: true))
    }

    // MARK: Tokens

    private static func tokens(of code: String) -> [Token] {
        var tokens: [Token] = []
        var line = 1
        let bytes = code.utf8
        var index = bytes.startIndex
        func isWordByte(_ byte: UInt8) -> Bool {
            byte == 0x5F || 0x61...0x7A ~= byte || 0x41...0x5A ~= byte || 0x30...0x39 ~= byte
        }
        while index < bytes.endIndex {
            let byte = bytes[index]
            var end = bytes.index(after: index)
            if isWordByte(byte) {
                while end < bytes.endIndex, isWordByte(bytes[end]) { end = bytes.index(after: end) }
                let isLabel = end < bytes.endIndex && bytes[end] == UInt8(ascii: ":")
                tokens.append(Token(text: code[index..<end], isLabel: isLabel, line: line))
            } else if byte == UInt8(ascii: "\n") {
                tokens.append(Token(text: code[index..<end], line: line))
                line += 1
            } else if byte != UInt8(ascii: " "), byte != UInt8(ascii: "`") {
                tokens.append(Token(text: code[index..<end], line: line))
            }
            index = end
        }
        return tokens
    }

    private func text(_ place: Int) -> Substring {
        self.tokens.indices.contains(place) ? self.tokens[place].text : "\n"
    }

    // MARK: Reading

    /// The uses of instance members without `self.`.
    func uses(of members: MemberTable) -> [String] {
        var uses: [String] = []
        let (path, module) = (self.path, self.module)
        var reader = self
        reader.read(use: { token, type, isCalled in
            guard members.isInstance(token.text, of: type, in: module, isCalled: isCalled) else { return }
            uses.append("\(path): \(token.text) of \(type), line \(token.line)")
        })
        return uses
    }

    mutating func read(member: (_ type: String, _ name: Substring, _ kind: MemberTable.Kind) -> Void) {
        self.read(member: member, use: { _, _, _ in })
    }

    private mutating func read(
        member: (_ type: String, _ name: Substring, _ kind: MemberTable.Kind) -> Void = { _, _, _ in },
        use: (_ token: Token, _ type: String, _ isCalled: Bool) -> Void
    ) {
        while self.index < self.tokens.count {
            let token = self.tokens[self.index]
            let isAfterPoint = self.text(self.index - 1) == "."
            switch token.text {
            case "{": self.open()
            case "}": self.parentheses = self.scopes.popLast()?.parentheses ?? 0
            case "(", "[": self.parentheses += 1
            case ")", "]": self.parentheses -= 1
            case "struct", "class", "enum", "actor", "protocol", "extension":
                if !isAfterPoint, self.tokens.indices.contains(self.index + 1), self.tokens[self.index + 1].isCapital {
                    self.openType(isExtension: token.text == "extension", member)
                }
            case "var", "let":
                if isAfterPoint { break }
                if self.isAtType { self.property(member) } else { self.bind() }
            case "func", "init", "subscript", "deinit":
                if !isAfterPoint, !token.isLabel, self.isAtType || token.text == "func" {
                    self.function(token.text, member)
                }
            case "for":
                if !isAfterPoint, !token.isLabel { self.loop() }
            default:
                if token.isWord, !token.isCapital, !isAfterPoint, !token.isLabel { self.look(at: token, use) }
            }
            self.index += 1
        }
    }

    private var isAtType: Bool { self.scopes.last?.kind == .type && self.parentheses == 0 }

    private func look(at token: Token, _ use: (Token, String, Bool) -> Void) {
        guard let last = self.scopes.last, last.kind != .type, !last.isShared,
            !["@", "#", "\\", "case", "import"].contains(self.text(self.index - 1)), token.text != "error"
        else { return }
        for scope in self.scopes.reversed() {
            if scope.names.contains(token.text) || scope.pending.contains(token.text) { return }
            if scope.kind == .type { break }
        }
        use(token, last.type, ["(", "{"].contains(self.text(self.index + 1)))
    }

    // MARK: Braces

    private mutating func push(_ scope: Scope) {
        var scope = scope
        scope.parentheses = self.parentheses
        self.parentheses = 0
        self.scopes.append(scope)
    }

    private mutating func openType(
        isExtension: Bool,
        _ member: (_ type: String, _ name: Substring, _ kind: MemberTable.Kind) -> Void
    ) {
        var place = self.index + 1
        var name = String(self.text(place))
        while self.text(place + 1) == "." {
            name += "." + self.text(place + 2)
            place += 2
        }
        if !isExtension, let outer = self.scopes.last(where: { $0.kind == .type }) { name = outer.type + "." + name }
        if !isExtension { member(name, "", .type) }
        while place < self.tokens.count, self.text(place) != "{" { place += 1 }
        self.index = place
        self.push(Scope(kind: .type, type: name))
    }

    private mutating func open() {
        let outer = self.scopes.last
        var scope = Scope(kind: .block, type: outer?.type ?? "", isShared: outer?.isShared ?? true)
        scope.names = outer?.pending ?? []
        // A brace within parentheses is a closure's, and the statement goes on behind it.
        if self.parentheses == 0, !self.scopes.isEmpty { self.scopes[self.scopes.count - 1].pending = [] }
        if outer?.kind == .type {
            scope.kind = .member
            scope.isShared = self.isNextShared
            scope.names.formUnion(["newValue", "oldValue"])
        }
        self.isNextShared = false
        // `{ a, b in`, `{ [a] (b, c) -> D in`
        var end = self.index + 1
        while !["in", "\n", "{", "}", "for"].contains(self.text(end)) { end += 1 }
        if self.text(end) == "in" {
            for place in self.index..<end where self.tokens[place].isWord { scope.names.insert(self.text(place)) }
            self.index = end
        }
        self.push(scope)
    }

    // MARK: Declarations

    /// The words before the token, in its line.
    private var wordsBefore: [Substring] {
        var words: [Substring] = []
        var place = self.index - 1
        while place >= 0, !["\n", "{", "}"].contains(self.text(place)) {
            words.append(self.text(place))
            place -= 1
        }
        return words
    }

    private mutating func property(_ member: (String, Substring, MemberTable.Kind) -> Void) {
        let type = self.scopes.last?.type ?? ""
        let isShared = self.wordsBefore.contains { $0 == "static" || $0 == "class" }
        member(type, self.text(self.index + 1), isShared ? .shared : .property)
        // Computed: braces before the end of the line. A value that is given at once knows no `self`.
        var place = self.index + 2
        var depth = 0
        var hasValue = false
        while depth > 0 || !["\n", "{"].contains(self.text(place)), place < self.tokens.count {
            if ["(", "["].contains(self.text(place)) { depth += 1 }
            if [")", "]"].contains(self.text(place)) { depth -= 1 }
            if depth == 0, self.text(place) == "=" { hasValue = true }
            if depth == 0, self.text(place) == ",", !isShared { member(type, self.text(place + 1), .property) }
            place += 1
        }
        self.isNextShared = isShared || hasValue
        self.index = place - 1
    }

    private mutating func function(
        _ keyword: Substring,
        _ member: (String, Substring, MemberTable.Kind) -> Void
    ) {
        let isMember = self.isAtType
        let isShared = self.wordsBefore.contains { $0 == "static" || $0 == "class" }
        if keyword == "func" {
            let name = self.text(self.index + 1)
            if isMember {
                member(self.scopes.last?.type ?? "", name, isShared ? .shared : .method)
            } else if !self.scopes.isEmpty {
                self.scopes[self.scopes.count - 1].names.insert(name)
            }
        }
        var place = self.index + 1
        while !["(", "{"].contains(self.text(place)), place < self.tokens.count { place += 1 }
        var names: Set<Substring> = []
        if self.text(place) == "(" {
            var depth = 0
            repeat {
                if ["(", "["].contains(self.text(place)) { depth += 1 }
                if [")", "]"].contains(self.text(place)) { depth -= 1 }
                if depth == 1, self.tokens[place].isLabel { names.insert(self.text(place)) }
                place += 1
            } while depth > 0 && place < self.tokens.count
        }
        // A requirement of a protocol has no body: its line ends, and no other begins with `->`, `where` or a brace.
        while self.text(place) != "{", place < self.tokens.count {
            if self.text(place) == "\n", !["-", "where", "{", ")", "throws", "async"].contains(self.text(place + 1)),
                !self.isInsideType(place)
            {
                self.index = place - 1
                return
            }
            place += 1
        }
        self.index = place
        if isMember {
            self.push(Scope(kind: .member, type: self.scopes.last?.type ?? "", isShared: isShared, names: names))
        } else {
            self.push(
                Scope(
                    kind: .block,
                    type: self.scopes.last?.type ?? "",
                    isShared: self.scopes.last?.isShared ?? true,
                    names: names
                )
            )
        }
    }

    /// True at a line's end that continues a list of requirements.
    private func isInsideType(_ place: Int) -> Bool { [",", ":", "&"].contains(self.text(place - 1)) }

    // MARK: Names

    /// The names of `let a`, `let (a, b)`, `case let .c(a, b)`.
    private mutating func bind() {
        var names: Set<Substring> = []
        var place = self.index + 1
        if self.text(place) == "." { place += 2 }
        if self.text(place) == "(" {
            var depth = 0
            repeat {
                if self.text(place) == "(" { depth += 1 }
                if self.text(place) == ")" { depth -= 1 }
                if self.tokens[place].isWord, !self.tokens[place].isLabel { names.insert(self.text(place)) }
                place += 1
            } while depth > 0 && place < self.tokens.count
            place -= 1
        } else {
            names.insert(self.text(place))
        }
        self.index = place
        guard !self.scopes.isEmpty else { return }
        if self.isCondition {
            self.scopes[self.scopes.count - 1].pending.formUnion(names)
        } else {
            self.scopes[self.scopes.count - 1].names.formUnion(names)
        }
    }

    /// True where the statement is one whose names count in the block that follows.
    private var isCondition: Bool {
        var place = self.index
        var depth = 0
        while place >= 0 {
            let text = self.text(place)
            if text == ")" || text == "]" { depth += 1 }
            if text == "(" || text == "[" { depth -= 1 }
            if depth <= 0 {
                if ["if", "while", "catch"].contains(text) { return true }
                if ["guard", "switch", "{", "}"].contains(text) { return false }
                // A line's end within a condition stands behind a comma or an operator.
                if text == "\n", ![",", "if", "while", "&", "|", "=", "("].contains(self.text(place - 1)) {
                    return false
                }
            }
            place -= 1
        }
        return false
    }

    private mutating func loop() {
        var place = self.index + 1
        while !["in", "\n"].contains(self.text(place)) {
            if self.tokens[place].isWord, !self.scopes.isEmpty {
                self.scopes[self.scopes.count - 1].pending.insert(self.text(place))
            }
            place += 1
        }
        self.index = place
    }
}
