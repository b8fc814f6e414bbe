import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Redirects over real sockets")
struct RedirectTests {
    @Test(
        "every code, in both handshakes, relative",
        arguments: [300, 301, 302, 303, 307],
        [ExtendedHandshakePolicy.required, .off]
    )
    func followed(_ status: Int, _ extended: ExtendedHandshakePolicy) async throws {
        try await withServer {
            Endpoint("/a") { _ in .redirect(to: "/b?x=1", status: status) }
            echo("/b")
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extendedHandshake = extended
            try await WebSocketClient(configuration: configuration).withConnection(to: "ws://127.0.0.1:\(port)/a") {
                #expect($0.negotiated.url.resource == "/b?x=1")
                #expect($0.negotiated.redirects.map(\.status) == [status])
                #expect($0.negotiated.redirects.first?.layer == (extended == .off ? .opening : .extended))
            }
        }
    }

    @Test("a loop, too many, and a policy that refuses (KHP-E15, KHP-E16)")
    func refused() async throws {
        try await withServer {
            Endpoint("/a") { _ in .redirect(to: "/b") }
            Endpoint("/b") { _ in .redirect(to: "/a") }
            Endpoint("/more") { request in .redirect(to: "/more?\((request.query ?? "") + "x")") }
        } body: { port in
            func code(_ path: String, _ policy: RedirectPolicy = .always) async -> WebSocketError.Code? {
                var configuration = WebSocketClient.Configuration()
                configuration.redirects.policy = policy
                do {
                    _ = try await WebSocketClient(configuration: configuration).connect(
                        to: "ws://127.0.0.1:\(port)\(path)"
                    )
                    return nil
                } catch {
                    return (error as? WebSocketError)?.code
                }
            }
            #expect(await code("/a") == .redirectLoop)
            #expect(await code("/more") == .tooManyRedirects)
            #expect(await code("/a", .never) == .redirectRefused)
        }
    }

    @Test(
        "no field or credential of the caller reaches another origin (D12, F1)",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func secrets(_ extended: ExtendedHandshakePolicy) async throws {
        let seen = Mutex("")
        try await withServer {
            $0.observer = { event, _ in
                switch event {
                case .openingRequest(let head), .extendedRequest(let head): seen.withLock { $0 += head }
                default: break
                }
            }
        } endpoints: {
            echo("/b")
        } body: { other in
            try await withServer {
                Endpoint("/a", authentication: .basic(realm: "desk") { _, _ in true }) { _ in
                    .redirect(to: "ws://127.0.0.1:\(other)/b")
                } handler: { _ in
                }
            } body: { port in
                var configuration = WebSocketClient.Configuration()
                configuration.extendedHandshake = extended
                configuration.headers[HTTPField.Name("X-Api-Key")!] = "canary-1"
                configuration.extendedHeaders[HTTPField.Name("X-Token")!] = "canary-2"
                configuration.challengeHandler = BasicChallengeHandler(user: "joe", password: "canary-3")
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/a") {
                    #expect($0.negotiated.url.port == other)
                    #expect($0.negotiated.challenges == 1)
                }
            }
        }
        let heads = seen.withLock { $0 }
        #expect(heads.contains("GET /b"))
        #expect(!heads.contains("canary"))
        #expect(!heads.lowercased().contains("authorization"))
    }
}
