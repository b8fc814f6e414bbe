// The log's lines about those who were let in nowhere: behind a proxy they name its client, whoever refused.

import CommandTestSupport
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("Clients that are refused behind a proxy", .timeLimit(.minutes(1)))
struct RefusedClientTests {
    enum Way: Sendable, CaseIterable {
        case direct
        case proxyHeader
        case forwardedFor

        func configure(_ listener: inout GatewayConfiguration.Listener) {
            guard self != .direct, let loopback = GatewayConfiguration.TrustedProxy("127.0.0.1/32") else { return }
            listener.trust = [loopback]
            if self == .proxyHeader { listener.requiresProxyHeader = true } else { listener.forwarded = .xForwardedFor }
        }

        var before: String { self == .proxyHeader ? "PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n" : "" }
        var field: String { self == .forwardedFor ? "X-Forwarded-For: 198.51.100.7, 203.0.113.9\r\n" : "" }
        var client: String { self == .direct ? "127.0.0.1" : "203.0.113.9" }
    }

    @Test("are named in the lines of a path of nobody, of a foreign page and of a limit", arguments: Way.allCases)
    func named(_ way: Way) async throws {
        try await BareGateway.run {
            way.configure(&$0.listeners[0])
            $0.services[0].rules.limits.sessions = 0
        } body: { gateway in
            for (path, field, status) in [
                ("/nowhere", "", 404), ("/echo", "Origin: https://evil.example\r\n", 403), ("/echo", "", 503),
            ] {
                let client = try await RawClient.connect(gateway.ports["public"] ?? 0)
                try await client.send(way.before + openingRequest(path, extra: way.field + field))
                let answer = String(buffer: try await client.receiveAll())
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
                let lines = gateway.lines.with("handshake.refused", "\"status\":\(status)")
                #expect(lines.count == 1)
                for line in lines {
                    #expect(line.contains("\"client\":\"\(way.client)\""), "\(line)")
                    #expect(line.contains("\"listener\":\"public\""), "\(line)")
                    #expect(line.contains("\"peer\":\"127.0.0.1:"), "\(line)")
                }
            }
        }
    }

    @Test("are told from a balancer whose PROXY header nobody asks for, and from requests that are none")
    func unreadable() async throws {
        let binary: [UInt8] = Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x20, 0, 0, 0]
        let headers = [Array("PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n".utf8), binary]
        try await BareGateway.run { gateway in
            for (number, bytes) in (headers + [Array("HELLO\r\n".utf8)]).enumerated() {
                let client = try await RawClient.connect(gateway.ports["public"] ?? 0)
                try await client.send(bytes + Array(openingRequest("/echo").utf8))
                let answer = String(buffer: try await client.receiveAll())
                #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
                let lines = gateway.lines.with("a PROXY header came, but listeners.public.proxyProtocol is off")
                #expect(lines.count == min(number + 1, headers.count))
                #expect(lines.allSatisfy { $0.contains(#""event":"connection.refused""#) }, "\(lines)")
                #expect(gateway.lines.with("handshake.refused", #""cause":"unreadable""#).count == number + 1)
            }
        }
    }
}
