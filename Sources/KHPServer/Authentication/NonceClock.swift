// The time of Digest nonces. Servers that share the work agree on the clock on the wall; but that one may be ahead and be put
// right, and a nonce that is older than one that was forgotten already counts as stale (threat G5). So this one never goes back.

import NIOCore
import Synchronization

struct NonceClock: Sendable {
    private var time: UInt64 = 0
    private var uptime: UInt64 = 0

    /// The clock of the process, in microseconds since 1970.
    static func microseconds() -> UInt64 {
        self.ofProcess.withLock {
            $0.read(wall: TimeOfDay.microseconds(), uptime: NIODeadline.now().uptimeNanoseconds / 1000)
        }
    }

    private static let ofProcess = Mutex(NonceClock())

    /// The time on the wall. After the clock was put back, the time goes on from the latest one at half the speed, until
    /// the wall has caught up: nonces last up to twice as long meanwhile.
    /// - Parameter uptime: microseconds of a clock that is never set.
    mutating func read(wall: UInt64, uptime: UInt64) -> UInt64 {
        let passed = uptime > self.uptime ? uptime - self.uptime : 0
        let latest = self.time == 0 ? 0 : self.time &+ passed / 2
        self.time = max(wall, latest)
        self.uptime = max(uptime, self.uptime)
        return self.time
    }
}
