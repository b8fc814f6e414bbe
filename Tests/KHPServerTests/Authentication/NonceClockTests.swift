// A clock on the wall that is wrong, and put right: logins by Digest go on (threat G5).

import KHPProtocol
import Testing

@testable import KHPServer

@Suite("The clock of nonces")
struct NonceClockTests {
    private static let second: UInt64 = 1_000_000
    private static let day: UInt64 = 86_400 * second
    private static let lifetime: UInt64 = 300 * second

    /// The steps of a clock: how far it is off, and the time that has passed.
    @Test(
        "a nonce that was just made is fresh, however the clock is put",
        arguments: [
            [(0, 0), (86_400, 400), (0, 1)], [(86_400, 0), (93_600, 400), (0, 1), (0, 400)],
            [(0, 0), (-86_400, 10), (0, 10)], [(3_600, 0), (0, 400), (0, 400), (3_600, 1), (-3_600, 1)],
        ] as [[(ahead: Int, passed: UInt64)]]
    )
    func jumps(_ steps: [(ahead: Int, passed: UInt64)]) throws {
        var clock = NonceClock()
        var counts = NonceCounts(lifetime: Self.lifetime, capacity: 100)
        var uptime = 5 * Self.second
        let seal = DigestNonceSeal(realm: "desk", key: [1, 2, 3])
        var generator = SystemRandomNumberGenerator()
        var before: DigestNonce?
        for (number, step) in steps.enumerated() {
            uptime += step.passed * Self.second
            let wall = UInt64(Int(20_000 * Self.day + uptime) + step.ahead * Int(Self.second))
            let issued = clock.read(wall: wall, uptime: uptime)
            let nonce = try #require(seal.read(seal.make(now: issued, using: &generator)))
            uptime += Self.second
            let now = clock.read(wall: wall + Self.second, uptime: uptime)
            #expect(now > issued)
            #expect(counts.use(nonce, count: 1, now: now) == .fresh, "step \(number)")
            #expect(counts.use(nonce, count: 1, now: now) == .replayed)
            if let before { #expect(counts.use(before, count: 1, now: now) != .fresh, "an old one at step \(number)") }
            before = nonce
        }
    }

    @Test("it is the clock on the wall, and is again once that has caught up")
    func catchesUp() {
        var clock = NonceClock()
        let start = 20_000 * Self.day
        #expect(clock.read(wall: start, uptime: 0) == start)
        #expect(clock.read(wall: start + 3600 * Self.second, uptime: Self.second) == start + 3600 * Self.second)
        #expect(clock.read(wall: start + 11 * Self.second, uptime: 11 * Self.second) == start + 3605 * Self.second)
        let later = 3 * 3600 * Self.second
        #expect(clock.read(wall: start + later, uptime: later) == start + later)
    }
}
