/// So many in a time.
package struct Rate: Sendable, Hashable, CustomStringConvertible {
    package var count: Int
    package var seconds: Int

    package init(count: Int, seconds: Int) {
        self.count = count
        self.seconds = seconds
    }

    /// As in the file: `500/s`.
    package var description: String {
        let unit = Self.units.first { $0.seconds == self.seconds }?.name ?? "\(self.seconds)s"
        return "\(self.count)/\(unit)"
    }

    package static let units: [(name: String, seconds: Int)] = [("s", 1), ("m", 60), ("h", 3600)]
}
