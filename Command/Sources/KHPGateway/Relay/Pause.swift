// A fast side waits for a slow one: for how long is what tells an operator which of them to look at.

import NIOCore

/// The times in which one side was not read.
struct Pause {
    private(set) var count = 0
    private var total = TimeAmount.zero
    private var since: NIODeadline?
    /// The longest of those that were over a moment ago.
    private var last: (length: TimeAmount, end: NIODeadline)?
    private static let moment = TimeAmount.seconds(10)

    var isOn: Bool { self.since != nil }

    mutating func begin(_ now: NIODeadline) {
        guard self.since == nil else { return }
        self.since = now
        self.count += 1
    }

    mutating func end(_ now: NIODeadline) {
        guard let since else { return }
        self.total = self.total + (now - since)
        let length = now - since
        if self.last.map({ $0.length <= length || now - $0.end >= Self.moment }) ?? true { self.last = (length, now) }
        self.since = nil
    }

    /// How long the pause lasts that is on.
    func lasting(_ now: NIODeadline) -> TimeAmount { self.since.map { now - $0 } ?? .zero }

    /// The length of the pause that is on, or of one that ended a moment ago: the end of a stream that waited behind bytes comes
    /// just after a pause.
    func recent(_ now: NIODeadline) -> TimeAmount {
        guard let last, now - last.end < Self.moment else { return self.lasting(now) }
        return max(last.length, self.lasting(now))
    }

    /// All pauses together.
    func all(_ now: NIODeadline) -> TimeAmount { self.total + self.lasting(now) }
}
