// Idle states of HTTP/2: its connections, and the WebSockets on their streams.

import KHPHTTP2
import KHPProtocol
import KHPServer
import NIOCore
import NIOHTTP2
import NIOSSL
import TestSupport

@testable import KHPClient

extension IdleState {
    private static func configure(_ configuration: inout WebSocketClient.Configuration) {
        if let certificates = try? Certificates.shared.get() {
            configuration.tls.trustRoots = .file(certificates.authority)
        }
        configuration.http2 = .required
    }

    private static func client(shares: Bool = false) -> WebSocketClient {
        var configuration = WebSocketClient.Configuration()
        Self.configure(&configuration)
        configuration.http2.sharesConnections = shares
        return WebSocketClient(configuration: configuration)
    }

    /// A close frame in a frame of a stream, masked.
    private static func isClose(_ frame: HTTP2Frame.FramePayload) -> Bool {
        guard case .data(let data) = frame, case .byteBuffer(let bytes) = data.data else { return false }
        return bytes.getInteger(at: bytes.readerIndex) == UInt8(0x88)
    }

    private struct EndOfTLS: ClientInstrument, ConnectInstrument {
        let marks: Marks

        func connecting(to url: WebSocketURL) -> (any ConnectInstrument)? { self }

        func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo) {}

        func begins(_ step: TransportStep) -> (@Sendable (_ failure: WebSocketError?) -> Void)? {
            guard step.kind == .tls else { return nil }
            return { [marks] failure in if failure == nil { marks.note("TLS has come to its end") } }
        }
    }

    static let streams: [IdleState] = [
        IdleState(name: "HTTP/2, waiting for settings, client") { measure in
            let server = LeavingServer(answers: .tls)
            try await server.run { url in
                let marks = Marks()
                // Without HTTP/2 the connect would have failed by then.
                await Self.connecting(to: url, measure, signs: [marks.sign("TLS has come to its end")]) {
                    Self.configure(&$0)
                    $0.instruments = [EndOfTLS(marks: marks)]
                }
            }
        },
        IdleState(name: "HTTP/2, waiting for the first frame, server") { measure in
            try await IdleServer.run(isWatched: true) {
                Self.serveStreams(&$0)
            } body: { server in
                let roots = NIOSSLTrustRoots.file(try Certificates.shared.get().authority)
                let peer = try await RawClient.connect(server.port, trusting: roots, protocols: ["h2"])
                // The server's settings.
                let settings = try await peer.receive { $0.readableBytes >= 9 }
                let sign = Sign("the server has said its settings") { settings.getInteger(at: 3) == UInt8(4) }
                await measure([sign, server.wire.isOpen])
                try await peer.close()
            }
        },
        IdleState(name: "HTTP/2, a connection without streams, both") { measure in
            try await IdleServer.run(isWatched: true) {
                Self.serveStreams(&$0)
            } body: { server in
                let client = Self.client(shares: true)
                let socket = try await client.connect(to: "wss://localhost:\(server.port)/echo")
                _ = try await socket.close()
                await measure([server.wire.isOpen, server.has(0)])
                withExtendedLifetime(client) {}
            }
        },
        IdleState(name: "HTTP/2, a stream that opens, client") { measure in
            let marks = Marks()
            let server = LeavingServer(answers: .settings) { frame in
                if case .headers = frame { marks.note("the request has come") }
            }
            try await server.run { url in
                await Self.connecting(to: url, measure, signs: [marks.sign("the request has come")], Self.configure)
            }
        },
        IdleState(name: "HTTP/2, a stream that opens, both") { measure in
            let marks = Marks()
            try await IdleServer.run([
                Endpoint("/") { _ in
                    await marks.wait("the request is with the endpoint")
                    return .complete()
                }
            ]) {
                Self.serveStreams(&$0)
            } body: { server in
                let signs = [marks.sign("the request is with the endpoint"), server.has(1)]
                await Self.connecting(to: "wss://localhost:\(server.port)/", measure, signs: signs, Self.configure)
            }
        },
        IdleState(name: "HTTP/2, open and idle on a stream") { measure in
            try await IdleServer.run {
                Self.serveStreams(&$0)
            } body: { server in
                try await Self.client().withConnection(to: "wss://localhost:\(server.port)/echo") { socket in
                    try await socket.send("hi")
                    _ = try await socket.receive()
                    await measure([server.has(1)])
                    // It is open still.
                    try await socket.send("hi")
                    _ = try await socket.receive()
                }
            }
        },
        IdleState(name: "HTTP/2, paused reading on a stream, and a sender that waits") { measure in
            let marks = Marks()
            try await IdleServer.run([Endpoint("/") { _ in await marks.wait("open") }]) {
                Self.serveStreams(&$0)
            } body: { server in
                let socket = try await Self.client().connect(to: "wss://localhost:\(server.port)/")
                let sending = PendingCall {
                    let bytes = ByteBuffer(repeating: 7, count: 100_000)
                    while true {
                        try await socket.send(bytes)
                        marks.note("messages")
                    }
                }
                await measure([marks.sign("open"), server.has(1), marks.standstill(of: "messages"), sending.waits])
                await sending.cancel()
            }
        },
        IdleState(name: "HTTP/2, closing on a stream without an answer, server") { measure in
            try await IdleServer.run([Endpoint("/") { _ in }]) {
                Self.serveStreams(&$0)
            } body: { server in
                try await StreamPeer.connected(to: server.port) { peer in
                    await peer.awaitSettings()
                    let close = await (try peer.open("/")).answer(count: 4).content
                    let sign = Sign("the peer has got 1000") { close == ByteBuffer(bytes: [0x88, 2, 3, 0xE8]) }
                    await measure([sign, server.has(1)])
                }
            }
        },
        IdleState(name: "HTTP/2, closing on a stream without an answer, client") { measure in
            let marks = Marks()
            let server = LeavingServer(answers: .requests) { frame in
                if Self.isClose(frame) { marks.note("the close frame has come") }
            }
            try await server.run { url in
                var configuration = WebSocketClient.Configuration()
                Self.configure(&configuration)
                configuration.extended.policy = .off
                configuration.timeouts.close = .seconds(5) * Sanitizer.patience
                let socket = try await WebSocketClient(configuration: configuration).connect(to: url)
                let close = PendingCall { _ = try await socket.close() }
                await measure([marks.sign("the close frame has come"), close.waits])
                await close.cancel()
            }
        },
        IdleState(name: "HTTP/2, draining behind GOAWAY with a stream that stays, server") { measure in
            try await IdleServer.run {
                Self.serveStreams(&$0)
                $0.gracefulShutdownTimeout = .seconds(5) * Sanitizer.patience
            } body: { server in
                try await StreamPeer.connected(to: server.port) { peer in
                    await peer.awaitSettings()
                    let stream = try await peer.open("/echo")
                    _ = await stream.answer(count: 0)
                    let drain = PendingCall { await server.drain() }
                    let close = await stream.answer(count: 4).content
                    var goAways = 0
                    for await frame in peer.frames {
                        guard case .goAway = frame.payload else { continue }
                        goAways += 1
                        break
                    }
                    let signs = [
                        Sign("the peer has got 1001") { close == ByteBuffer(bytes: [0x88, 2, 3, 0xE9]) },
                        Sign("the peer has got GOAWAY") { [goAways] in goAways == 1 },
                    ]
                    await measure(signs + [server.has(1), drain.waits])
                }
            }
        },
        IdleState(name: "HTTP/2, the server has said GOAWAY, and a stream stays, client") { measure in
            let server = LeavingServer()
            try await server.run { url in
                var configuration = WebSocketClient.Configuration()
                Self.configure(&configuration)
                configuration.extended.policy = .off
                configuration.http2.sharesConnections = true
                let client = WebSocketClient(configuration: configuration)
                let socket = try await client.connect(to: url)
                try await server.leave()
                // It has come before the answer to this.
                try await socket.send("on")
                _ = try await socket.receive()
                await measure([Sign("there is one connection") { server.connections == 1 }])
                try await socket.send("on")
                _ = try await socket.receive()
                // GOAWAY has been taken for what it is: the next one goes elsewhere.
                let other = try await client.connect(to: url)
                guard server.connections == 2 else { throw WebSocketError(.closed, "GOAWAY was not taken") }
                _ = try? await other.close()
                _ = try? await socket.close()
            }
        },
    ]
}
