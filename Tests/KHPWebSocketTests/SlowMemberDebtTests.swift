// The patience with slow members that earlier ones have used up.

import NIOCore
import Testing

@testable import KHPWebSocket

@Suite("The debt of slow members")
struct SlowMemberDebtTests {
    private let start = NIODeadline.uptimeNanoseconds(1)

    @Test("it wears off: the whole patience within a minute", arguments: [(0, 10), (15, 5), (30, 0), (3600, 0)])
    func wearsOff(_ seconds: Int64, _ left: Int64) {
        var debt = SlowMemberDebt()
        debt.add(.seconds(10), now: self.start, patience: .seconds(20))
        #expect(debt.length(now: self.start + .seconds(seconds), patience: .seconds(20)) == .seconds(left))
    }

    @Test("it adds up")
    func addsUp() {
        var debt = SlowMemberDebt()
        debt.add(.seconds(10), now: self.start, patience: .seconds(20))
        debt.add(.seconds(10), now: self.start + .seconds(15), patience: .seconds(20))
        #expect(debt.length(now: self.start + .seconds(15), patience: .seconds(20)) == .seconds(15))
    }

    @Test("it is no longer than the patience, and gone a minute later, however many were slow before")
    func hasAnEnd() {
        var debt = SlowMemberDebt()
        var now = self.start
        for _ in 0..<600 {
            now = now + .seconds(1)
            debt.add(.seconds(1), now: now, patience: .seconds(5))
        }
        #expect(debt.length(now: now, patience: .seconds(5)) == .seconds(5))
        #expect(debt.length(now: now + .seconds(30), patience: .seconds(5)) == .milliseconds(2500))
        #expect(debt.length(now: now + .seconds(60), patience: .seconds(5)) == .zero)
        // One hold, longer than the patience, since its timer was late; and a patience that is shorter now.
        debt.add(.seconds(9), now: now + .seconds(60), patience: .seconds(5))
        #expect(debt.length(now: now + .seconds(60), patience: .seconds(1)) == .seconds(1))
        #expect(debt.length(now: now + .seconds(120), patience: .seconds(5)) == .zero)
    }

    @Test("a long patience and a quiet year are no overflow")
    func longTimes() {
        var debt = SlowMemberDebt()
        debt.add(.hours(24), now: self.start, patience: .hours(24))
        #expect(debt.length(now: self.start + .hours(24 * 365), patience: .hours(24)) == .zero)
        debt.add(.nanoseconds(.max), now: self.start + .hours(24 * 366), patience: .nanoseconds(.max))
        #expect(debt.length(now: self.start + .hours(24 * 366), patience: .nanoseconds(.max)) > .hours(24))
    }
}
