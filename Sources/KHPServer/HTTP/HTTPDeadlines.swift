// The deadlines of a connection of ordinary HTTP, one at most of each kind.

import NIOCore

struct HTTPDeadlines {
    /// The reasons to wait.
    enum Kind: CaseIterable {
        /// For a request.
        case idle
        /// For the rest of a head.
        case head
        /// For the response of an application that has so long for it.
        case answer
        /// For content that the application waits for.
        case content
        /// For a client to take what was written.
        case writing
        /// For the application, by a client that has ended its side.
        case halfClosed
        /// For a client to end its side behind the last response.
        case lingering
    }

    private var ends: [Kind: NIODeadline] = [:]

    mutating func begin(_ kind: Kind, _ end: NIODeadline) { self.ends[kind] = end }

    mutating func end(_ kind: Kind) { self.ends[kind] = nil }

    mutating func endAll() { self.ends.removeAll(keepingCapacity: true) }

    func has(_ kind: Kind) -> Bool { self.ends[kind] != nil }

    var next: NIODeadline? { self.ends.values.min() }

    /// A deadline that has passed.
    func due(_ now: NIODeadline) -> Kind? { self.ends.first { $0.value <= now }?.key }
}
