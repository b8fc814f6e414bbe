import KHPGateway

/// An object as the command writes it: its members keep the order in which they were set, one object per line.
struct JSONObject: Sendable {
    private var members: [(String, JSONTree)] = []

    /// Sets a member; `nil` leaves it absent.
    mutating func set(_ key: String, _ value: JSONTree?) {
        guard let value else { return }
        self.members.append((key, value))
    }

    mutating func set(_ key: String, _ value: String?) { self.set(key, value.map { JSONTree.string($0) }) }

    mutating func set(_ key: String, _ value: Int?) { self.set(key, value.map { JSONTree.integer($0) }) }

    var tree: JSONTree { .object(self.members) }

    /// The object as one line without its line end.
    var line: String { self.tree.text }
}

extension Duration {
    /// Seconds with their fraction.
    var seconds: Double {
        Double(self.components.seconds) + Double(self.components.attoseconds) * 1e-18
    }

    /// Seconds rounded to microseconds, for a JSON number.
    var jsonSeconds: JSONTree {
        .number((self.seconds * 1e6).rounded() / 1e6)
    }
}
