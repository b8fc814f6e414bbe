// Where a reconnect begins: at the URL that permanent redirects alone have led to (D29).

import HTTPTypes
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import KHPClient

@Suite("Reconnecting after permanent redirects")
struct PermanentRedirectTests {
    private static var policy: ReconnectPolicy {
        var policy = ReconnectPolicy()
        policy.attempts = 1
        return policy
    }

    private static var time: ReconnectTime {
        var time = ReconnectTime()
        time.sleep = { _ in try Task.checkCancellation() }
        return time
    }

    @Test(
        "301 and 308 are not asked again, the others are",
        arguments: [(301, false), (308, false), (302, true), (303, true), (307, true), (300, true)],
        [ExtendedHandshakePolicy.required, .off]
    )
    func start(_ redirect: (Int, Bool), _ extended: ExtendedHandshakePolicy) async throws {
        let (status, isAskedAgain) = redirect
        let seen = Mutex<[String]>([])
        try await withServer {
            $0.observe = { event, _ in
                if case .openingRequest(let head) = event {
                    seen.withLock { $0.append(String(head.split(separator: " ")[1])) }
                }
            }
        } endpoints: {
            Endpoint("/a") { _ in .redirect(to: "/b", status: status) }
            Endpoint("/b") { socket in try await socket.close(code: .goingAway) }
        } body: { port in
            let asked = Mutex<[Int]>([])
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = extended
            configuration.redirects.follows308 = true
            configuration.redirects.permit = { step, addresses in
                asked.withLock { $0.append(step.status) }
                return !addresses.isEmpty
            }
            let client = WebSocketClient(configuration: configuration)
            try await client.withReconnection(
                to: try WebSocketURL("ws://127.0.0.1:\(port)/a"),
                policy: Self.policy,
                time: Self.time
            ) { socket in
                for try await _ in socket.messages {}
            }
            #expect(seen.withLock { $0 } == (isAskedAgain ? ["/a", "/b", "/a", "/b"] : ["/a", "/b", "/b"]))
            // Whoever is asked about redirects is asked about this one again.
            #expect(asked.withLock { $0 } == [status, status])
        }
    }

    @Test("at another origin nothing of the caller's comes along, the second time neither (D12)")
    func elsewhere() async throws {
        let seen = Mutex("")
        try await withServer {
            $0.observe = { event, _ in
                switch event {
                case .openingRequest(let head), .extendedRequest(let head): seen.withLock { $0 += head }
                default: break
                }
            }
        } endpoints: {
            Endpoint("/b") { socket in try await socket.close(code: .goingAway) }
        } body: { other in
            try await withServer {
                Endpoint("/a") { _ in .redirect(to: "ws://127.0.0.1:\(other)/b", status: 301) }
            } body: { port in
                var configuration = WebSocketClient.Configuration()
                configuration.headers[HTTPField.Name("X-Api-Key")!] = "canary-1"
                configuration.extended.headers[HTTPField.Name("X-Token")!] = "canary-2"
                let client = WebSocketClient(configuration: configuration)
                try await client.withReconnection(
                    to: try WebSocketURL("ws://127.0.0.1:\(port)/a"),
                    policy: Self.policy,
                    time: Self.time
                ) { socket in
                    #expect(socket.negotiated.url.port == other)
                    for try await _ in socket.messages {}
                }
            }
        }
        let heads = seen.withLock { $0 }
        #expect(heads.split(separator: "GET /b").count >= 4)
        #expect(!heads.contains("canary"))
    }
}
