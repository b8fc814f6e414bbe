// Clients that come, talk and go, for as long as is asked, through proxies that break a part of what they say.

import BenchMeters
import KHPClient
import NIOCore
import Synchronization

/// Connections at the same time, one after the other in each place; and the server's memory and descriptors meanwhile.
final class Chaos: Sendable {
    /// No conversation takes longer: what a proxy swallows for good is noticed by pings.
    private static let patience = Duration.seconds(180)

    private let options: Options
    private let client: WebSocketClient
    private let tally = Mutex(Tally())

    init(_ options: Options) {
        self.options = options
        self.client = WebSocketClient()
    }

    func run() async throws {
        let pid = self.options.pid
        // A server opens the timer of its event loop for its first connection, and keeps it.
        var generator = SplitMix(state: self.options.seed)
        for (place, port) in self.options.ports.enumerated() {
            _ = await self.converse(Target(place, port), &generator)
        }
        // By then their connections have gone.
        try await Task.sleep(for: .seconds(12))
        let start = openDescriptors(of: pid)
        let end = ContinuousClock.now + .seconds(self.options.seconds)
        var warm = 0
        var most = 0
        try await withThrowingTaskGroup(of: Void.self) { group in
            for place in 0..<self.options.connections {
                group.addTask { await self.occupy(place, until: end) }
            }
            let begin = ContinuousClock.now
            while ContinuousClock.now < end {
                try await Task.sleep(for: .seconds(5))
                let bytes = residentBytes(of: pid)
                let isWarm = ContinuousClock.now - begin > .seconds(max(45, self.options.seconds / 4))
                if isWarm, warm == 0 { warm = bytes }
                if isWarm { most = max(most, bytes) }
            }
            try await group.waitForAll()
        }
        // Connections that the proxies hold up end by the server's own times.
        for _ in 0..<120 where openDescriptors(of: pid) > start { try await Task.sleep(for: .seconds(1)) }
        let descriptors = openDescriptors(of: pid)
        let tally = self.tally.withLock { $0 }
        for line in tally.lines { BenchScale.say(line) }
        let growth = Double(most) / Double(max(warm, 1))
        BenchScale.say(
            "server: \(warm / 1024) KiB when warm, \(most / 1024) KiB at the most, \(hundredths(growth)) times"
        )
        BenchScale.say("server: \(start) descriptors before, \(descriptors) after")
        let together = Int(Double(self.options.connections) * Bound.together)
        if !tally.violations.isEmpty || growth > Bound.soak || descriptors != start {
            BenchScale.fail("bench-scale: chaos: a promise was not kept\n")
        }
        // Otherwise nothing was tried.
        if tally.partInOrder < Bound.inOrder || tally.most < together {
            BenchScale.fail("bench-scale: chaos: too few conversations in order, or less than \(together) at a time\n")
        }
    }

    /// One conversation after the other.
    private func occupy(_ place: Int, until end: ContinuousClock.Instant) async {
        var generator = SplitMix(state: self.options.seed &+ UInt64(place) &* 1_000_003)
        let target = Target(place, self.options.ports[place % self.options.ports.count])
        // All at once would be a flood, and refused as one.
        try? await Task.sleep(for: .milliseconds(Int.random(in: 0...20_000, using: &generator)))
        while ContinuousClock.now < end {
            let begin = ContinuousClock.now
            let outcome = await self.converse(target, &generator)
            let time = ContinuousClock.now - begin
            self.tally.withLock { tally in
                tally.count(outcome)
                if time > Self.patience { tally.count(.violation("a conversation took \(time)")) }
            }
            try? await Task.sleep(for: .milliseconds(Int.random(in: 10...2_000, using: &generator)))
        }
    }

