// Rewrites one source file so that it holds all of its mutants at once, each behind a switch.
//
// A build for each mutant would take weeks. `a < b` becomes `(khpMutant(17) ? a <= b : a < b)`, the package is built
// once, and an environment variable of the process says which mutant lives. Lines keep their numbers, so that an error
// of the compiler leads to the mutants that it is about.

internal import SwiftOperators
internal import SwiftParser
internal import SwiftSyntax

package struct MutatedSource {
    package let mutants: [Mutant]
    /// The source with the mutants in it.
    package let text: String
    /// The number behind its last mutant. A mutant that is dropped keeps its own, so that other files stay as they are,
    /// and built.
    package let nextNumber: Int
    /// The same of the mutants that `guards.txt` writes.
    let nextWritten: Int

    /// Mutants that `guards.txt` writes have numbers behind all others: one more leaves other files as they are.
    static let firstWritten = 100_000

    /// - Parameters:
    ///   - path: the file's path within the package, as it stands in the mutants' ids.
    ///   - firstNumber: the number of its first mutant.
    ///   - dropped: ids of mutants that do not compile.
    ///   - written: the mutants that `guards.txt` writes for it.
    ///   - firstWritten: the number of the first of them.
    init(
        path: String,
        source: String,
        firstNumber: Int,
        dropped: Set<String>,
        written: [GuardTable.Written] = [],
        firstWritten: Int = MutatedSource.firstWritten
    ) {
        let parsed = Parser.parse(source: source)
        let tree = OperatorTable.standardOperators.foldAll(parsed) { _ in }
        let finder = MutantFinder(path: path, tree: tree, written: written)
        var number = firstNumber
        var writtenNumber = firstWritten
        var mutants: [Mutant] = []
        var alternatives: [SyntaxIdentifier: [Alternative]] = [:]
        for var found in finder.found {
            if found.mutant.kind == .written {
                found.mutant.number = writtenNumber
                writtenNumber += 1
            } else {
                found.mutant.number = number
                number += 1
            }
            if dropped.contains(found.mutant.id) { continue }
            mutants.append(found.mutant)
            alternatives[found.node, default: []].append(Alternative(number: found.mutant.number, form: found.form))
        }
        self.mutants = mutants
        self.nextNumber = number
        self.nextWritten = writtenNumber
        self.text = Self.render(Syntax(tree), alternatives)
    }

    private struct Alternative {
        var number: Int
        var form: MutantFinder.Form
    }

    /// Only one mutant lives at a time, so what replaces a node is the plain text, and the node's own text goes on to
    /// hold the mutants within it.
    private static func render(_ node: Syntax, _ alternatives: [SyntaxIdentifier: [Alternative]]) -> String {
        if let token = node.as(TokenSyntax.self) { return token.description }
        let whole = node.children(viewMode: .sourceAccurate).map { Self.render($0, alternatives) }.joined()
        guard let own = alternatives[node.id] else { return whole }
        let leading = node.leadingTrivia.description
        let trailing = node.trailingTrivia.description
        var body = String(whole.utf8.dropFirst(leading.utf8.count).dropLast(trailing.utf8.count)) ?? whole
        var choices = ""
        var prefix = ""
        for alternative in own {
            switch alternative.form {
            case .replacement(let text): choices += "khpMutant(\(alternative.number)) ? \(text) : "
            case .pattern(let text):
                choices += "khpMutant(\(alternative.number)) ? \(text) : "
                if !body.hasPrefix("{ if ") { body = "{ if \(body) { true } else { false } }()" }
            case .unmetBinding: prefix += "!khpMutant(\(alternative.number)), "
            case .leftOut: prefix += "if !khpMutant(\(alternative.number)) { "
            }
        }
        if !choices.isEmpty { return leading + "(" + choices + body + ")" + trailing }
        let suffix = own.contains { if case .leftOut = $0.form { true } else { false } } ? " }" : ""
        return leading + prefix + body + suffix + trailing
    }

    /// The file that each module gets: the switch, and a record of the mutants that a process came by.
    package static let switchFile = """
        // Written by Tests/Mutations.
        #if canImport(Glibc)
        import Glibc
        #elseif canImport(Musl)
        import Musl
        #else
        import Darwin
        #endif

        private let chosen: Int = getenv("KHP_MUTANT").flatMap { Int(String(cString: $0)) } ?? -1

        /// One byte for each mutant, in a file that the processes of a test share.
        nonisolated(unsafe) private let reached: UnsafeMutablePointer<UInt8>? = {
            guard let path = getenv("KHP_MUTANT_REACHED") else { return nil }
            let file = open(path, O_RDWR)
            guard file >= 0 else { return nil }
            let length = lseek(file, 0, SEEK_END)
            let memory = mmap(nil, Int(length), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
            close(file)
            guard let memory, memory != MAP_FAILED else { return nil }
            return memory.assumingMemoryBound(to: UInt8.self)
        }()

        /// `true` where the mutant of this number is the one that lives.
        public func khpMutant(_ number: Int) -> Bool {
            if let reached { reached[number] = 1 }
            return number == chosen
        }

        """
}
