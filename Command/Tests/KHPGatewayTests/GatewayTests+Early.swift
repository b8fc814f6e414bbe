// The judgement of a request before anybody is asked who they are, and the client's own address in the log behind a proxy.

import CommandTestSupport
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import Testing

@testable import KHPGateway

extension GatewayTests {
    /// The status of an opening request behind a PROXY header, and its connection.
    private static func ask(
        _ view: View,
        _ path: String,
        from client: String,
        extra: String = ""
    ) async throws -> (String, BlockingSocket) {
        let port = view.addresses["public"] ?? 0
        return try await offThread {
            let socket = try BlockingSocket.connect(port)
            let server = client.contains(":") ? "TCP6 \(client) ::1" : "TCP4 \(client) 127.0.0.1"
            try socket.send(Array("PROXY \(server) 4711 80\r\n\(openingRequest(path, extra: extra))".utf8))
            return (String(try socket.receiveHead().dropFirst(9).prefix(3)), socket)
        }
    }

    @Test("bounds by address count a host of IPv6 once, keep it from its proof, and name it behind a proxy")
    func early() async throws {
        let verified = Mutex(0)
        try await Self.withGateway {
            $0.listeners[0].requiresProxyHeader = true
            $0.listeners[0].trust = [GatewayConfiguration.TrustedProxy("127.0.0.0/8")].compactMap { $0 }
            var realm = GatewayConfiguration.Realm(name: "apps")
            realm.schemes = [.init(.bearer)]
            $0.realms = [realm]
            $0.services[0].realms = ["apps"]
            $0.services[0].rules.limits.perAddress = 1
        } materials: {
            $0.authentication = { service, observe in
                guard !service.realms.isEmpty else { return nil }
                return ServerAuthentication(
                    realm: "apps",
                    .bearer { token in
                        verified.withLock { $0 += 1 }
                        if token == "no" {
                            observe(AuthenticationOutcome(realm: "apps", scheme: "bearer", result: .wrong))
                        }
                        return token == "no" ? nil : Principal(token)
                    }
                )
            }
        } body: { view in
            let right = "Authorization: Bearer ann\r\n"
            let (first, open) = try await Self.ask(view, "/echo", from: "2001:db8::1", extra: right)
            #expect(first == "101")
            #expect(try await Self.ask(view, "/echo", from: "2001:db8::2", extra: right).0 == "429")
            #expect(try await Self.ask(view, "/echo", from: "2001:db8:0:1::1", extra: right).0 == "101")
            #expect(verified.withLock { $0 } == 2)
            let named = [#""listener":"public""#, #""client":"2001:db8::2""#]
            for event in ["limit.hit", "handshake.refused"] {
                let line = try #require(view.running.line(with: event, "perAddress"))
                #expect(named.allSatisfy(line.contains), "\(line)")
            }
            let wrong = "Authorization: Bearer no\r\n"
            #expect(try await Self.ask(view, "/echo", from: "203.0.113.9", extra: wrong).0 == "401")
            let line = try #require(view.running.line(with: "auth.failed"))
            #expect(line.contains(#""client":"203.0.113.9""#) && line.contains(#""listener":"public""#), "\(line)")
            open.close()
        }
    }

    @Test(
        "a page of a foreign origin is a denial, whoever judges it, and keeps its proof to itself",
        arguments: [false, true]
    )
    func origins(_ hasPattern: Bool) async throws {
        try await Self.withGateway {
            if hasPattern {
                $0.services[0].rules.origins.allowed = [OriginRule("https://*.example.com")].compactMap { $0 }
            }
        } body: { view in
            var configuration = WebSocketClient.Configuration()
            for policy in [ExtendedHandshakePolicy.off, .required] {
                configuration.extended.policy = policy
                configuration.headers[.origin] = "https://evil.example"
                let error = await #expect(throws: WebSocketError.self) {
                    try await WebSocketClient(configuration: configuration).connect(to: view.url("/echo"))
                }
                #expect(error?.response?.status == 403)
            }
            let line = try #require(view.running.line(with: "handshake.refused", "403"))
            #expect(line.contains(#""cause":"origin""#), "\(line)")
            let metrics = try await view.admin("GET /metrics")
            #expect(
                metrics.body.contains(#"khp_authorization_denied_total{service="echo",reason="origin"} 2"#),
                "\(metrics)"
            )
        }
    }
}
