// A new parser has a row of growth, or a reason that it needs none; and so has a new function of one that is known.
// Parsers are found in the sources, by the types of what they take.

import Foundation
import Testing

@Suite("Each parser of a peer's bytes has rows of growth")
struct ParserTableTests {
    /// The folders whose code reads what peers send, or shows it. The others move bytes to it.
    static let folders = [
        "Sources/KHPProtocol", "Sources/KHPServer", "Sources/KHPHTTP2", "Sources/KHPJSON", "Sources/KHPWebSocket",
        "Sources/KHPClient", "Sources/KHPNIOHTTP1", "Sources/KHPHummingbird", "Command/Sources",
    ]

    /// The types in a parameter's type that can hold a peer's text or bytes.
    static let carriers: Set<Substring> = [
        "ByteBuffer", "ByteBufferView", "String", "Substring", "StringProtocol", "UnsafeRawBufferPointer",
        "HeadFields", "RequestHead", "ResponseHead", "HandshakeResponse", "HandshakeRequest", "HTTPFields",
        "HTTPField", "Data", "HPACKHeaders", "WebSocketMessage", "MessagePiece",
    ]

    private static let modifiers: Set<Substring> = [
        "public", "package", "internal", "static", "mutating", "final", "consuming", "borrowing", "nonisolated",
        "override", "convenience", "required",
    ]

    // MARK: Reading sources

    /// A line of code as its declaration's words, without attributes and modifiers.
    private struct Line {
        let indentation: Int
        let words: ArraySlice<Substring>
        let isPrivate: Bool

        init(_ text: Substring) {
            self.indentation = text.prefix { $0 == " " }.count
            let words = text.split(separator: " ")
            let start = words.firstIndex {
                !ParserTableTests.modifiers.contains($0) && !$0.hasPrefix("@") && !Self.hiding.contains($0)
            }
            self.words = words[(start ?? words.endIndex)...]
            self.isPrivate = words[..<(start ?? words.endIndex)].contains {
                $0 != "indirect" && Self.hiding.contains($0)
            }
        }

        private static let hiding: Set<Substring> = ["private", "fileprivate", "indirect"]
        private static let kinds: Set<Substring> = ["struct", "class", "enum", "extension", "protocol", "actor"]

        /// The name of the type that begins here.
        var type: String? {
            guard let first = self.words.first, Self.kinds.contains(first), let name = self.words.dropFirst().first
            else { return nil }
            return String(name.prefix { $0.isLetter || $0.isNumber || $0 == "." || $0 == "_" })
        }

        /// The name of the function that begins here.
        var function: String? {
            guard let first = self.words.first else { return nil }
            if first == "func", let name = self.words.dropFirst().first {
                let word = name.prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                return String(word.isEmpty ? name.prefix { $0 != "(" } : word)
            }
            if first.hasPrefix("subscript(") { return "subscript" }
            let isInitializer = ["init(", "init?(", "init<"].contains { first.hasPrefix($0) }
            return isInitializer ? "init" : nil
        }
    }

    /// The parameters of a function that begins at a line.
    private static func parameters(_ lines: ArraySlice<Substring>) -> [String] {
        var depth = 0
        var parameters = [""]
        reading: for line in lines {
            for character in line {
                switch character {
                case "(", "[", "<":
                    depth += 1
                    if depth == 1, character == "(" { continue }
                case ">" where parameters[parameters.count - 1].hasSuffix("-"): break
                case ")", "]", ">":
                    depth -= 1
                    if depth == 0, character == ")" { break reading }
                case "," where depth == 1:
                    parameters.append("")
                    continue
                default: break
                }
                if depth > 0 { parameters[parameters.count - 1].append(character) }
            }
        }
        return parameters
    }

    /// True for a parameter that can hold text or bytes. Functions hold none.
    private static func isCarrier(_ parameter: String) -> Bool {
        guard let colon = parameter.firstIndex(of: ":"), !parameter.contains("->") else { return false }
        let type = parameter[parameter.index(after: colon)...].prefix { $0 != "=" }
        return type.contains("UInt8]") || type.contains("UInt8>")
            || type.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.contains { Self.carriers.contains($0) }
    }

    /// A function that takes text or bytes, and the type that it is of, which is empty outside of types.
    struct Parser: Hashable, Comparable, CustomStringConvertible {
        var type: String
        var function: String

        /// The name that it has in the table.
        var name: String { self.type.isEmpty ? self.function : self.type }
        var description: String { self.type.isEmpty ? self.function : "\(self.type).\(self.function)" }

        static func < (a: Parser, b: Parser) -> Bool { a.description < b.description }
    }

