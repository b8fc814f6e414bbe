import Foundation
import Testing

@testable import KHPGateway

/// Each key of the table, with each of the mistakes that a writer makes: the sentences stand in SchemaFindings.txt, and
/// the places are those of the values.
@Suite("Each key of a gateway's file")
struct SchemaTests {
    static let rows = GatewaySchema.root.rows("", FileDraft())

    @Test("says what is wrong with it, at its line and column")
    func sentences() throws {
        var lines: [String] = []
        for row in Self.rows {
            let path = row.path.split(separator: ".").map(String.init)
            if row.isRequired { lines += self.findings("missing", path, nil) }
            lines += self.findings("wrong kind", path, row.isGroup ? "word" : "{group: of keys}")
            for text in row.refused { lines += self.findings(text, path, Self.quoted(text)) }
            if let last = path.last, last != "NAME" {
                let misspelt = path.dropLast() + [last + "z"]
                lines += self.findings("misspelt", Array(misspelt), "x", key: misspelt.joined(separator: "."))
            }
        }
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("SchemaFindings.txt")
        let text = lines.joined(separator: "\n") + "\n"
        if ProcessInfo.processInfo.environment["KHP_WRITE_SNAPSHOTS"] != nil {
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let expected = try String(contentsOf: file, encoding: .utf8)
        for (line, other) in zip(text.split(separator: "\n"), expected.split(separator: "\n")) where line != other {
            Issue.record("now: \(line)\nonce: \(other)")
            return
        }
        #expect(text == expected)
    }

    /// One mistake: its findings about that key, each with a label. The place is checked here.
    private func findings(_ label: String, _ path: [String], _ value: String?, key: String? = nil) -> [String] {
        let document = Document(path, value)
        let name = key ?? path.joined(separator: ".")
        let found = ConfigurationFixture.read(document.text).findings.filter { $0.key == name || $0.key.isEmpty }
        #expect(!found.isEmpty, "\(name) takes \(value ?? "nothing"):\n\(document.text)")
        if let first = found.first, value != nil {
            let column = label == "misspelt" ? document.keyColumn : document.column
            #expect(first.position == Position(line: document.line, column: column), "\(first)\n\(document.text)")
        }
        return found.map { "\($0.key) [\(label.debugDescription.dropFirst().dropLast())]: \($0.sentence)" }
    }

    private static func quoted(_ text: String) -> String { YAMLScalar.quoted(text) }

    @Test("has a meaning, one place in the table, and a default unless it is required")
    func rows() {
        var seen: Set<String> = []
        for row in Self.rows {
            #expect(seen.insert(row.path).inserted, "\(row.path) twice")
            #expect(row.meaning.hasSuffix("."), "\(row.path): \(row.meaning)")
            #expect(row.isGroup || !row.refused.isEmpty, "\(row.path)")
        }
        #expect(seen.count > 150)
    }
}

/// A document with the least that a gateway needs, and one value more.
private struct Document {
    indirect enum Node {
        case leaf(String)
        case group([(String, Node)])
    }

    private(set) var text = ""
    private(set) var line = 0
    private(set) var column = 0
    private(set) var keyColumn = 0
    private let path: [String]

    /// - Parameter value: `nil` takes the key away.
    init(_ path: [String], _ value: String?) {
        self.path = path
        var root = Node.group([
            ("version", .leaf("1")),
            ("listeners", .group([("NAME", .group([("listen", .leaf("127.0.0.1:0"))]))])),
            ("services", .group([("NAME", .group([("path", .leaf("/s")), ("type", .leaf("echo"))]))])),
        ])
        Self.set(&root, path[...], value.map { .leaf($0) })
        self.emit(root, [])
    }

    private static func set(_ node: inout Node, _ path: ArraySlice<String>, _ value: Node?) {
        guard let name = path.first else { return }
        var entries: [(String, Node)] = []
        if case .group(let found) = node { entries = found }
        let index = entries.firstIndex { $0.0 == name }
        if path.count == 1 {
            if let index { entries.remove(at: index) }
            if let value { entries.append((name, value)) }
        } else {
            var child = index.map { entries[$0].1 } ?? .group([])
            if case .leaf = child { child = .group([]) }
            Self.set(&child, path.dropFirst(), value)
            if let index { entries[index].1 = child } else { entries.append((name, child)) }
        }
        node = .group(entries)
    }

    private mutating func emit(_ node: Node, _ at: [String]) {
        guard case .group(let entries) = node else { return }
        for (name, child) in entries {
            let head = String(repeating: "  ", count: at.count) + name + ":"
            let isTarget = at + [name] == self.path
            if isTarget {
                self.line = self.text.count { $0 == "\n" } + 1
                self.column = head.count + 2
                self.keyColumn = at.count * 2 + 1
            }
            switch child {
            case .leaf(let value): self.text += "\(head) \(value)\n"
            case .group(let entries) where entries.isEmpty: self.text += "\(head) {}\n"
            case .group:
                self.text += "\(head)\n"
                self.emit(child, at + [name])
            }
        }
    }
}
