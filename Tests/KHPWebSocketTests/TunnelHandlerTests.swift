// The handler that asks a proxy for a tunnel, over a channel in memory: its steps, its deadline, and how it makes way.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@Suite("Tunnel handler", .timeLimit(.minutes(1)))
struct TunnelHandlerTests {
    static let deadline = NIODeadline.uptimeNanoseconds(5_000_000_000)

    /// A connection to a proxy. Used on one thread, without an `await` in between.
    final class ProxyConnection {
        let channel = EmbeddedChannel()
        let handler: TunnelHandler
        private let steps: AsyncStream<TunnelHandler.Step>

        init(_ proxy: String = "http://proxy.example") throws {
            let (steps, continuation) = AsyncStream.makeStream(of: TunnelHandler.Step.self)
            self.steps = steps
            self.handler = try TunnelHandler(
                tunnel: Tunnel(through: Proxy(proxy), to: WebSocketURL("ws://server.example/")),
                proxy: Proxy(proxy),
                deadline: TunnelHandlerTests.deadline,
                steps: continuation
            )
            try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            try self.channel.pipeline.syncOperations.addHandler(self.handler)
        }

        /// The text that was sent to the proxy since the last call.
        func sent() throws -> String {
            var text = ""
            while let bytes = try self.channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
            return text
        }

        func receive(_ text: String) throws {
            try self.channel.writeInbound(ByteBuffer(string: text))
        }

        /// Ends the connection: all steps that were told.
        func end() -> AsyncStream<TunnelHandler.Step> {
            _ = try? self.channel.finish(acceptAlreadyClosed: true)
            return self.steps
        }
    }

    static func name(_ step: TunnelHandler.Step) -> String {
        switch step {
        case .challenge(let response, let staysOpen): "challenge \(response.status) \(staysOpen)"
        case .established(let head): "established \(head?.status ?? 0)"
        case .retry: "retry"
        case .unreached(let error): "unreached \(error.code)"
        case .failed(let error): "failed \(error.code)"
        }
    }

    private static let request = "CONNECT server.example:80 HTTP/1.1\r\nHost: server.example:80\r\n\r\n"
    static let challenge =
        "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"gate\"\r\nContent-Length: 0\r\n\r\n"

    /// One answer of the proxy, and then the end of the connection.
    @Test(
        "each answer is one step, and one that fails closes the connection",
        arguments: [
            ("HTTP/1.1 200 OK\r\n\r\n", "established 200", true),
            (Self.challenge, "challenge 407 true", true),
            ("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", "failed proxy-refused", false),
            ("nonsense\r\n\r\n", "failed proxy-invalid", false),
        ]
    )
    func answers(_ answer: String, _ expected: String, _ staysOpen: Bool) async throws {
        let (sent, isOpen, steps) = try {
            let proxy = try ProxyConnection()
            let sent = try proxy.sent()
            try? proxy.receive(answer)
            return (sent, proxy.channel.isActive, proxy.end())
        }()
        #expect(sent == Self.request)
        #expect(isOpen == staysOpen)
        var names: [String] = []
        for await step in steps { names.append(Self.name(step)) }
        #expect(names.first == expected)
    }

    @Test("an answer to a challenge asks again on the same connection, and not on one that is closed")
    func challenged() throws {
        let proxy = try ProxyConnection()
        _ = try proxy.sent()
        try proxy.receive(Self.challenge)
        #expect(proxy.handler.answer("Basic eA==", deadline: Self.deadline))
        #expect(try proxy.sent().contains("Proxy-Authorization: Basic eA==\r\n"))
        _ = proxy.end()
        #expect(!proxy.handler.answer("Basic eA==", deadline: Self.deadline))
    }

    @Test("the deadline ends the wait, and stands still while somebody looks for an answer")
    func deadline() async throws {
        let (before, after, steps) = try {
            let proxy = try ProxyConnection()
            try proxy.receive(Self.challenge)
            proxy.channel.embeddedEventLoop.advanceTime(to: Self.deadline + .seconds(60))
            let before = proxy.channel.isActive
            #expect(proxy.handler.answer("Basic eA==", deadline: Self.deadline + .seconds(120)))
            proxy.channel.embeddedEventLoop.advanceTime(to: Self.deadline + .seconds(120))
            return (before, proxy.channel.isActive, proxy.end())
        }()
        #expect(before && !after)
        var names: [String] = []
        for await step in steps { names.append(Self.name(step)) }
        #expect(names == ["challenge 407 true", "failed timeout"])
    }

    @Test("bytes of the server that came with the proxy's answer, and behind it, reach the connection's handler")
    func enters() throws {
        let proxy = try ProxyConnection()
        let request = openingRequest("/behind")
        try proxy.receive("HTTP/1.1 200 OK\r\n\r\n" + request.prefix(20))
        try proxy.receive(String(request.dropFirst(20)))
        let recorder = Recorder()
        _ = try proxy.handler.enter(tls: nil) { channel in
            ConnectionHandler(
                connection: Connection(
                    server: ConnectionConfiguration(ConnectionSettings()),
                    isSecure: false,
                    now: .now()
                ),
                delegate: recorder,
                eventLoop: channel.eventLoop,
                transport: .socket
            )
        }
        #expect(recorder.path == "/behind")
        #expect(throws: WebSocketError.self) {
            _ = try proxy.handler.enter(tls: nil) { _ in throw CancellationError() }
        }
        _ = proxy.end()
    }

    private final class Recorder: ConnectionDelegate {
        var path: String?

        func connected(_ handler: ConnectionHandler) {}

        func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {
            if case .server(.decideOpening(let request)) = action { self.path = request.path }
        }
    }
}
