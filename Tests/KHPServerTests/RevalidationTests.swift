// A session whose proof is made anew while it is open: the server asks by an extension, the client answers over HTTP.

import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("A session's proof made anew", .timeLimit(.minutes(1)))
struct RevalidationTests {
    /// Asks when it opens, and ends as it is told.
    private final class Asking: MessageHandler {
        func opened(_ socket: EventLoopSocket) {
            let isAsked = try? socket.askToRevalidate(path: "/x/;a/7?.kc=1")
            try? socket.send(.text("asked: \(isAsked ?? false)"))
        }

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
            socket.endSession(at: .now())
        }
    }

    @Test("the client is asked where it agreed, and the session ends when it is told to", arguments: [true, false])
    func asked(_ agrees: Bool) async throws {
        let asked = Mutex<[KaazingHTTPRevalidate.Request]>([])
        try await withServer {
            Endpoint("/x", options: .init(extensions: [KaazingHTTPRevalidate()]), messageHandler: { Asking() })
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            if agrees {
                configuration.extensions = [
                    KaazingHTTPRevalidate { request in asked.withLock { $0.append(request) } }
                ]
            }
            let socket = try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/x")
            var messages = socket.messages.makeAsyncIterator()
            #expect(try await messages.next() == .text("asked: \(agrees)"))
            #expect(asked.withLock { $0.map(\.path) } == (agrees ? ["/x/;a/7?.kc=1"] : []))
            let sent = ContinuousClock.now
            try await socket.send("end")
            #expect(try await messages.next() == nil)
            // Not with the next deadline that there would be anyway.
            #expect(ContinuousClock.now - sent < .seconds(5) * Sanitizer.patience)
            let info = try await socket.closed()
            #expect(info.code == .policyViolation)
        }
    }
}
