// Conversations of ordinary HTTP on the port of the endpoints, and of WebSockets on streams of HTTP/2.

import HTTPTypes
import KHPHTTP2
import KHPProtocol
import KHPServer
import KHPWebSocket
import NIOCore
import TestSupport

@testable import KHPClient

extension Scenario {
    /// More than a channel in memory has room for.
    private static let piece = String(repeating: "x", count: 30_000)
    private static let pieces = 4

    /// The application of ordinary HTTP.
    @Sendable
    static func serve(_ exchange: HTTPExchange) async throws {
        switch exchange.request.path {
        case "/http/count":
            var count = 0
            for try await piece in exchange.body { count += piece.readableBytes }
            try await exchange.respond(.init(status: .ok), "\(count)")
        case "/http/pieces":
            try await exchange.respond(.init(status: .ok)) { writer in
                for _ in 0..<Self.pieces { try await writer.write(Self.piece) }
            }
        case "/http/slow":
            try await Task.sleep(for: .milliseconds(5))
            try await exchange.respond(.init(status: .ok), "hi")
        case "/http/thinks":
            try await Task.sleep(for: Self.longWait)
            try await exchange.respond(.init(status: .ok), "hi")
        default:
            try await exchange.respond(.init(status: .ok), "hi")
        }
    }

    /// A request with a body in two parts, a response in pieces, and one more request on the same connection.
    @Sendable
    private static func exchanges(_ world: any TortureWorld) async throws -> String {
        try await HTTPPeer.connected(in: world) { peer in
            try await peer.send("POST /http/count HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n")
            try await peer.send(String(repeating: "y", count: 1000))
            try await peer.send(String(repeating: "y", count: 1000))
            let count = try await peer.response()
            try Self.check(count)
            try await peer.send("GET /http/pieces HTTP/1.1\r\nHost: a\r\n\r\n")
            let pieces = try await peer.response()
            try Self.check(pieces)
            let whole = String(repeating: Self.piece, count: Self.pieces)
            guard pieces.content.utf8.count == whole.utf8.count else {
                throw WebSocketError(.closed, "The response is not whole.")
            }
            try await peer.send("GET /http/word HTTP/1.1\r\nHost: a\r\n\r\n")
            let word = try await peer.response()
            try Self.check(word)
            let isSame = count.content == "2000" && word.content == "hi" && pieces.content == whole
            return isSame ? "hi" : Self.anotherMessage
        }
    }

    /// A request of ordinary HTTP, and a WebSocket behind it.
    @Sendable
    private static func upgraded(_ world: any TortureWorld) async throws -> String {
        try await HTTPPeer.connected(in: world) { peer in
            try await peer.send("GET /http/word HTTP/1.1\r\nHost: a\r\n\r\n")
            let word = try await peer.response()
            try Self.check(word)
            let echo = try await Self.socket(peer)
            return word.content == "hi" ? echo : Self.anotherMessage
        }
    }

    /// A WebSocket that sends a word, gets it back and closes.
    @Sendable
    private static func socket(_ peer: HTTPPeer) async throws -> String {
        try await peer.send(openingRequest("/echo"))
        guard try await peer.response().status == 101 else {
            throw WebSocketError(.closed, "The server opens no WebSocket.")
        }
        try await peer.send(maskedFrame(1, Array("hi".utf8)))
        let frame = try await peer.bytes(4)
        guard frame.prefix(2) == [0x81, 2] else { throw WebSocketError(.closed, "It is another frame.") }
        try await peer.send(maskedFrame(8, [3, 0xE8]))
        _ = try await peer.bytes(4)
        return frame.suffix(2) == Array("hi".utf8) ? "hi" : Self.anotherMessage
    }

    /// Bytes that change within a body are noticed by nobody, but those of a head are.
    private static func check(_ response: HTTPPeer.Response) throws {
        if response.status != 200 { throw WebSocketError(.closed, "The response is another: \(response.status)") }
    }

