// A new parser has a row of growth, or a reason that it needs none: parsers are found in the sources, by the types of
// what they take.

import Foundation
import Testing

@Suite("Each parser of a peer's bytes has rows of growth")
struct ParserTableTests {
    /// The modules whose code reads what peers send. The others move bytes to it.
    static let modules = ["KHPProtocol", "KHPServer", "KHPHTTP2", "KHPJSON"]

    /// The types of parameters that can hold a peer's text or bytes.
    static let types: Set<String> = [
        "[UInt8]", "ArraySlice<UInt8>", "ByteBuffer", "String", "Substring", "[String]", "[Substring]",
        "some StringProtocol", "some Sequence<UInt8>", "some Collection<UInt8>", "UnsafeRawBufferPointer",
        "HeadFields", "RequestHead", "ResponseHead", "HandshakeResponse", "HTTPFields", "ByteBufferView",
        "UnsafeBufferPointer<UInt8>",
    ]

    private static let modifiers: Set<Substring> = [
        "public", "package", "internal", "static", "mutating", "final", "consuming", "borrowing", "nonisolated",
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
            self.isPrivate = words[..<(start ?? words.endIndex)].contains { Self.hiding.contains($0) }
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
                return String(name.prefix { $0.isLetter || $0.isNumber || $0 == "_" })
            }
            let isInitializer = ["init(", "init?(", "init<"].contains { first.hasPrefix($0) }
            return isInitializer ? "init" : nil
        }
    }

    /// The types of the parameters of a function that begins at a line.
    private static func parameterTypes(_ lines: ArraySlice<Substring>) -> [String] {
        var depth = 0
        var parameters = [""]
        reading: for line in lines {
            for character in line {
                switch character {
                case "(", "[", "<":
                    depth += 1
                    if depth == 1, character == "(" { continue }
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
        return parameters.compactMap { parameter in
            guard let colon = parameter.firstIndex(of: ":") else { return nil }
            var type = parameter[parameter.index(after: colon)...].prefix { $0 != "=" }
                .trimmingCharacters(in: .whitespaces)
            for word in ["inout ", "borrowing ", "consuming ", "@autoclosure () -> "] where type.hasPrefix(word) {
                type.removeFirst(word.count)
            }
            return type.hasSuffix("?") ? String(type.dropLast()) : type
        }
    }

    /// Types, and functions outside of types, that take text or bytes.
    static func parsers(in text: String) -> Set<String> {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        var enclosing: [(indentation: Int, name: String, isPrivate: Bool)] = []
        var found: Set<String> = []
        for (index, text) in lines.enumerated() where text.contains(where: { $0 != " " }) {
            let line = Line(text)
            if let type = line.type {
                enclosing.removeAll { $0.indentation >= line.indentation }
                enclosing.append((line.indentation, type, line.isPrivate))
            } else if let function = line.function, !line.isPrivate {
                let around = enclosing.filter { $0.indentation < line.indentation }
                guard !around.contains(where: { $0.isPrivate }),
                    Self.parameterTypes(lines[index...]).contains(where: { Self.types.contains($0) })
                else { continue }
                found.insert(around.isEmpty ? function : around.map(\.name).joined(separator: "."))
            }
        }
        return found
    }

    private static let sources: Set<String> = {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../Sources")
        var found: Set<String> = []
        for module in modules {
            let enumerator = FileManager.default.enumerator(
                at: root.appending(path: module),
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
        #expect(Self.sources.count > 150)
        let exempt = ParserTable.exempt.flatMap(\.names)
        let known = Set(ParserTable.rows.keys).union(ParserTable.elsewhere.keys).union(exempt)
        let missing = Self.sources.subtracting(known).sorted()
        #expect(missing.isEmpty, "without a row of growth and without a reason: \(missing)")
        let gone = known.subtracting(Self.sources).sorted()
        #expect(gone.isEmpty, "no parser any more: \(gone)")
        let places = [Set(ParserTable.rows.keys), Set(ParserTable.elsewhere.keys), Set(exempt)]
        #expect(Set(exempt).count == exempt.count && places.reduce(0) { $0 + $1.count } == known.count)
    }

    @Test("a suite that measures a parser of another module names it")
    func elsewhere() throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
        for (parser, suite) in ParserTable.elsewhere {
            let text = try String(contentsOf: tests.appending(path: "\(suite).swift"), encoding: .utf8)
            #expect(text.contains("Growth.fault") && text.contains("\(parser)("), "\(suite): \(parser)")
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
    private static let withoutParser: Set<String> = ["pings in one read, observed", "Retry-After"]

    @Test("a new parser is seen")
    func seen() {
        let text = """
            extension Grammar {
                package static func read(
                    _ bytes: inout ByteBuffer,
                    limit: Int
                ) throws(GrammarError) -> Int? { nil }
                private func hidden(_ text: String) {}
            }

            package func parseAnything(_ text: Substring, _ more: [Int: String]) {}
            struct Quiet { init(count: Int) {} }
            private struct Hidden { init(_ text: String) {} }
            """
        #expect(Self.parsers(in: text) == ["Grammar", "parseAnything"])
    }
}
