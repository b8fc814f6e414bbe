// Every stage that some transcript leads to, with the clock past all that could be due: a deadline that has passed is
// acted on or goes.

import KHPProtocol
import KHPTesting
import NIOCore
import Testing

@Suite struct DeadlineWalkTests {
    @Test("at every stage of every conversation", arguments: [Role.client, .server])
    func stages(_ role: Role) throws {
        let stages = try ConnectionFuzzTests.stages(role)
        #expect(stages.count > 150)
        for stage in stages {
            for late in [TimeAmount.nanoseconds(0), .seconds(25), .hours(3)] {
                for isClosing in [false, true] {
                    var play = stage.play.copy()
                    if isClosing { play.act { $0.close(code: .goingAway, reason: "", now: $1) } }
                    var offset = late
                    for wakeUp in 0..<60 where !play.hasEnded {
                        guard play.hasDeadline else { break }
                        var complaint: String?
                        var step = TimeAmount.nanoseconds(0)
                        play.act { connection, now in
                            guard let deadline = connection.deadline else { return }
                            let time = max(deadline, now) + offset
                            connection.timeReached(now: time)
                            let next = connection.deadline
                            step = time - now
                            if let next, next <= time { complaint = "due at \(next) when woken at \(time)" }
                            if wakeUp == 59 { complaint = "woken sixty times" }
                        }
                        offset = .nanoseconds(0)
                        if let complaint {
                            Issue.record("\(stage.name), \(role), read \(stage.read): \(complaint)")
                            break
                        }
                        play.advance(by: step)
                    }
                }
            }
        }
    }
}