    private static func streams(_ configuration: inout WebSocketClient.Configuration) {
        configuration.extended.policy = .off
        configuration.http2 = .required
    }

    private static func sharedStreams(_ configuration: inout WebSocketClient.Configuration) {
        configuration.extended.policy = .off
        configuration.http2 = .init(.required, sharesConnections: true)
        // A connection that is kept is none that is left.
        configuration.http2.idleTime = .milliseconds(20)
    }

    static let ordinary: [Scenario] = [
        Scenario(name: "HTTP, three exchanges on a connection", act: Self.exchanges),
        Scenario(name: "HTTP, the same over TLS", isSecure: true, isLong: true, act: Self.exchanges),
        Scenario(name: "HTTP, then a WebSocket on the same connection", act: Self.upgraded),
        Scenario(
            name: "HTTP, of another server, then a WebSocket",
            host: .mount,
            isInMemory: true,
            act: Self.upgraded
        ),
        Scenario(name: "HTTP, a WebSocket on a shared connection", host: .mount, isInMemory: true) { world in
            try await HTTPPeer.connected(in: world, Self.socket)
        },
        Scenario(name: "HTTP, upgraded by SwiftNIO", host: .upgrader, isInMemory: true) { world in
            try await HTTPPeer.connected(in: world, Self.socket)
        },
        Scenario(name: "HTTP, a WebSocket behind a PROXY header", beginsWithProxyHeader: true) { world in
            try await HTTPPeer.connected(in: world) { peer in
                try await peer.send("PROXY TCP4 192.0.2.9 192.0.2.1 1024 80\r\n")
                return try await Self.socket(peer)
            }
        },
        Scenario(name: "HTTP, the server drains during an exchange") { world in
            try await HTTPPeer.connected(in: world) { peer in
                try await peer.send("GET /http/slow HTTP/1.1\r\nHost: a\r\n\r\n")
                // Any of the faults may keep the request away, and nothing tells that it does not come.
                for _ in 0..<500 where world.watch.tasks == 0 { try await Task.sleep(for: .milliseconds(1)) }
                async let drained: Void = world.drain()
                let response = try await peer.response()
                await drained
                try Self.check(response)
                return response.content == "hi" ? "hi" : Self.anotherMessage
            }
        },
        Scenario(name: "HTTP, the application thinks", only: .turn, isInMemory: true) { world in
            try await HTTPPeer.connected(in: world) { peer in
                try await peer.send("GET /http/thinks HTTP/1.1\r\nHost: a\r\n\r\n")
                return try await peer.response().content
            }
        },
    ]

    static let overStreams: [Scenario] = [
        Scenario(
            name: "over HTTP/2",
            isSecure: true,
            usesStreams: true,
            configure: Self.streams,
            act: Self.echo("/echo")
        ),
        Scenario(
            name: "both handshakes over HTTP/2",
            isSecure: true,
            usesStreams: true,
            isLong: true,
            configure: {
                Self.streams(&$0)
                $0.extended.policy = .required
            },
            act: Self.echo("/echo")
        ),
        Scenario(
            name: "two on a connection of HTTP/2",
            isSecure: true,
            usesStreams: true,
            isLong: true,
            configure: Self.sharedStreams
        ) { world in
            try await world.client.withConnection(to: world.url("/echo")) { first in
                let word = try await world.client.withConnection(to: world.url("/echo")) { second in
                    try await second.send("hi")
                    guard case .text(let text) = try await second.receive() else { return "" }
                    return text
                }
                try await first.send(word)
                guard case .text(let text) = try await first.receive() else { return "" }
                return text
            }
        },
        Scenario(
            name: "the server drains over HTTP/2",
            isSecure: true,
            usesStreams: true,
            isLong: true,
            configure: Self.sharedStreams
        ) { world in
            let socket = try await world.client.connect(to: world.url("/echo"))
            async let drained: Void = world.drain()
            let end = try await socket.closed()
            await drained
            guard end.code == .goingAway else { throw end.error ?? WebSocketError(.closed, "\(end)") }
            return "hi"
        },
    ]
}
