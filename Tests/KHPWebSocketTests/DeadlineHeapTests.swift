// The heap of deadlines against a sorted list, and the one callback of a loop over real connections.

import NIOCore
import TestSupport
import Testing

@testable import KHPWebSocket

@Suite("Deadlines of a loop", .timeLimit(.minutes(1)))
struct DeadlineHeapTests {
    private final class Member: DeadlineMember {
        let number: Int
        var heapPlace = -1

        init(_ number: Int) { self.number = number }
    }

    private struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            self.state = self.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            // All 64 bits: a number in a range is made of the uppermost.
            return self.state
        }
    }

    private static func time(_ number: Int) -> NIODeadline { .uptimeNanoseconds(UInt64(number)) }

    @Test("set, moved, removed and taken in any order, against a list", arguments: [1, 2, 3])
    func model(seed: UInt64) {
        var random = Random(state: seed)
        let members = (0..<60).map(Member.init)
        var heap = DeadlineHeap<Member>()
        var model: [Int: Int] = [:]
        var now = 0
        for _ in 0..<5000 {
            let member = members[Int.random(in: 0..<60, using: &random)]
            switch Int.random(in: 0..<8, using: &random) {
            case 0..<5:
                let deadline = now + Int.random(in: 0..<1000, using: &random)
                heap.set(member, to: Self.time(deadline))
                model[member.number] = deadline
            case 5:
                heap.remove(member)
                model[member.number] = nil
            default:
                now += Int.random(in: 0..<40, using: &random)
                var latest = 0
                while let due = heap.popFirst(until: Self.time(now)) {
                    let deadline = model.removeValue(forKey: due.number)
                    // Never early, never twice, and in order.
                    #expect(deadline.map { $0 <= now && $0 >= latest } == true)
                    latest = deadline ?? latest
                    #expect(due.heapPlace == -1)
                }
                #expect(model.values.allSatisfy { $0 > now })
            }
            let (count, earliest) = (heap.count, heap.earliest)
            #expect(count == model.count)
            #expect(earliest == model.values.min().map(Self.time))
        }
    }

    @Test("a member is held while it waits, and no longer")
    func holds() {
        weak var held: Member?
        var heap = DeadlineHeap<Member>()
        do {
            let member = Member(0)
            heap.set(member, to: Self.time(1))
            held = member
        }
        #expect(held != nil)
        _ = heap.popFirst(until: Self.time(1))
        #expect(held == nil)
        do {
            let member = Member(1)
            heap.set(member, to: Self.time(1))
            held = member
        }
        _ = consume heap
        #expect(held == nil)
    }

    @Test("a later deadline schedules nothing, an ended connection leaves nothing behind")
    func loop() async throws {
        try await withServedSocket { served in
            let (count, schedules) = try await served.on { handler in
                let deadlines = LoopDeadlines.of(handler.eventLoop)
                return (deadlines.count, deadlines.schedules)
            }
            #expect(count > 0)
            for _ in 0..<20 {
                try await served.client.send(maskedFrame(1, Array("x".utf8)))
                _ = try await served.socket.receive()
            }
            // Other tests may share the loop, but none of these messages asks for a callback.
            let after = try await served.on { LoopDeadlines.of($0.eventLoop).schedules }
            #expect(after - schedules < 20)
            #expect(try await served.on { $0.heapPlace >= 0 })
            served.socket.abort()
            _ = try await served.socket.closed()
            #expect(try await served.on { $0.heapPlace } == -1)
        }
    }
}
