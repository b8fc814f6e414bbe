/// A place in a file; both count from 1.
package struct Position: Sendable, Hashable, Comparable {
    package var line: Int
    package var column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package static func < (one: Position, other: Position) -> Bool {
        (one.line, one.column) < (other.line, other.column)
    }

    package static let start = Position(line: 1, column: 1)
}

/// Something about a configuration that its writer should know: `gateway.yaml:12:5: services.amqp.idle: "30" is no
/// duration; say 30s`.
package struct Finding: Sendable, Hashable, CustomStringConvertible {
    package enum Severity: Sendable {
        case error
        /// The gateway runs all the same.
        case warning
    }

    package var severity: Severity
    /// As it was named on the command line or in the configuration.
    package var file: String
    package var position: Position
    /// The path of keys, or empty.
    package var key: String
    package var sentence: String

    package init(_ severity: Severity, file: String, position: Position, key: String, sentence: String) {
        self.severity = severity
        self.file = file
        self.position = position
        self.key = key
        self.sentence = sentence
    }

    package var description: String {
        let place = "\(self.file):\(self.position.line):\(self.position.column): "
        let warning = self.severity == .warning ? "warning: " : ""
        return place + warning + (self.key.isEmpty ? "" : "\(self.key): ") + self.sentence
    }
}
