// The deadlines of a connection of ordinary HTTP, one at most of each kind.

import NIOCore

struct HTTPDeadlines {
    /// The reasons to wait.
    enum Kind: Int, CaseIterable {
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
        /// For the application, by a client that has ended its side of the connection.
        case halfClosed
        /// For a client to end its side after the last response.
        case lingering
    }

    /// By kind. Each request moves some of them, so no hash is taken.
    private var ends = [NIODeadline?](repeating: nil, count: Kind.allCases.count)

    mutating func begin(_ kind: Kind, _ end: NIODeadline) { self.ends[kind.rawValue] = end }

    mutating func end(_ kind: Kind) { self.ends[kind.rawValue] = nil }

    mutating func endAll() { for index in self.ends.indices { self.ends[index] = nil } }

    func has(_ kind: Kind) -> Bool { self.ends[kind.rawValue] != nil }

    var next: NIODeadline? {
        var next: NIODeadline?
        for case let end? in self.ends where next.map({ end < $0 }) ?? true { next = end }
        return next
    }

    /// A deadline that has passed.
    func due(_ now: NIODeadline) -> Kind? { Kind.allCases.first { self.ends[$0.rawValue].map { $0 <= now } ?? false } }
}
