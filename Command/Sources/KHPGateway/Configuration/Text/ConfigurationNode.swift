// The file's YAML as text: YAML 1.1 takes `off` for false, `0777` for 511 and `22:30` for 1350, so nothing here asks YAML
// for the type of anything.

import Foundation
import Yams

/// A value of the file and its place.
struct ConfigurationNode {
    struct Entry {
        var key: String
        var position: Position
        var value: ConfigurationNode
    }

    enum Content {
        case text(String)
        case list([ConfigurationNode])
        case map([Entry])
        /// A key with nothing behind it.
        case nothing
    }

    var position: Position
    var content: Content

    /// In a sentence.
    var kind: String {
        switch self.content {
        case .text: "a text"
        case .list: "a list"
        case .map: "a group of keys"
        case .nothing: "nothing"
        }
    }
}

/// The text of a file that holds one YAML document.
struct YAMLText {
    /// 1 MiB: a larger file is none that somebody wrote.
    static let maximumBytes = 1_048_576
    /// Aliases count as often as they are used.
    static let maximumNodes = 50_000
    /// Values that stand there by an alias.
    static let maximumAliased = 1000

    struct Failure: Error {
        var position: Position
        var sentence: String

        init(_ position: Position, _ sentence: String) {
            self.position = position
            self.sentence = sentence
        }
    }

    private var left = Self.maximumNodes
    private var aliased = 0
    /// The last place that was reached: an alias leads back from there.
    private var furthest = Position(line: 0, column: 0)

    /// - Throws: where the bytes are no document of ours, before any key is looked at.
    static func read(_ bytes: [UInt8]) throws(Failure) -> ConfigurationNode {
        guard bytes.count <= self.maximumBytes else {
            throw Failure(.start, "the file is larger than 1 MiB")
        }
        guard let whole = String(validating: bytes, as: UTF8.self) else {
            throw Failure(.start, "the file is not UTF-8")
        }
        // A byte order mark that an editor left.
        let text = whole.hasPrefix("\u{FEFF}") ? String(whole.unicodeScalars.dropFirst()) : whole
        let root: Yams.Node?
        do {
            root = try Parser(yaml: text, resolver: .basic, encoding: .utf8).singleRoot()
        } catch let error as YamlError {
            throw self.failure(error, text)
        } catch {
            throw Failure(.start, "the file is no YAML")
        }
        guard let root else {
            throw Failure(.start, "the file is empty; `khp gateway --example` writes one to begin with")
        }
        var reader = YAMLText()
        return try reader.node(root)
    }

    private mutating func node(_ node: Yams.Node) throws(Failure) -> ConfigurationNode {
        let position = node.mark.map { Position(line: $0.line, column: $0.column) } ?? .start
        self.left -= 1
        guard self.left >= 0 else {
            throw Failure(
                position,
                "the file holds more than \(Self.maximumNodes) values, those of its aliases included"
            )
        }
        if (position.line, position.column) > (self.furthest.line, self.furthest.column) {
            self.furthest = position
        } else {
            self.aliased += 1
        }
        guard self.aliased <= Self.maximumAliased else {
            throw Failure(
                position,
                "aliases of this value and others stand for more than \(Self.maximumAliased) values"
            )
        }
        switch node {
        case .scalar(let scalar):
            let isPlain = scalar.style == .plain
            guard scalar.tag.rawValue.isEmpty || !isPlain && scalar.tag == Tag(.str) else {
                throw Failure(position, "a tag such as !!str is not read here; write the value alone")
            }
            if isPlain, scalar.string.isEmpty { return ConfigurationNode(position: position, content: .nothing) }
            return ConfigurationNode(position: position, content: .text(scalar.string))
        case .sequence(let sequence):
            try Self.checkTag(sequence.tag, position)
            var list: [ConfigurationNode] = []
            for element in sequence { list.append(try self.node(element)) }
            return ConfigurationNode(position: position, content: .list(list))
        case .mapping(let mapping):
            try Self.checkTag(mapping.tag, position)
            var entries: [ConfigurationNode.Entry] = []
            for (key, value) in mapping {
                let place = key.mark.map { Position(line: $0.line, column: $0.column) } ?? position
                guard case .scalar(let scalar) = key else {
                    throw Failure(place, "a key is a word, not a list or a group")
                }
                entries.append(.init(key: scalar.string, position: place, value: try self.node(value)))
            }
            return ConfigurationNode(position: position, content: .map(entries))
        case .alias:
            throw Failure(position, "an alias leads nowhere")
        }
    }

    private static func checkTag(_ tag: Tag, _ position: Position) throws(Failure) {
        guard tag.rawValue.isEmpty else {
            throw Failure(position, "a tag such as !!map is not read here; write the value alone")
        }
    }

    private static func failure(_ error: YamlError, _ text: String) -> Failure {
        func at(_ mark: Mark) -> Position { Position(line: mark.line, column: mark.column) }
        switch error {
        case .duplicatedKeysInMapping(let duplicates, let context):
            let names = duplicates.map { "\($0.shown)" }.joined(separator: ", ")
            return Failure(at(context.mark), "\(names) stands twice in one group; take one of them out")
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _):
            if self.isTab(at(mark), text) {
                return Failure(at(mark), "a tab cannot indent YAML; use spaces")
            }
            return Failure(at(mark), "the file is no YAML: \(problem)")
        case .composer(_, let problem, let mark, _):
            if problem.contains("another document") {
                return Failure(at(mark), "a second document begins; the file holds one")
            }
            return Failure(at(mark), "the file is no YAML: \(problem)")
        case .reader(let problem, let offset, _, _):
            let before = text.utf8.prefix(offset ?? 0)
            let line = 1 + before.count { $0 == UInt8(ascii: "\n") }
            let column = 1 + before.reversed().prefix { $0 != UInt8(ascii: "\n") }.count
            return Failure(Position(line: line, column: column), "the file is no YAML: \(problem)")
        default:
            return Failure(.start, "the file is no YAML")
        }
    }

    private static func isTab(_ position: Position, _ text: String) -> Bool {
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        guard lines.indices.contains(position.line - 1) else { return false }
        return lines[position.line - 1].prefix { $0 == " " || $0 == "\t" }.contains("\t")
            || lines[position.line - 1].unicodeScalars.dropFirst(position.column - 1).first == "\t"
    }
}

extension String {
    /// In quotes, on one line, and not too long.
    var shown: String {
        var text = ""
        for scalar in self.unicodeScalars.prefix(60) {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse:
                text += "\\u{" + String(scalar.value, radix: 16) + "}"
            default:
                text.unicodeScalars.append(scalar)
            }
        }
        return "\"\(text)\(self.unicodeScalars.count > 60 ? "…" : "")\""
    }
}
