// A client may ask for one subprotocol in the opening and for another in the extended handshake: a service's requirements are
// judged on the one that both ends agree on in the end.

import CommandTestSupport
import KHPClient
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("A subprotocol that changes between the handshakes", .timeLimit(.minutes(1)))
struct FinalSubprotocolTests {
    /// `a` for everybody, `b` for a role that nobody has; the first is preferred.
    private static func routes(_ names: [String]) -> GatewayConfiguration.Kind {
        var routes = GatewayConfiguration.SubprotocolRoutes()
        routes.routes = names.map { name in
            var route = GatewayConfiguration.SubprotocolRoutes.Route(subprotocol: name, pool: "p")
            if name == "b" {
                route.require = GatewayConfiguration.Requirement()
                route.require?.roles = ["ops"]
            }
            return route
        }
        return .routed(routes)
    }

    /// The names of both handshakes count, in the order of the service: the rows with `b` first have it win.
    static let rows: [(served: [String], opening: String, extended: String?, status: Int)] = [
        (["b", "a"], "a", "b", 403), (["b", "a"], "b", "a", 403), (["b", "a"], "b", nil, 403),
        (["b", "a"], "a", "c, b", 403), (["b", "a"], "a", "a", 101), (["b", "a"], "a", nil, 101),
        (["a", "b"], "a", "b", 101), (["a", "b"], "b", "a", 101), (["a", "b"], "c", "b", 403),
        (["a", "b"], "b", "c", 403), (["a", "b"], "b", nil, 403), (["a", "b"], "a", "c", 101),
        (["a", "b"], "c", nil, 400),
    ]

    private static func isWhole(_ head: ByteBuffer) -> Bool { String(buffer: head).contains("\r\n\r\n") }

    @Test("is judged on the one that is agreed on in the end", arguments: Self.rows)
    func judged(_ row: (served: [String], opening: String, extended: String?, status: Int)) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        } body: { port in
            try await withService(backends: [.local(port)], kind: Self.routes(row.served)) { view in
                let client = try await RawClient.connect(view.port)
                try await client.send(openingRequest("/x", protocols: "x-kaazing-handshake, \(row.opening)"))
                let opened = try await client.take { Self.isWhole($0) ? $0.readableBytes : nil }
                #expect(String(buffer: opened).hasPrefix("HTTP/1.1 101 "))
                let field = row.extended.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? ""
                try await client.send(maskedFrame(2, Array("GET /x HTTP/1.1\r\n\(field)\r\n".utf8)))
                let answer = String(
                    buffer: try await client.receive { Self.isWhole($0) }
                )
                #expect(answer.contains("HTTP/1.1 \(row.status) "), "\(answer)")
                if row.status == 101 { #expect(answer.contains("Sec-WebSocket-Protocol: a\r\n"), "\(answer)") }
                try await client.close()
                if row.status == 101 {
                    #expect(await view.ends.next()?.facts.subprotocol == "a")
                } else {
                    #expect(view.pool.members[0].snapshot.connects.isEmpty, "the broker is not asked for nothing")
                }
            }
        }
    }
}

@Suite("A subprotocol that a backend of WebSocket chooses", .timeLimit(.minutes(1)))
struct BackendSubprotocolTests {
    private static func backend(_ port: Int) -> GatewayConfiguration.Backend {
        GatewayConfiguration.Backend(scheme: .ws, host: "127.0.0.1", port: port, path: "/in")
    }

    /// A broker that speaks `b` and `c`, prefers `c`, and tells what it was asked for.
    private static func broker() -> Endpoint {
        Endpoint("/in", options: .init(subprotocols: ["c", "b"])) { socket, request in
            try await socket.send("\(request.subprotocols.joined(separator: " "))")
            _ = try await socket.closed()
        }
    }

    /// The service, the names that its client asks for, the one that it hears, and those that the broker is asked for.
    static let rows: [(kind: Kind, asked: [String], heard: String?, seen: String)] = [
        (.pool, ["a", "b", "c"], "c", "a b c"), (.pool, ["b"], "b", "b"), (.pool, ["a"], nil, "a"),
        (.pool, [], nil, ""),
        // The service has chosen.
        (.routed, ["c", "b"], "b", "b"),
        // It has no place for the name, and its last resort is the broker.
        (.routed, ["a", "c"], "c", "a c"), (.routed, [], nil, ""),
    ]

    enum Kind: Sendable {
        case pool
        case routed

        var kind: GatewayConfiguration.Kind {
            guard self == .routed else { return .proxy(pool: "p", frames: nil) }
            var routes = GatewayConfiguration.SubprotocolRoutes()
            routes.routes = [.init(subprotocol: "b", pool: "p")]
            routes.withoutSubprotocol = "p"
            return .routed(routes)
        }
    }

    @Test(
        "is the client's, in whichever handshake it asks",
        arguments: Self.rows,
        [ExtendedHandshakePolicy.required, .off]
    )
    func chosen(
        _ row: (kind: Kind, asked: [String], heard: String?, seen: String),
        _ policy: ExtendedHandshakePolicy
    ) async throws {
        try await withServer {
            Self.broker()
        } body: { port in
            try await withService(backends: [Self.backend(port)], kind: row.kind.kind) { view in
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = policy
                let client = WebSocketClient(configuration: configuration)
                let socket = try await client.connect(to: view.url, subprotocols: row.asked)
                #expect(socket.negotiated.subprotocol == row.heard)
                #expect(try await socket.receive() == .text(row.seen))
                try await socket.close()
                #expect(await view.ends.next()?.facts.subprotocol == row.heard)
            }
        }
    }

    @Test("is none with a byte stream, whatever the client asks for")
    func byteStream() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url, subprotocols: ["a"])
                #expect(socket.negotiated.subprotocol == nil)
                try await socket.close()
            }
        }
    }
}
