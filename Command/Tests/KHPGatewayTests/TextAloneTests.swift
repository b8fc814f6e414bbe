// Relays to clients whose dialect has no binary messages: bytes become text, and what is no text ends the session visibly.

import CommandTestSupport
import KHPClient
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("The relay to a client without binary messages", .timeLimit(.minutes(1)))
struct TextAloneTests {
    private static func open(_ view: ServiceView, _ dialect: Dialect) async throws -> WebSocket {
        var configuration = WebSocketClient.Configuration()
        configuration.dialect = dialect
        configuration.extended.policy = .off
        return try await WebSocketClient(configuration: configuration).connect(to: view.url)
    }

    @Test(
        "the backend's bytes arrive as text, the first ones too",
        arguments: [GatewayConfiguration.Frames.binary, .auto],
        [Dialect.hixie75, .hixie76, .whatwg2010]
    )
    func text(_ frames: GatewayConfiguration.Frames, _ dialect: Dialect) async throws {
        _ = try await BlockingSocket.serving { socket in
            try socket.send(Array("welcome".utf8))
            // The client has it, and says so.
            try socket.send(try socket.receive(2))
            socket.finish()
            return socket.receiveAll().end
        } body: { port in
            try await withService(
                backends: [.local(port)],
                frames: frames,
                rules: { $0.handshake.dialects = [dialect] }
            ) { view in
                let socket = try await Self.open(view, dialect)
                #expect(try await socket.receive() == .text("welcome"))
                try await socket.send("go")
                #expect(try await socket.receive() == .text("go"))
                let ended = try #require(await view.ends.next())
                #expect(ended.end == .backendFin)
                #expect(ended.tally == Tally(inBytes: 2, inMessages: 1, outBytes: 9, outMessages: 2))
                _ = try? await socket.closed()
            }
        }
    }

    @Test("bytes that are no text end the session with a reason that says so, and reset the backend")
    func noText() async throws {
        let (served, _) = try await BlockingSocket.serving { socket in
            try socket.send([0x61, 0xFF])
            return socket.receiveAll().end
        } body: { port in
            try await withService(
                backends: [.local(port)],
                rules: { $0.handshake.dialects = [.hixie76] }
            ) { view in
                let socket = try await Self.open(view, .hixie76)
                let ended = try #require(await view.ends.next())
                #expect(ended.end == .noBinary)
                #expect(ended.tally.outBytes == 0)
                _ = try? await socket.closed()
            }
        }
        #expect(served == .reset)
    }

    @Test("a binary message of a backend that speaks WebSocket ends the session, and does not become another kind")
    func message() async throws {
        try await withServer {
            Endpoint("/in") { socket in
                try await socket.send("first")
                try await socket.send(ByteBuffer(bytes: [0x61]))
                _ = try await socket.closed()
            }
        } body: { port in
            let backend = GatewayConfiguration.Backend(scheme: .ws, host: "127.0.0.1", port: port, path: "/in")
            try await withService(
                backends: [backend],
                rules: { $0.handshake.dialects = [.hixie76] }
            ) { view in
                let socket = try await Self.open(view, .hixie76)
                #expect(try await socket.receive() == .text("first"))
                let ended = try #require(await view.ends.next())
                #expect(ended.end == .noBinary)
                #expect(ended.tally.outMessages == 1)
                _ = try? await socket.closed()
            }
        }
    }
}
