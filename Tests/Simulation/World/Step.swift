// The steps of a run, all of them chosen before it begins: so that steps can be left out of a run that fails, and it still
// fails in the same way.

import KHPProtocol

enum Step: Hashable, Sendable {
    /// So many bytes, at most, arrive at this side, or all but so many; then the end of the stream, if it is due.
    case deliver(Role, atMost: Int)
    /// The shell answers what it was asked, if anything.
    case decide
    case send(Role, count: Int, isText: Bool)
    /// A piece of a message that goes out in pieces.
    case piece(Role, count: Int, isLast: Bool)
    case takeBackStream(Role)
    case ping(Role)
    /// The server wants another proof of who its client is.
    case revalidate
    case close(Role)
    /// The application takes no more messages, or takes them again.
    case pause(Role)
    case pass(milliseconds: Int)
    /// An event that nobody asked for now.
    case poke(Role, Event)
    case fault(Fault, Role, amount: Int)
    /// A stall passes.
    case heal(Role)

    /// The steps of a seed.
    static func all(of scenario: Scenario, using generator: inout SeededGenerator) -> [Step] {
        var steps = (0..<scenario.stepCount).map { _ in self.step(scenario, &generator) }
        for _ in 0..<scenario.faultCount {
            let fault = Fault.allCases[Int.random(in: 0..<Fault.allCases.count, using: &generator)]
            // Early ones meet the handshakes.
            let end = generator.once(in: 3) ? min(16, steps.count) : steps.count
            steps.insert(
                .fault(fault, self.role(&generator), amount: Int.random(in: 0..<100_000, using: &generator)),
                at: Int.random(in: 0...end, using: &generator)
            )
        }
        // An attacker from the first byte on.
        if generator.once(in: 8) {
            steps.insert(
                .fault(.takeover, self.role(&generator), amount: Int.random(in: 0..<100_000, using: &generator)),
                at: Int.random(in: 0...min(2, steps.count), using: &generator)
            )
        }
        return steps
    }

    private static func role(_ generator: inout SeededGenerator) -> Role {
        Bool.random(using: &generator) ? .client : .server
    }

    private static func step(_ scenario: Scenario, _ generator: inout SeededGenerator) -> Step {
        let role = self.role(&generator)
        switch Int.random(in: 0..<80, using: &generator) {
        case 0..<30: return .deliver(role, atMost: self.size(&generator))
        case 30..<42: return .decide
        case 42..<54:
            let count = self.count(scenario, &generator)
            return .send(role, count: count, isText: Bool.random(using: &generator))
        case 54..<58:
            let count = Int.random(in: 0...4_000, using: &generator)
            return .piece(role, count: count, isLast: generator.once(in: 3))
        case 58: return .takeBackStream(role)
        case 59..<61: return .ping(role)
        case 61: return .close(role)
        case 62..<65:
            return scenario.extensions.contains(.revalidate) && role == .server && generator.once(in: 2)
                ? .revalidate : .pause(role)
        case 65..<69: return .pass(milliseconds: Int.random(in: 0...3_000, using: &generator))
        case 69: return .pass(milliseconds: Int.random(in: 1_000...90_000, using: &generator))
        case 70..<78:
            let event = Event.allCases[Int.random(in: 0..<Event.allCases.count, using: &generator)]
            switch event {
            // These end a run: they are faults.
            case .bytes, .end, .reset, .gone: return .poke(role, event)
            case .close where !generator.once(in: 12): return .poke(role, .answer)
            case .garbage where !generator.once(in: 12): return .poke(role, .send)
            case .refuse where !generator.once(in: 6): return .poke(role, .ping)
            default: return .poke(role, event)
            }
        default: return .heal(role)
        }
    }

    /// The size of one read.
    static func size(_ generator: inout SeededGenerator) -> Int {
        switch Int.random(in: 0..<13, using: &generator) {
        case 0: 1
        // All but the last of them: the keys behind a request of the old dialects are eight bytes.
        case 12: -Int.random(in: 1...8, using: &generator)
        case 1..<4: Int.random(in: 2...200, using: &generator)
        case 4..<6: 4_096
        default: 65_536
        }
    }

    /// The size of a message: at the edges of frames' lengths, of limits and of buffers.
    private static func count(_ scenario: Scenario, _ generator: inout SeededGenerator) -> Int {
        switch Int.random(in: 0..<40, using: &generator) {
        case 0..<3: 0
        case 3..<12: Int.random(in: 1...124, using: &generator)
        case 12..<22: Int.random(in: 125...127, using: &generator)
        case 22..<30: Int.random(in: 128...6_000, using: &generator)
        case 30..<34: Int.random(in: 65_534...65_537, using: &generator)
        case 34..<36: scenario.messageLimit + Int.random(in: -1...1, using: &generator)
        case 36: 200_000
        default: Int.random(in: 1...20_000, using: &generator)
        }
    }
}
