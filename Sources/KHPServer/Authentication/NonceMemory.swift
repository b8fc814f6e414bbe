// The counts that were used with the nonces of one key. The gates of a process that have the key share them: endpoints that
// are replaced, or the services of a configuration that is read again, take no answer a second time.

import KHPProtocol
import Synchronization

final class NonceMemory: Sendable {
    private struct Known {
        weak var memory: NonceMemory?
    }

    private static let all = Mutex<[String: Known]>([:])

    private let counts: Mutex<NonceCounts>

    private init(lifetime: UInt64, capacity: Int) {
        self.counts = Mutex(NonceCounts(lifetime: lifetime, capacity: capacity))
    }

    /// The memory for a key and realm, as long as a gate holds it.
    /// - Parameters:
    ///   - opaque: the value of `opaque` that tells key and realm from others.
    ///   - lifetime: how long a nonce may be used, in microseconds. The longest of the gates counts for what is remembered.
    ///   - capacity: how many nonces are remembered; the most that a gate asks for.
    static func shared(_ opaque: String, lifetime: UInt64, capacity: Int) -> NonceMemory {
        self.all.withLock { all in
            if let memory = all[opaque]?.memory {
                memory.counts.withLock { $0.extend(lifetime: lifetime, capacity: capacity) }
                return memory
            }
            all = all.filter { $0.value.memory != nil }
            let memory = NonceMemory(lifetime: lifetime, capacity: capacity)
            all[opaque] = Known(memory: memory)
            return memory
        }
    }

    func use<Result>(_ body: (inout NonceCounts) -> Result) -> Result {
        self.counts.withLock { body(&$0) }
    }
}