    /// Functions that take text or bytes and are not private. Those of private types are among them.
    static func parsers(in text: String) -> Set<Parser> {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        var enclosing: [(indentation: Int, name: String)] = []
        var found: Set<Parser> = []
        for (index, text) in lines.enumerated() where text.contains(where: { $0 != " " }) {
            let line = Line(text)
            if let type = line.type {
                enclosing.removeAll { $0.indentation >= line.indentation }
                enclosing.append((line.indentation, type))
            } else if let function = line.function, !line.isPrivate,
                Self.parameters(lines[index...]).contains(where: { Self.isCarrier($0) })
            {
                let around = enclosing.filter { $0.indentation < line.indentation }
                found.insert(Parser(type: around.map(\.name).joined(separator: "."), function: function))
            }
        }
        return found
    }

    private static let sources: Set<Parser> = {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        var found: Set<Parser> = []
        for folder in folders {
            let enumerator = FileManager.default.enumerator(
                at: root.appending(path: folder),
                includingPropertiesForKeys: nil
            )
            for case let file as URL in enumerator ?? FileManager.DirectoryEnumerator() {
                guard file.pathExtension == "swift", let text = try? String(contentsOf: file, encoding: .utf8) else {
                    continue
                }
                found.formUnion(Self.parsers(in: text))
            }
        }
        return found
    }()

    // MARK: Comparing

    @Test("each has a row, or a reason")
    func complete() {
        let found = Set(Self.sources.map(\.name))
        #expect(found.count > 300)
        let exempt = (ParserTable.exempt + ParserTable.commandExempt).flatMap(\.names)
        let elsewhere = Set(ParserTable.elsewhere.keys).union(ParserTable.commandSuites.keys)
        let known = Set(ParserTable.rows.keys).union(elsewhere).union(exempt)
        let missing = found.subtracting(known).sorted()
        #expect(missing.isEmpty, "without a row of growth and without a reason: \(missing)")
        let gone = known.subtracting(found).sorted()
        #expect(gone.isEmpty, "no parser any more: \(gone)")
        let places = [Set(ParserTable.rows.keys), elsewhere, Set(exempt)]
        #expect(Set(exempt).count == exempt.count && places.reduce(0) { $0 + $1.count } == known.count)
    }

    @Test("each function of theirs is listed, so that a new one makes somebody look at its rows")
    func functions() {
        let listed = ParserTable.functions.split(separator: "\n").flatMap { line -> [Parser] in
            let words = line.split(separator: " ")
            let type = words.first == "-" ? "" : String(words.first ?? "")
            return words.dropFirst().map { Parser(type: type, function: String($0)) }
        }
        let missing = Self.sources.subtracting(listed).sorted()
        #expect(
            missing.isEmpty,
            "is there a row of growth for each, in the shapes that cost most? Then list: \(missing)"
        )
        let gone = Set(listed).subtracting(Self.sources).sorted()
        #expect(gone.isEmpty, "no parser any more: \(gone)")
        #expect(Set(listed).count == listed.count)
    }

    @Test("a suite that measures a parser of another module names it")
    func elsewhere() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        for (folder, suites) in [
            ("Tests", ParserTable.elsewhere), ("Command/Tests", ParserTable.commandSuites),
        ] {
            for (parser, suite) in suites {
                let file = root.appending(path: "\(folder)/\(suite).swift")
                let text = try String(contentsOf: file, encoding: .utf8)
                #expect(text.contains("Growth") && text.contains(parser), "\(suite): \(parser)")
            }
        }
    }

    @Test("each row that a parser names is there, and each row is some parser's")
    func rows() {
        let names = GrowthRow.all.map(\.name)
        #expect(Set(names).count == names.count)
        for (parser, beginnings) in ParserTable.rows {
            for beginning in beginnings {
                #expect(names.contains { $0.hasPrefix(beginning) }, "\(parser): \(beginning)")
            }
        }
        let beginnings = ParserTable.rows.values.flatMap { $0 }
        let orphans = names.filter { name in !beginnings.contains { name.hasPrefix($0) } }
        #expect(orphans.allSatisfy { Self.withoutParser.contains($0) }, "\(orphans)")
    }

    /// Rows of work that is no parser's.
    private static let withoutParser: Set<String> = [
        "pings in one read, observed", "Retry-After", "Retry-After: digits",
    ]

    @Test("a new parser is seen, and a new function of a known one")
    func seen() {
        let text = """
            extension Grammar {
                package static func read(
                    _ bytes: inout ByteBuffer,
                    limit: Int
                ) throws(GrammarError) -> Int? { nil }
                mutating func take(_ fields: [HTTPField]?, then: (Int) -> Void) {}
                subscript(name: some StringProtocol) -> Int { 0 }
                private func hidden(_ text: String) {}
                func tell(_ done: @escaping (String) -> Void, _ byte: UInt8) {}
            }

            package func parseAnything(_ text: Substring, _ more: [Int: String]) {}
            struct Quiet { init(count: Int) {} }
            private struct Inner {
                init(_ bytes: ArraySlice<UInt8>) {}
            }
            """
        let found = Self.parsers(in: text).sorted().map(\.description)
        #expect(found == ["Grammar.read", "Grammar.subscript", "Grammar.take", "Inner.init", "parseAnything"])
    }
}
