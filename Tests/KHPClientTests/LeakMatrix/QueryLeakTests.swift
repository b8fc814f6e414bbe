// Credentials in the query of a URL get into no log, event, error or description, of the client or of the server, and
// all else of the URL does (threat G12).

import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Credentials in queries")
struct QueryLeakTests {
    private static let secret = "access_token=\(Canary.mark)-query"

    private func client(_ sayings: Sayings, _ configure: (inout WebSocketClient.Configuration) -> Void)
        -> WebSocketClient
    {
        var configuration = WebSocketClient.Configuration()
        configuration.logger = sayings.logger
        configuration.observe = { event, _ in sayings.add(event) }
        configure(&configuration)
        return WebSocketClient(configuration: configuration)
    }

    @Test(
        "of opening, redirect, refusal and loop, in each handshake",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func handshakes(_ extended: ExtendedHandshakePolicy) async throws {
        let sayings = Sayings()
        try await withServer {
            $0.logger = sayings.logger
            $0.observe = { event, _ in sayings.add(event) }
        } endpoints: {
            echo()
            Endpoint("/old", respond: { _ in .redirect(to: "/echo?\(Self.secret)&page=new") })
            Endpoint("/loop", respond: { _ in .redirect(to: "/loop?\(Self.secret)&page=loop") })
            Endpoint(
                "/choices",
                respond: { _ in
                    // Without an entity: what is in that is the application's, and told as it is.
                    let link = HTTPField.Name("Link")!
                    return .refuse(300, headers: [.location: "/echo?\(Self.secret)", link: "</echo?\(Self.secret)>"])
                }
            )
            Endpoint(
                "/no",
                respond: {
                    sayings.add($0)
                    return .refuse(403)
                }
            )
        } body: { port in
            let client = client(sayings) { $0.extended.policy = extended }
            for path in ["/echo", "/old", "/loop", "/choices", "/no", "/nowhere"] {
                do {
                    let socket = try await client.connect(to: "ws://127.0.0.1:\(port)\(path)?\(Self.secret)&page=1")
                    sayings.add(socket.negotiated)
                    #expect(path == "/echo" || path == "/old" || path == "/choices")
                    try await socket.close()
                } catch {
                    #expect(path == "/loop" || path == "/no" || path == "/nowhere", "\(error)")
                    sayings.add(error)
                }
            }
        }
        #expect(!Canary.isIn(sayings.all), "\(String(buffer: sayings.all))")
        // Parameters that are no credentials have to be there, or nothing is proved.
        for shown in ["access_token=•••&page=1", "access_token=•••&page=new", "access_token=•••&page=loop"] {
            #expect(Canary.contains(sayings.all, shown), "\(shown)")
        }
    }

    @Test("of Kaazing's balancers, where .kl=Y stays to be seen")
    func balancer() async throws {
        let sayings = Sayings()
        try await withServer {
            $0.observe = { event, _ in sayings.add(event) }
        } endpoints: {
            echo()
            Endpoint("/old", respond: { _ in .redirect(to: "/echo?\(Self.secret)") })
        } body: { port in
            let client = client(sayings) { $0.extended.kaazingLegacy = true }
            let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/old?\(Self.secret)")
            try await socket.close()
        }
        #expect(!Canary.isIn(sayings.all), "\(String(buffer: sayings.all))")
        #expect(Canary.contains(sayings.all, "balancer R ws://"))
        #expect(Canary.contains(sayings.all, "access_token=•••&.kl=Y"))
    }

    @Test("of a connect to nowhere, and of one that is retried")
    func nowhere() async throws {
        let sayings = Sayings()
        let client = client(sayings) { _ in }
        var policy = ReconnectPolicy()
        policy.attempts = 1
        policy.initialDelay = .milliseconds(1)
        await #expect(throws: WebSocketError.self) {
            try await client.withReconnection(to: "ws://127.0.0.1:1/?\(Self.secret)", policy: policy) { _ in }
        }
        #expect(!Canary.isIn(sayings.all), "\(String(buffer: sayings.all))")
        #expect(Canary.contains(sayings.all, "ws://127.0.0.1:1/?access_token=•••"))
    }
}
