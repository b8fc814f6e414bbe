// A peer that leaves while the endpoint takes no messages: its end is noticed at once, what it said stays readable.

import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("The end of a peer whose messages nobody takes", .timeLimit(.minutes(1)))
struct UnreadEndTests {
    enum End: String, CaseIterable, CustomTestStringConvertible {
        case close = "a close frame, and it goes"
        case closeAndHalf = "a close frame, and the end of its stream"
        case end = "the end of its stream"
        case gone = "it is gone"
        case reset = "a reset"

        var testDescription: String { self.rawValue }
        var hasCloseFrame: Bool { self == .close || self == .closeAndHalf }
    }

    /// How the server's side ended, and what it could read afterwards.
    struct Seen: Sendable {
        var info: CloseInfo
        var after: Duration
        var sendFails: Bool
        var messages: Int
        var thrown: String?
    }

    @Test("is noticed, its messages are all there, and the channel is closed", arguments: End.allCases)
    func leaves(_ end: End) async throws {
        let (results, tell) = AsyncStream.makeStream(of: Seen.self)
        let (ends, tellEnd) = AsyncStream.makeStream(of: ContinuousClock.Instant.self)
        let count = 700
        try await withServer {
            $0.gracefulShutdownTimeout = .milliseconds(500)
            $0.timeouts.closeHold = .milliseconds(300)
        } endpoints: {
            // A feed that only sends.
            Endpoint("/feed") { socket in
                try await socket.send("hello")
                let info = try await socket.closed()
                var began: ContinuousClock.Instant?
                for await instant in ends {
                    began = instant
                    break
                }
                var seen = Seen(
                    info: info,
                    after: began.map { ContinuousClock.now - $0 } ?? .zero,
                    sendFails: false,
                    messages: 0
                )
                do { try await socket.send("anybody there?") } catch { seen.sendFails = true }
                do {
                    for try await message in socket.messages {
                        if message == .text("\(seen.messages)") { seen.messages += 1 }
                    }
                } catch {
                    seen.thrown = "\(error)"
                }
                tell.yield(seen)
            }
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/feed"))
            _ = try await client.receive { $0.readableBytesView.suffix(5).elementsEqual("hello".utf8) }
            try await client.send((0..<count).flatMap { maskedFrame(1, Array("\($0)".utf8)) })
            if end.hasCloseFrame { try await client.send(maskedFrame(8, [3, 232])) }
            tellEnd.yield(.now)
            switch end {
            case .close, .gone: try await client.close()
            case .closeAndHalf, .end: try await client.endOutput()
            case .reset: try await client.reset()
            }
            // The server ends the connection whoever reads or does not.
            if end == .closeAndHalf || end == .end {
                let rest = try await client.receiveAll()
                let answer = Array(rest.readableBytesView.suffix(4))
                #expect((answer == [0x88, 2, 3, 232]) == (end == .closeAndHalf))
            }
            for await seen in results {
                #expect(seen.after < .seconds(4 * Sanitizer.patience))
                #expect(seen.sendFails)
                #expect(seen.info.initiator == .peer)
                // A reset may take with it what the server's system has not handed over.
                if end != .reset {
                    #expect(seen.messages == count)
                    #expect((seen.thrown == nil) == end.hasCloseFrame)
                    #expect(seen.info.code == (end.hasCloseFrame ? .normalClosure : .abnormal))
                }
                break
            }
        }
    }
}