    private func converse(_ target: Target, _ generator: inout SplitMix) async -> Outcome {
        do {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0: return try await self.takeBurst(target, count: Int.random(in: 1...200, using: &generator))
            case 1: return try await self.fillSink(target, count: Int.random(in: 1...200, using: &generator))
            default: return try await self.echo(target, SplitMix(state: generator.next()))
            }
        } catch let error as WebSocketError {
            // No proxy here changes a byte: whoever sees broken frames has lost some.
            return error.code == .protocolViolation ? .violation("\(error)") : .failed("\(error.code)")
        } catch {
            return .violation("\(error)")
        }
    }

    /// Connects, and counts the connection while it is open.
    private func withSocket(
        _ target: Target,
        _ path: String,
        _ talk: (WebSocket) async throws -> Outcome
    ) async throws -> Outcome {
        try await self.client.withConnection(to: "ws://\(target.authority)\(path)") { socket in
            self.tally.withLock { $0.opens() }
            defer { self.tally.withLock { $0.ends() } }
            return try await talk(socket)
        }
    }

    /// The server sends and closes: a clean end has all messages before it.
    private func takeBurst(_ target: Target, count: Int) async throws -> Outcome {
        try await self.withSocket(target, "/burst/\(count)") { socket in
            var next = 0
            for try await message in socket.messages {
                guard message == .text("\(next)") else { return .violation("\(message) instead of \(next)") }
                next += 1
            }
            return next == count ? .clean : .violation("a clean close after \(next) of \(count) messages")
        }
    }

    /// The client sends and closes: the server tells what it has got in front of a clean end.
    private func fillSink(_ target: Target, count: Int) async throws -> Outcome {
        try await self.withSocket(target, "/sink/\(count)") { socket in
            for number in 0..<count { try await socket.send("\(number)") }
            let end = try await socket.close()
            return end.clean ? .clean : .failed("\(end.error?.code ?? .closed)")
        }
    }

    /// Messages in bursts, their echoes in order, and a close.
    private func echo(_ target: Target, _ seed: SplitMix) async throws -> Outcome {
        try await self.withSocket(target, "/") { socket in
            var generator = seed
            var number = 0
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let texts = (0..<Int.random(in: 1...8, using: &generator)).map { _ in
                    number += 1
                    return "\(number) " + String(repeating: "x", count: Int.random(in: 0...2_000, using: &generator))
                }
                for text in texts { try await socket.send(text) }
                for text in texts {
                    guard try await socket.receive() == .text(text) else {
                        return .violation("another message than \(text.prefix(8)) came back")
                    }
                }
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...20_000, using: &generator)))
            }
            return .clean
        }
    }
}

/// The proxy of a place, at one of its addresses.
private struct Target: Sendable {
    let authority: String

    init(_ place: Int, _ port: Int) { self.authority = "\(FaultyProxy.address(place / 2)):\(port)" }
}

/// The end of a conversation.
private enum Outcome: Sendable {
    case clean
    /// An error says so.
    case failed(String)
    case violation(String)
}

/// All conversations, counted by their ends.
private struct Tally {
    private var clean = 0
    private var failed: [String: Int] = [:]
    private(set) var violations: [String] = []
    private var open = 0
    /// Open at the same time, at the most.
    private(set) var most = 0

    mutating func opens() {
        self.open += 1
        self.most = max(self.most, self.open)
    }

    mutating func ends() { self.open -= 1 }

    /// The part of all conversations that ended in order.
    var partInOrder: Double {
        Double(self.clean) / Double(max(1, self.clean + self.failed.values.reduce(0, +) + self.violations.count))
    }

    mutating func count(_ outcome: Outcome) {
        switch outcome {
        case .clean: self.clean += 1
        case .failed(let code): self.failed[code, default: 0] += 1
        case .violation(let text): self.violations.append(text)
        }
    }

    var lines: [String] {
        let failed = self.failed.sorted { $0.value > $1.value }.map { "\($0.key) \($0.value)" }
        return [
            "\(self.clean) conversations in order; with an error: \(failed.joined(separator: ", "))",
            "\(self.most) open at one time",
        ]
            + ["\(self.violations.count) promises not kept"] + self.violations.prefix(20).map { "  " + $0 }
    }
}

private func hundredths(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
