// The counts that were used with each nonce (threat G5), in bounded memory. To forget is safe: each dropped nonce
// raises the floor, and every nonce issued up to the floor counts as stale from then on. So neither a full table nor a
// clock that jumps lets a request through twice.

package struct NonceCounts: Sendable {
    /// The standing of a nonce whose answer was right.
    package enum Use: Sendable, Equatable {
        /// The count is larger than all before it.
        case fresh
        /// The nonce is too old, from the future, or forgotten.
        case stale
        /// The count was used before, or a larger one was.
        case replayed
    }

    /// Clocks of a cluster may differ by so much.
    private static let skew: UInt64 = 60_000_000

    private var lifetime: UInt64
    private var capacity: Int
    private var counts: [DigestNonce: UInt32] = [:]
    /// A heap: the nonce issued first stands at 0.
    private var byAge: [DigestNonce] = []
    /// When the youngest nonce that was dropped was issued.
    private var floor: UInt64 = 0

    /// - Parameters:
    ///   - lifetime: how long a nonce may be used, in microseconds.
    ///   - capacity: how many nonces are remembered.
    package init(lifetime: UInt64, capacity: Int) {
        self.lifetime = lifetime
        self.capacity = max(capacity, 1)
    }

    package var count: Int { self.counts.count }

    /// Remembers as long and as much as somebody else needs too.
    package mutating func extend(lifetime: UInt64, capacity: Int) {
        self.lifetime = max(self.lifetime, lifetime)
        self.capacity = max(self.capacity, capacity)
    }

    /// A right answer used `nonce` with `count` at `now`, in microseconds since 1970. Call it for right answers alone:
    /// an attacker without a password must not fill the table.
    /// - Parameter lifetime: how long this nonce may be used, where that is less than what is remembered.
    package mutating func use(_ nonce: DigestNonce, count: UInt32, now: UInt64, lifetime: UInt64 = .max) -> Use {
        while let oldest = self.byAge.first, Self.isTooOld(oldest, self.lifetime, now) { self.drop() }
        guard nonce.issued > self.floor, !Self.isTooOld(nonce, min(lifetime, self.lifetime), now),
            nonce.issued <= now.addingSaturated(Self.skew)
        else {
            return .stale
        }
        if let used = self.counts[nonce] {
            guard count > used else { return .replayed }
        } else {
            self.byAge.append(nonce)
            self.rise(from: self.byAge.count - 1)
        }
        self.counts.updateValue(count, forKey: nonce)
        while self.counts.count > self.capacity { self.drop() }
        return .fresh
    }

    private static func isTooOld(_ nonce: DigestNonce, _ lifetime: UInt64, _ now: UInt64) -> Bool {
        nonce.issued.addingSaturated(lifetime) < now
    }

    private mutating func drop() {
        guard let oldest = self.byAge.first, let last = self.byAge.popLast() else { return }
        if !self.byAge.isEmpty {
            self.byAge[0] = last
            self.sink()
        }
        self.counts.removeValue(forKey: oldest)
        self.floor = max(self.floor, oldest.issued)
    }

    private mutating func rise(from index: Int) {
        var index = index
        while index > 0 {
            let parent = (index - 1) / 2
            guard self.byAge[index].issued < self.byAge[parent].issued else { return }
            self.byAge.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func sink() {
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < self.byAge.count {
                if self.byAge[child].issued < self.byAge[least].issued { least = child }
            }
            guard least != index else { return }
            self.byAge.swapAt(index, least)
            index = least
        }
    }
}

extension UInt64 {
    fileprivate func addingSaturated(_ other: UInt64) -> UInt64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }
}
