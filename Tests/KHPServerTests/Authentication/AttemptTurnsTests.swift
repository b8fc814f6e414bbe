import NIOCore
import Testing

@testable import KHPServer

@Suite("Whose credentials are looked at next (threat G13)")
struct AttemptTurnsTests {
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func turns(
        limit: Int = 4,
        perAddress: Int = 2,
        waiting: Int = .max,
        wrong: Int = 10
    ) -> AttemptTurns<String> {
        AttemptTurns(
            limit: limit,
            perAddress: perAddress,
            waiting: waiting,
            wrong: WrongAnswers(limit: wrong, within: .seconds(60), capacity: 100)
        )
    }

    private func begun(_ answer: AttemptTurns<String>.Answer) -> AttemptTurns<String>.Attempt? {
        if case .begins(let attempt) = answer { attempt } else { nil }
    }

    @Test("an address has so many at a time, and its newest goes first")
    func newestFirst() throws {
        var turns = self.turns()
        let first = try #require(self.begun(turns.ask("a", 1, now: self.now)))
        _ = try #require(self.begun(turns.ask("a", 2, now: self.now)))
        for number in 3...5 { #expect(self.begun(turns.ask("a", UInt64(number), now: self.now)) == nil) }
        #expect(self.begun(turns.ask("b", 6, now: self.now)) != nil, "others are not concerned")
        #expect(turns.end(first, isWrong: true, now: self.now).map(\.number) == [5])
    }

    @Test("addresses take turns where all are busy")
    func roundRobin() throws {
        var turns = self.turns(limit: 2)
        var open = [try #require(self.begun(turns.ask("a", 1, now: self.now)))]
        open.append(try #require(self.begun(turns.ask("a", 2, now: self.now))))
        for number in 3...5 { _ = turns.ask("a", UInt64(number), now: self.now) }
        for (number, address) in [(6, "b"), (7, "b"), (8, "c")] {
            #expect(self.begun(turns.ask(address, UInt64(number), now: self.now)) == nil)
        }
        var order: [UInt64] = []
        while !open.isEmpty {
            for turn in turns.end(open.removeFirst(), isWrong: true, now: self.now) {
                order.append(turn.number)
                open += self.begun(turn.answer).map { [$0] } ?? []
            }
        }
        #expect(order == [7, 8, 5, 6, 4, 3])
        #expect(turns.isIdle)
    }

    @Test("a flood from many addresses leaves nothing behind of those turned away")
    func manyAddresses() throws {
        var turns = self.turns(limit: 1, waiting: 3)
        let open = try #require(self.begun(turns.ask("0", 0, now: self.now)))
        var away = 0
        for number in 1...500 {
            #expect(self.begun(turns.ask("\(number)", UInt64(number), now: self.now)) == nil)
            if turns.turnAway() != nil { away += 1 }
            #expect(turns.addresses <= 12)
        }
        #expect(away == 497)
        var order = turns.end(open, isWrong: false, now: self.now)
        var seen = 0
        while let turn = order.popLast() {
            seen += 1
            if let attempt = self.begun(turn.answer) { order += turns.end(attempt, isWrong: false, now: self.now) }
        }
        #expect(seen == 3)
        #expect(turns.isIdle)
    }

    @Test("so many wait, and a flood of one address turns its own oldest away")
    func waiting() throws {
        var turns = self.turns(limit: 1, waiting: 3)
        let open = try #require(self.begun(turns.ask("a", 1, now: self.now)))
        for (number, address) in [(2, "a"), (3, "a"), (4, "b")] {
            #expect(self.begun(turns.ask(address, UInt64(number), now: self.now)) == nil)
            #expect(turns.turnAway() == nil)
        }
        for (number, address, away) in [(5, "a", 2), (6, "a", 3), (7, "b", 0), (8, "c", 0)] {
            #expect(self.begun(turns.ask(address, UInt64(number), now: self.now)) == nil)
            let number = turns.turnAway()?.number
            #expect(number == UInt64(away) || away == 0 && (number == 5 || number == 4), "\(number ?? 0)")
        }
        #expect(turns.turnAway() == nil)
        var order = turns.end(open, isWrong: false, now: self.now)
        var seen: [UInt64] = []
        while let turn = order.popLast() {
            seen.append(turn.number)
            if let attempt = self.begun(turn.answer) { order += turns.end(attempt, isWrong: false, now: self.now) }
        }
        #expect(seen.count == 3 && seen.contains(8) && seen.contains(6) && seen.contains(7), "\(seen)")
        #expect(turns.isIdle)
    }

    @Test("what is looked at counts as wrong until it is right, and who waits learns when it is too much")
    func counting() throws {
        var turns = self.turns(limit: 100, perAddress: 100, wrong: 3)
        let open = try (1...3).map { try #require(self.begun(turns.ask("a", UInt64($0), now: self.now))) }
        // Three may all be wrong: the fourth waits until that is known, and is not refused.
        #expect(turns.refusal("a", now: self.now) == nil)
        #expect(self.begun(turns.ask("a", 4, now: self.now)) == nil)
        #expect(self.begun(turns.ask("a", 5, now: self.now)) == nil)
        let next = turns.end(open[0], isWrong: false, now: self.now)
        #expect(next.map(\.number) == [5])
        let fifth = try #require(next.first.flatMap { self.begun($0.answer) })
        #expect(turns.end(open[1], isWrong: true, now: self.now).isEmpty)
        #expect(turns.end(open[2], isWrong: true, now: self.now).isEmpty)
        let refused = turns.end(fifth, isWrong: true, now: self.now)
        #expect(refused.map(\.number) == [4])
        if case .refused(let wait)? = refused.first?.answer {
            #expect(wait == .seconds(60))
        } else {
            Issue.record("begun")
        }
        #expect(turns.refusal("a", now: self.now + .seconds(59)) == .seconds(1))
        #expect(turns.refusal("a", now: self.now + .seconds(60)) == nil)
        #expect(turns.isIdle)
    }

    @Test("an attempt of an earlier window takes nothing back from the next")
    func windows() throws {
        var turns = self.turns(wrong: 2)
        let old = try #require(self.begun(turns.ask("a", 1, now: self.now)))
        let later = self.now + .seconds(61)
        let new = try #require(self.begun(turns.ask("a", 2, now: later)))
        _ = turns.end(old, isWrong: false, now: later)
        _ = turns.end(new, isWrong: true, now: later)
        let last = try #require(self.begun(turns.ask("a", 3, now: later)))
        _ = turns.end(last, isWrong: true, now: later)
        #expect(turns.refusal("a", now: later) != nil)
    }

    @Test("one that is given up is passed over; peers without an address share the whole alone")
    func givenUp() throws {
        var turns = self.turns(limit: 3)
        let first = try #require(self.begun(turns.ask(nil, 1, now: self.now)))
        _ = turns.ask(nil, 2, now: self.now)
        #expect(self.begun(turns.ask(nil, 3, now: self.now)) != nil)
        for number in 4...6 { _ = turns.ask(nil, UInt64(number), now: self.now) }
        turns.giveUp(nil, 6)
        #expect(turns.end(first, isWrong: true, now: self.now).map(\.number) == [5])
    }

    @Test("whatever is asked, ended and given up, in whatever order: bounds hold and nobody is forgotten")
    func simulation() {
        var generator = SplitMix(state: 7)
        for _ in 0..<200 {
            var turns = self.turns(limit: 3, perAddress: 2, waiting: 5, wrong: 4)
            var open: [AttemptTurns<String>.Attempt] = []
            var waiting: [UInt64: String] = [:]
            var time = self.now
            func settle(_ answered: [AttemptTurns<String>.Turn]) {
                for turn in answered {
                    #expect(waiting.removeValue(forKey: turn.number) != nil)
                    if let attempt = self.begun(turn.answer) { open.append(attempt) }
                }
            }
            for number in 1...120 {
                time = time + .milliseconds(Int64(generator.next() % 2000))
                switch generator.next() % 4 {
                case 0, 1:
                    let address = ["a", "b", "c"][Int(generator.next() % 3)]
                    switch turns.ask(address, UInt64(number), now: time) {
                    case .begins(let attempt): open.append(attempt)
                    case .waits:
                        waiting[UInt64(number)] = address
                        if let turn = turns.turnAway() { #expect(waiting.removeValue(forKey: turn.number) != nil) }
                        #expect(waiting.count <= 5)
                    case .refused: break
                    case .turnedAway: Issue.record("turned away before it waits")
                    }
                case 2 where !open.isEmpty:
                    let attempt = open.remove(at: Int(generator.next() % UInt64(open.count)))
                    settle(turns.end(attempt, isWrong: generator.next() % 3 == 0, now: time))
                default:
                    if let (number, address) = waiting.first {
                        turns.giveUp(address, number)
                        waiting[number] = nil
                    }
                }
                #expect(open.count <= 3)
                for address in ["a", "b", "c"] { #expect(open.count { $0.address == address } <= 2) }
            }
            while !open.isEmpty { settle(turns.end(open.removeFirst(), isWrong: generator.next() % 2 == 0, now: time)) }
            #expect(waiting.isEmpty)
            #expect(turns.isIdle)
        }
    }

    /// Numbers that are the same in every run.
    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            self.state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = self.state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}
