// The states in which an end of ours waits for somebody, each held as long as its processor time is measured.

import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import TestSupport

struct IdleState: Sendable {
    typealias Measure = @Sendable () async throws -> Void

    var name: String
    /// Brings the state about, measures, and ends it.
    var hold: @Sendable (_ measure: @escaping Measure) async throws -> Void

    /// Holds a connect that waits.
    private static func connecting(
        to url: String,
        _ measure: Measure,
        _ configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) async throws {
        var configuration = WebSocketClient.Configuration()
        configure(&configuration)
        let client = WebSocketClient(configuration: configuration)
        let connect = Task { try await client.connect(to: url) }
        try await measure()
        connect.cancel()
        _ = await connect.result
    }

    /// A server that takes what comes and says nothing.
    private static func silence(_ body: (Int) async throws -> Void) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in
                for try await _ in inbound {}
            }
        } body: { port in
            try await body(port)
        }
    }

    /// A server of ours, which ends soon whatever its endpoints do.
    private static func serving(
        _ endpoints: [Endpoint],
        tls: TLSConfiguration? = nil,
        _ body: (Int) async throws -> Void
    ) async throws {
        try await withServer(
            {
                $0.gracefulShutdownTimeout = .milliseconds(10)
                $0.tls = tls
            },
            endpoints: { return endpoints },
            body: body
        )
    }

    /// A peer of the system's own at a server of ours.
    private static func peer(
        at port: Int,
        saying text: String,
        answered: Bool = true,
        _ body: (BlockingSocket) async throws -> Void
    ) async throws {
        let socket = try await offThread {
            let socket = try BlockingSocket.connect(port)
            if !text.isEmpty { try socket.send(text) }
            if answered { _ = try socket.receiveHead() }
            return socket
        }
        defer { socket.close() }
        try await body(socket)
    }

    private static let endless: @Sendable () async -> Void = { try? await Task.sleep(for: .seconds(60)) }

    static let all: [IdleState] = Self.handshakes + Self.openSockets + Self.ends + Self.listeners

    private static let handshakes: [IdleState] = [
        IdleState(name: "opening, client") { measure in
            try await Self.silence { try await Self.connecting(to: "ws://127.0.0.1:\($0)/", measure) }
        },
        IdleState(name: "opening, server") { measure in
            try await Self.serving([
                echo()
            ]) { port in
                try await Self.peer(at: port, saying: "GET /echo HTTP/1.1\r\n", answered: false) { _ in
                    try await measure()
                }
            }
        },
        IdleState(name: "extended handshake, both") { measure in
            try await Self.serving([
                Endpoint("/") { _ in
                    await Self.endless()
                    return .complete()
                }
            ]) { port in
                try await Self.connecting(to: "ws://127.0.0.1:\(port)/", measure) { $0.extended.policy = .required }
            }
        },
        IdleState(name: "challenged, client and server") { measure in
            struct Slow: ChallengeHandler {
                func respond(to request: ChallengeRequest) async -> Credentials? {
                    await IdleState.endless()
                    return nil
                }
            }
            let authentication = ServerAuthentication(realm: "desk", .basic { _, _ in nil })
            for policy in [ExtendedHandshakePolicy.off, .required] {
                try await Self.serving([
                    Endpoint("/", options: .init(authentication: authentication)) { _ in }
                ]) { port in
                    try await Self.connecting(
                        to: "ws://127.0.0.1:\(port)/",
                        measure
                    ) {
                        $0.extended.policy = policy
                        $0.authentication.challengeHandler = Slow()
                    }
                }
            }
        },
        IdleState(name: "202, client and server") { measure in
            try await Self.serving([
                Endpoint("/") { _ in
                    .processing {
                        await Self.endless()
                        return .complete()
                    }
                }
            ]) { port in
                try await Self.connecting(to: "ws://127.0.0.1:\(port)/", measure) { $0.extended.policy = .required }
            }
        },
        IdleState(name: "tunnel, CONNECT and SOCKS 5") { measure in
            for scheme in ["http", "socks5"] {
                try await Self.silence { port in
                    let proxy = try Proxy("\(scheme)://127.0.0.1:\(port)")
                    try await Self.connecting(to: "ws://example.com/", measure) { $0.proxy = .proxy(proxy) }
                }
            }
        },
        IdleState(name: "TLS handshake, client") { measure in
            try await Self.silence { try await Self.connecting(to: "wss://127.0.0.1:\($0)/", measure) }
        },
        IdleState(name: "TLS handshake, server") { measure in
            let tls = try TortureSettings.serverTLS.get()
            try await Self.serving(
                [
                    echo()
                ],
                tls: tls
            ) { port in
                try await Self.peer(at: port, saying: "\u{16}", answered: false) { _ in try await measure() }
            }
        },
        IdleState(name: "waiting for a place of an address") { measure in
            try await Self.silence { port in
                let client = WebSocketClient()
                let first = Task { try await client.connect(to: "ws://127.0.0.1:\(port)/") }
                let second = Task { try await client.connect(to: "ws://127.0.0.1:\(port)/") }
                try await measure()
                for connect in [first, second] {
                    connect.cancel()
                    _ = await connect.result
                }
            }
        },
    ]

    private static let openSockets: [IdleState] = [
        IdleState(name: "open and idle") { measure in
            try await Self.serving([
                echo()
            ]) { port in
                try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                    try await socket.send("hi")
                    _ = try await socket.receive()
                    try await measure()
                }
            }
        },
        IdleState(name: "paused reading, and a sender that waits") { measure in
            try await Self.serving([
                Endpoint("/") { _ in await Self.endless() }
            ]) { port in
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/")
                let sending = Task {
                    let bytes = ByteBuffer(repeating: 7, count: 100_000)
                    while true { try await socket.send(bytes) }
                }
                try await measure()
                sending.cancel()
                _ = await sending.result
            }
        },
        IdleState(name: "paused reading, and the peer has ended its stream") { measure in
            try await Self.serving([
                Endpoint("/") { _ in await Self.endless() }
            ]) { port in
                try await Self.peer(at: port, saying: openingRequest("/")) { peer in
                    try await offThread {
                        for _ in 0..<20 { try peer.send(maskedFrame(2, Array(repeating: 7, count: 60_000))) }
                        peer.finish()
                    }
                    try await measure()
                }
            }
        },
        IdleState(name: "the pause before the next connect") { measure in
            var policy = ReconnectPolicy()
            policy.initialDelay = .seconds(20)
            policy.maximumDelay = .seconds(20)
            let client = WebSocketClient()
            let connect = Task { [policy] in
                try await client.withReconnection(to: "ws://127.0.0.1:1/", policy: policy) { _ in }
            }
            try await measure()
            connect.cancel()
            _ = await connect.result
        },
    ]

    private static let ends: [IdleState] = [
        IdleState(name: "closing, server; the peer does not answer") { measure in
            try await Self.serving([
                Endpoint("/") { _ in }
            ]) { port in
                try await Self.peer(at: port, saying: openingRequest("/")) { _ in try await measure() }
            }
        },
        IdleState(name: "closing, client; the peer does not answer") { measure in
            try await withRawServer { connection in
                try await connection.executeThenClose { inbound, outbound in
                    var reads = inbound.makeAsyncIterator()
                    var head = ""
                    while !head.hasSuffix("\r\n\r\n"), let bytes = try await reads.next() {
                        head += String(buffer: bytes)
                    }
                    let key = head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") } ?? ""
                    let lines = [
                        "HTTP/1.1 101 X", "Upgrade: websocket", "Connection: Upgrade",
                        "Sec-WebSocket-Accept: \(acceptValue(for: String(key.dropFirst(19))))", "", "",
                    ]
                    try await outbound.write(ByteBuffer(string: lines.joined(separator: "\r\n")))
                    while try await reads.next() != nil {}
                }
            } body: { port in
                var configuration = WebSocketClient.Configuration()
                configuration.timeouts.close = .seconds(2)
                let socket = try await WebSocketClient(configuration: configuration).connect(
                    to: "ws://127.0.0.1:\(port)/"
                )
                let close = Task { try await socket.close() }
                try await measure()
                _ = await close.result
            }
        },
        IdleState(name: "draining; a peer does not answer") { measure in
            var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
            configuration.gracefulShutdownTimeout = .seconds(2)
            let server = WebSocketServer(configuration: configuration) { echo() }
            let run = Task { try await server.run() }
            let port = try await server.boundPort() ?? 0
            try await Self.peer(at: port, saying: openingRequest("/echo")) { _ in
                run.cancel()
                try await measure()
            }
            _ = await run.result
        },
        IdleState(name: "lingering behind a refusal") { measure in
            try await Self.serving([
                echo()
            ]) { port in
                let request = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome of it"
                try await Self.peer(at: port, saying: request) { _ in try await measure() }
            }
        },
        IdleState(name: "a peer has ended its stream, and an answer is made") { measure in
            try await Self.serving([
                Endpoint("/") { _ in
                    await Self.endless()
                    return .complete()
                }
            ]) { port in
                try await Self.peer(at: port, saying: openingRequest("/"), answered: false) { peer in
                    peer.finish()
                    try await measure()
                }
            }
        },
    ]

    private static let listeners: [IdleState] = [
        IdleState(name: "listening") { measure in
            try await Self.serving([
                echo()
            ]) { _ in
                try await measure()
            }
        },
        IdleState(name: "listening, without descriptors for those who come") { measure in
            try await Self.serving([
                echo()
            ]) { port in
                // The client's descriptor is there before.
                let client = try BlockingSocket.unconnected()
                defer { client.close() }
                try await Descriptors.withoutFreeOnes {
                    try client.connect(to: port)
                    try await measure()
                }
            }
        },
    ]
}
