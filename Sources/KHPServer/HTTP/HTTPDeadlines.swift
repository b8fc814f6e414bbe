// The waits of a connection of ordinary HTTP, each of which has an end.

import NIOCore

struct HTTPDeadlines {
    enum Wait: CaseIterable {
        /// For a request.
        case idle
        /// For the rest of a head.
        case head
        /// For content that the application waits for.
        case content
        /// For a client to take what was written.
        case writing
        /// For the application, by a client that has ended its side.
        case halfClosed
        /// For a client to end its side behind the last response.
        case lingering
    }

    private var ends: [Wait: NIODeadline] = [:]

    mutating func begin(_ wait: Wait, _ end: NIODeadline) { self.ends[wait] = end }

    mutating func end(_ wait: Wait) { self.ends[wait] = nil }

    mutating func endAll() { self.ends.removeAll(keepingCapacity: true) }

    func has(_ wait: Wait) -> Bool { self.ends[wait] != nil }

    var next: NIODeadline? { self.ends.values.min() }

    /// A wait whose end has come.
    func due(_ now: NIODeadline) -> Wait? { self.ends.first { $0.value <= now }?.key }
}
