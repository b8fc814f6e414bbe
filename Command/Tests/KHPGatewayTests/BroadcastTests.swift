// The ends of sessions that the gateway answers itself, as operators read them.

import CommandTestSupport
import KHPClient
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("Sessions of the gateway's own services", .timeLimit(.minutes(1)))
struct BroadcastTests {
    @Test("a member that does not keep up is closed as a slow one, and the rest go on")
    func slowMember() async throws {
        try await withService(backends: [], kind: .broadcast, rules: { $0.relay.buffer = 4096 }) { view in
            let slow = try BlockingSocket.connect(view.port, receiveBuffer: 4096)
            try slow.send(openingRequest("/x"))
            _ = try await offThread { try slow.receiveHead() }
            let author = try await WebSocketClient().connect(to: view.url)
            let isOver = Task { await view.ends.next() }
            // More than the systems of both sides take for it, and the room holds.
            for _ in 0..<160 {
                try await author.send(ByteBuffer(repeating: 1, count: 65_536))
                _ = try await author.receive()
            }
            slow.close()
            let ended = try #require(await isOver.value)
            #expect(ended.end == .tooSlow)
            #expect((ended.end.party, ended.end.cause, ended.end.code) == (.gateway, .clientStalled, .policyViolation))
            try await author.close()
            #expect(await view.ends.next()?.end.cause == .clientClose)
        }
    }

    @Test(
        "idle and maxLifetime end their sessions as they end relays",
        arguments: [GatewayConfiguration.Kind.echo, .broadcast],
        [SessionEnd.Cause.idle, .lifetime]
    )
    func timers(_ kind: GatewayConfiguration.Kind, _ cause: SessionEnd.Cause) async throws {
        let time = Duration.milliseconds(60)
        try await withService(backends: [], kind: kind, pool: { _ in }) { rules in
            if cause == .idle { rules.lifetime.idle = time } else { rules.lifetime.maximum = time }
        } body: { view in
            let socket = try await WebSocketClient().connect(to: view.url)
            let info = try await socket.closed()
            #expect(info.code == (cause == .idle ? .goingAway : .policyViolation))
            #expect(await view.ends.next()?.end == .timer(cause, time, service: "s"))
        }
    }

    @Test("idle counts from the last look at which something had moved")
    func idleness() {
        func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }
        var idleness = Idleness(limit: .seconds(10), mark: 0, now: at(0))
        let looks = [(0, 9), (1, 10), (1, 19), (1, 20)].map { idleness.isOver($0.0, now: at($0.1)) }
        #expect(looks == [false, false, false, true])
    }

    @Test("a member that says more at once than the room can take is closed for that")
    func tooMuch() async throws {
        try await withService(backends: [], kind: .broadcast) { view in
            let socket = try BlockingSocket.connect(view.port)
            try socket.send(openingRequest("/x"))
            _ = try await offThread { try socket.receiveHead() }
            // One turn of the event loop reads more messages than may wait for it, once its reads have grown.
            let frames = [[UInt8]](repeating: [0x81, 0x81, 0, 0, 0, 0, 0x78], count: 20_000).flatMap(\.self)
            // 1013, and the reason.
            let end: [UInt8] = [0x03, 0xF5] + Array("too much at once".utf8)
            let isTold = try await offThread {
                try socket.send(frames)
                var answer: [UInt8] = []
                while answer.suffix(end.count) != end[...] {
                    let bytes = try socket.receive()
                    if bytes.isEmpty { return false }
                    answer += bytes
                }
                return true
            }
            #expect(isTold)
            socket.close()
            #expect(await view.ends.next()?.end == .tooMuch)
        }
    }
}
