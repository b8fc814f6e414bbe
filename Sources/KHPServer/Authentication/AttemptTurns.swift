// The order in which credentials are looked at. A password hash costs its time when an attempt begins, so that is when
// the attempt counts as a wrong one; it is taken back when the credentials are right.

import NIOCore

/// The attempts of a listener, over all its connections.
///
/// | asked                                                   | answer                                           |
/// |---------------------------------------------------------|--------------------------------------------------|
/// | the address has given too many wrong answers            | refused, until its window has passed             |
/// | the limit would be passed if all running checks failed  | waits for them                                   |
/// | too many of the address are looked at                   | waits, and goes before those that came earlier   |
/// | too many altogether are looked at                       | waits; addresses take turns                      |
/// | too many wait                                           | waits; the oldest of the address with most is    |
/// |                                                         | turned away                                      |
/// | otherwise                                               | begins                                           |
///
/// Within an address the newest goes first: whoever comes while a flood of wrong ones waits is not behind it.
struct AttemptTurns<Address: Hashable & Sendable>: Sendable {
    /// One that has begun.
    struct Attempt: Sendable {
        /// `nil` where the peer has no address: then nothing is counted by it.
        let address: Address?
        fileprivate let window: NIODeadline?
    }

    enum Answer: Sendable {
        case begins(Attempt)
        /// For this long.
        case refused(TimeAmount)
        /// There is no room for one more.
        case turnedAway
        /// The answer comes later, under the number that was asked with.
        case waits
    }

    typealias Turn = (number: UInt64, answer: Answer)

    private struct Queue {
        var inFlight = 0
        /// The newest last.
        var waiting: [UInt64] = []
        /// True while it stands in `turns`.
        var isListed = false
    }

    private let limitPerAddress: Int
    private let limit: Int
    private var wrong: WrongAnswers<Address>
    private var queues: [Address?: Queue] = [:]
    /// The addresses that wait for their turn, from `first` on.
    private var turns: [Address?] = []
    private var first = 0
    private var inFlight = 0
    private let waitingLimit: Int
    private var waiting = 0

    init(limit: Int, perAddress: Int, waiting: Int = .max, wrong: WrongAnswers<Address>) {
        self.limit = min(max(limit, 1), 1 << 30)
        self.waitingLimit = max(waiting, 0)
        self.limitPerAddress = max(perAddress, 1)
        self.wrong = wrong
    }

    /// How long `address` is refused; `nil` where it is not.
    func refusal(_ address: Address?, now: NIODeadline) -> TimeAmount? {
        guard let address else { return nil }
        return self.wrong.wait(address, beside: self.queues[address]?.inFlight ?? 0, now: now)
    }

    mutating func ask(_ address: Address?, _ number: UInt64, now: NIODeadline) -> Answer {
        if let wait = self.refusal(address, now: now) { return .refused(wait) }
        let queue = self.queues[address] ?? Queue()
        if self.inFlight < self.limit, self.mayBegin(address, queue, now: now) {
            return .begins(self.begin(address, queue, now: now))
        }
        var waiting = queue
        waiting.waiting.append(number)
        self.queues[address] = waiting
        self.waiting += 1
        self.list(address, now: now)
        return .waits
    }

    /// Takes one back that waits, where more wait than may: of the address that has the most. A flood of one address turns
    /// its own away, and the oldest of them, since the newest go first.
    mutating func turnAway() -> Turn? {
        guard self.waiting > self.waitingLimit,
            let most = self.queues.max(by: { $0.value.waiting.count < $1.value.waiting.count }),
            let number = most.value.waiting.first
        else { return nil }
        self.giveUp(most.key, number)
        // The turns of those turned away would stay until checks have ended: a flood from many addresses has more of them.
        if self.turns.count - self.first > 2 * min(self.waitingLimit, 1 << 20) + self.limit { self.dropEmptyTurns() }
        return (number, .turnedAway)
    }

    private mutating func dropEmptyTurns() {
        var kept: [Address?] = []
        for address in self.turns[self.first...] {
            if self.queues[address]?.waiting.isEmpty == false {
                kept.append(address)
            } else {
                self.queues[address]?.isListed = false
                self.forgetIfIdle(address)
            }
        }
        (self.turns, self.first) = (kept, 0)
    }

    /// Ends an attempt.
    /// - Returns: the attempts whose turn it is now, and those that wait in vain.
    mutating func end(_ attempt: Attempt, isWrong: Bool, now: NIODeadline) -> [Turn] {
        self.inFlight -= 1
        self.queues[attempt.address]?.inFlight -= 1
        if !isWrong, let address = attempt.address, let window = attempt.window {
            self.wrong.takeBack(address, from: window)
        }
        var answered: [Turn] = []
        if let wait = self.refusal(attempt.address, now: now) {
            answered = (self.queues[attempt.address]?.waiting ?? []).map { ($0, .refused(wait)) }
            self.waiting -= answered.count
            self.queues[attempt.address]?.waiting = []
        }
        self.list(attempt.address, now: now)
        self.forgetIfIdle(attempt.address)
        while self.inFlight < self.limit, let turn = self.nextTurn(now: now) { answered.append(turn) }
        return answered
    }

    /// One that waits is not wanted any more.
    mutating func giveUp(_ address: Address?, _ number: UInt64) {
        guard let place = self.queues[address]?.waiting.firstIndex(of: number) else { return }
        self.queues[address]?.waiting.remove(at: place)
        self.waiting -= 1
        self.forgetIfIdle(address)
    }

    /// The addresses of which anything is kept here.
    var addresses: Int { self.queues.count }

    /// `true` while nothing is checked and nothing waits.
    var isIdle: Bool { self.queues.isEmpty && self.inFlight == 0 }

    private func mayBegin(_ address: Address?, _ queue: Queue, now: NIODeadline) -> Bool {
        guard let address else { return true }
        return queue.inFlight < self.limitPerAddress && self.wrong.wait(address, now: now) == nil
    }

    private mutating func begin(_ address: Address?, _ queue: Queue, now: NIODeadline) -> Attempt {
        var queue = queue
        queue.inFlight += 1
        self.inFlight += 1
        self.queues[address] = queue
        return Attempt(address: address, window: address.map { self.wrong.add($0, now: now) })
    }

    private mutating func list(_ address: Address?, now: NIODeadline) {
        guard let queue = self.queues[address], !queue.isListed, !queue.waiting.isEmpty,
            self.mayBegin(address, queue, now: now)
        else { return }
        self.queues[address]?.isListed = true
        self.turns.append(address)
    }

    private mutating func nextTurn(now: NIODeadline) -> Turn? {
        while self.first < self.turns.count {
            let address = self.turns[self.first]
            self.first += 1
            // Gives the places of those gone back, in time that is constant for each of them.
            if self.first > self.turns.count / 2 {
                self.turns.removeFirst(self.first)
                self.first = 0
            }
            self.queues[address]?.isListed = false
            guard var queue = self.queues[address], self.mayBegin(address, queue, now: now),
                let number = queue.waiting.popLast()
            else {
                self.forgetIfIdle(address)
                continue
            }
            self.waiting -= 1
            let attempt = self.begin(address, queue, now: now)
            self.list(address, now: now)
            return (number, .begins(attempt))
        }
        return nil
    }

    private mutating func forgetIfIdle(_ address: Address?) {
        guard let queue = self.queues[address], queue.inFlight == 0, queue.waiting.isEmpty, !queue.isListed else {
            return
        }
        self.queues[address] = nil
    }
}
