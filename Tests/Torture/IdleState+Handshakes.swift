// Idle states on the way to an open socket.

import KHPProtocol
import KHPServer
import NIOCore
import TestSupport

@testable import KHPClient

extension IdleState {
    /// Holds a connect that waits.
    static func connecting(
        to url: String,
        _ measure: Measure,
        signs: [Sign],
        _ configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) async {
        var configuration = WebSocketClient.Configuration()
        configure(&configuration)
        let client = WebSocketClient(configuration: configuration)
        let connect = PendingCall { _ = try await client.connect(to: url) }
        await measure(signs + [connect.waits])
        await connect.cancel()
    }

    static let handshakes: [IdleState] = [
        IdleState(name: "opening, client") { measure in
            try await RawListener.run { listener in
                let url = "ws://127.0.0.1:\(listener.port)/"
                await Self.connecting(to: url, measure, signs: [listener.hearsHead(of: "GET /")])
            }
        },
        IdleState(name: "opening, server") { measure in
            let half = "GET /echo HTTP/1.1\r\n"
            try await IdleServer.run(isWatched: true) { server in
                try await BlockingSocket.peer(at: server.port, saying: half, answered: false) { _ in
                    await measure([server.has(1), server.wire.takes(half.utf8.count)])
                }
            }
        },
        IdleState(name: "extended handshake, both") { measure in
            let marks = Marks()
            try await IdleServer.run([
                Endpoint("/") { request in
                    if request.layer == .extended { await marks.wait("the extended request is with the endpoint") }
                    return .complete()
                }
            ]) { server in
                let signs = [marks.sign("the extended request is with the endpoint"), server.has(1)]
                await Self.connecting(to: "ws://127.0.0.1:\(server.port)/", measure, signs: signs) {
                    $0.extended.policy = .required
                }
            }
        },
        IdleState(name: "challenged, client and server") { measure in
            struct Slow: ChallengeHandler {
                let marks: Marks

                func respond(to request: ChallengeRequest) async -> Credentials? {
                    await self.marks.wait("somebody is asked for credentials")
                    return nil
                }
            }
            let authentication = ServerAuthentication(realm: "desk", .basic { _, _ in nil })
            // Behind the opening's 401 the connection ends, and behind that of the extended handshake it stays.
            for (policy, connections) in [(ExtendedHandshakePolicy.off, 0), (.required, 1)] {
                let marks = Marks()
                try await IdleServer.run([
                    Endpoint("/", options: .init(authentication: authentication)) { _ in }
                ]) { server in
                    let signs = [marks.sign("somebody is asked for credentials"), server.has(connections)]
                    await Self.connecting(to: "ws://127.0.0.1:\(server.port)/", measure, signs: signs) {
                        $0.extended.policy = policy
                        $0.authentication.challengeHandler = Slow(marks: marks)
                    }
                }
            }
        },
        IdleState(name: "202, client and server") { measure in
            let marks = Marks()
            try await IdleServer.run([
                Endpoint("/") { _ in
                    .processing {
                        await marks.wait("the later answer is made")
                        return .complete()
                    }
                }
            ]) { server in
                let signs = [marks.sign("the later answer is made"), marks.sign("202 has come"), server.has(1)]
                await Self.connecting(to: "ws://127.0.0.1:\(server.port)/", measure, signs: signs) {
                    $0.extended.policy = .required
                    $0.observe = { event, _ in
                        if case .extendedResponse(_, 202, _, _) = event { marks.note("202 has come") }
                    }
                }
            }
        },
        IdleState(name: "tunnel, CONNECT and SOCKS 5") { measure in
            for scheme in ["http", "socks5"] {
                try await RawListener.run { listener in
                    let proxy = try Proxy("\(scheme)://127.0.0.1:\(listener.port)")
                    let greeting = listener.hears("the greeting of SOCKS") { $0.getInteger(at: 0) == UInt8(5) }
                    let connect = listener.hearsHead(of: "CONNECT example.com:80 ")
                    let sign = scheme == "http" ? connect : greeting
                    await Self.connecting(to: "ws://example.com/", measure, signs: [sign]) { $0.proxy = .proxy(proxy) }
                }
            }
        },
        IdleState(name: "TLS handshake, client") { measure in
            try await RawListener.run { listener in
                let hello = listener.hears("a hello of TLS") { $0.getInteger(at: 0) == UInt8(0x16) }
                await Self.connecting(to: "wss://127.0.0.1:\(listener.port)/", measure, signs: [hello])
            }
        },
        IdleState(name: "TLS handshake, server") { measure in
            let tls = try TortureSettings.serverTLS.get()
            try await IdleServer.run(isWatched: true) {
                $0.tls = tls
            } body: { server in
                try await BlockingSocket.peer(at: server.port, saying: "\u{16}", answered: false) { _ in
                    await measure([server.has(1), server.wire.takes(1)])
                }
            }
        },
        IdleState(name: "waiting for a place of an address") { measure in
            try await RawListener.run { listener in
                let client = WebSocketClient()
                let connects = (0..<2).map { _ in
                    PendingCall { _ = try await client.connect(to: "ws://127.0.0.1:\(listener.port)/") }
                }
                let gate = Sign("one has the place, and one waits for it") {
                    (client.gate.held, client.gate.waiting) == (1, 1)
                }
                await measure([gate, listener.hearsHead(of: "GET /")] + connects.map(\.waits))
                for connect in connects { await connect.cancel() }
            }
        },
    ]
}
