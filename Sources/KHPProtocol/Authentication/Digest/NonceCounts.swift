// Which counts of which nonces were used (threat G5), in bounded memory. To forget is safe: each nonce that is dropped
// raises the floor, and whatever was issued no later than the floor counts as stale from then on. So neither a full
// table nor a clock that jumps lets a request through twice.

package struct NonceCounts: Sendable {
    /// What is known of a nonce whose answer was right.
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

    private let lifetime: UInt64
    private let capacity: Int
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

    package var count: Int { counts.count }

    /// A right answer used `nonce` with `count` at `now`, in microseconds since 1970. Call it for nothing else: what an
    /// attacker without a password can make must not fill the table.
    package mutating func use(_ nonce: DigestNonce, count: UInt32, now: UInt64) -> Use {
        while let oldest = byAge.first, isTooOld(oldest, now) { drop() }
        guard nonce.issued > floor, !isTooOld(nonce, now), nonce.issued <= now.addingSaturated(Self.skew) else {
            return .stale
        }
        if let used = counts[nonce] {
            guard count > used else { return .replayed }
        } else {
            byAge.append(nonce)
            rise(from: byAge.count - 1)
        }
        counts.updateValue(count, forKey: nonce)
        while counts.count > capacity { drop() }
        return .fresh
    }

    private func isTooOld(_ nonce: DigestNonce, _ now: UInt64) -> Bool {
        nonce.issued.addingSaturated(lifetime) < now
    }

    private mutating func drop() {
        guard let oldest = byAge.first, let last = byAge.popLast() else { return }
        if !byAge.isEmpty {
            byAge[0] = last
            sink()
        }
        counts.removeValue(forKey: oldest)
        floor = max(floor, oldest.issued)
    }

    private mutating func rise(from index: Int) {
        var index = index
        while index > 0 {
            let parent = (index - 1) / 2
            guard byAge[index].issued < byAge[parent].issued else { return }
            byAge.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func sink() {
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < byAge.count {
                if byAge[child].issued < byAge[least].issued { least = child }
            }
            guard least != index else { return }
            byAge.swapAt(index, least)
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
