import HTTPTypes
import KHPClient
import KHPServer
import KHPTesting
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Our client at a Kaazing gateway (D7)")
struct KaazingGatewayTests {
    private func client(legacy: Bool, _ change: (inout WebSocketClient.Configuration) -> Void = { _ in })
        -> WebSocketClient
    {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.kaazingLegacy = legacy
        change(&configuration)
        return WebSocketClient(configuration: configuration)
    }

    @Test("both of its dialects open, with subprotocol, extensions and an echo", arguments: [false, true])
    func opens(_ legacy: Bool) async throws {
        let requests = Mutex<[String]>([])
        try await withGateway {
            var service = ScriptedKaazingGateway.Service()
            service.subprotocols = ["chat.v1"]
            service.extensions = ["x-one": "x-one", "x-two": "x-two"]
            return service
        } seen: { gateway in
            requests.withLock { $0 = gateway.requests }
        } body: { port in
            let client = self.client(legacy: legacy) {
                $0.extensions = [NamedExtension("x-one"), NamedExtension("x-none"), NamedExtension("x-two")]
            }
            let url = "ws://127.0.0.1:\(port)/echo?desk=7"
            try await client.withConnection(to: url, subprotocols: ["chat.v2", "chat.v1"]) { socket in
                #expect(socket.negotiated.subprotocol == "chat.v1")
                #expect(socket.negotiated.extensions.map(\.name) == ["x-one", "x-two"])
                #expect(socket.negotiated.url.resource == "/echo?desk=7")
                try await socket.send("Grüße")
                for try await message in socket.messages.prefix(1) { #expect(message == .text("Grüße")) }
            }
        }
        // The parameter that asks for the exchange is added to the opening, and only there.
        let heads = requests.withLock { $0 }
        #expect(heads.first?.hasPrefix("GET /echo?desk=7\(legacy ? "&.kl=Y" : "") HTTP/1.1\r\n") == true)
        #expect(heads.last?.hasPrefix("GET /echo?desk=7 HTTP/1.1\r\n") == true)
    }

    @Test("a challenge, in an envelope too", arguments: [(false, false), (true, false), (true, true)])
    func challenged(_ row: (legacy: Bool, wrapped: Bool)) async throws {
        try await withGateway {
            var service = ScriptedKaazingGateway.Service()
            service.realm = "Kaazing WebSocket Gateway Demo"
            service.wrapsChallenges = row.wrapped
            return service
        } body: { port in
            let client = self.client(legacy: row.legacy) {
                $0.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
            }
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                #expect(socket.negotiated.challenges == 1)
            }
            await #expect {
                try await self.client(legacy: row.legacy).connect(to: "ws://127.0.0.1:\(port)/echo")
            } throws: {
                ($0 as? WebSocketError)?.code == .authenticationFailed
            }
        }
    }

    @Test("its balancer is followed in both dialects, and credentials stay behind", arguments: [false, true])
    func balanced(_ legacy: Bool) async throws {
        let seen = Mutex<[String]>([])
        try await withGateway(seen: { gateway in seen.withLock { $0 = gateway.requests } }) { member in
            try await withGateway {
                var service = ScriptedKaazingGateway.Service()
                service.realm = "balancer"
                service.balancer = "ws://localhost:\(member)/echo"
                return service
            } body: { port in
                let client = self.client(legacy: legacy) {
                    $0.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
                    $0.headers = [.init("X-Desk")!: "7", .cookie: "secret=1"]
                    $0.extended.headers = [.init("X-Api-Key")!: "secret"]
                }
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                    #expect(socket.negotiated.url.description == "ws://localhost:\(member)/echo")
                    #expect(socket.negotiated.redirects.map(\.layer) == [.extended])
                    #expect(socket.negotiated.redirects.map(\.status) == [302])
                    #expect(socket.negotiated.challenges == 1)
                }
            }
        }
        // Threat F1: another origin learns nothing.
        let heads = seen.withLock { $0 }
        #expect(heads.count == 2)
        for head in heads {
            for secret in ["Authorization", "Cookie", "X-Desk", "X-Api-Key"] { #expect(!head.contains(secret)) }
        }
    }

    private func code(_ client: WebSocketClient, _ port: Int, _ path: String = "/echo") async -> WebSocketError.Code? {
        do {
            try await client.withConnection(to: "ws://127.0.0.1:\(port)\(path)") { _ in }
            return nil
        } catch {
            return (error as? WebSocketError)?.code
        }
    }

    @Test(
        "a balancer without member, with itself as member, and one that the policy does not allow",
        arguments: [false, true]
    )
    func refused(_ legacy: Bool) async throws {
        let target = Mutex("")
        try await withGateway {
            var service = ScriptedKaazingGateway.Service()
            service.balancer = target.withLock { $0 }
            return service
        } body: { port in
            // Threats F4, F6: balancers follow the rules of redirects. Only a balancer message can say that there is no
            // member.
            if legacy { #expect(await self.code(self.client(legacy: true), port) == .redirectRefused) }
            target.withLock { $0 = "ws://127.0.0.1:\(port)/echo" }
            #expect(await self.code(self.client(legacy: legacy), port) == .redirectLoop)
            target.withLock { $0 = "ws://localhost:\(port)/echo" }
            let strict = self.client(legacy: legacy) { $0.redirects.policy = .sameOrigin }
            #expect(await self.code(strict, port) == .redirectRefused)
            target.withLock { $0 = "ws://127.0.0.1:25/echo" }
            #expect(await self.code(self.client(legacy: legacy), port) == .redirectRefused)
        }
    }

    @Test("redirects of both kinds count together (threat F7)")
    func counted() async throws {
        let hops = Mutex(0)
        // Every other hop is answered by HTTP in the opening, the rest by the balancer.
        try await withRawServer { channel in
            try await channel.executeThenClose { inbound, outbound in
                let hop = hops.withLock { hops in
                    hops += 1
                    return hops
                }
                var service = ScriptedKaazingGateway.Service()
                var gateway: ScriptedKaazingGateway?
                for try await bytes in inbound {
                    if gateway == nil {
                        let head = String(buffer: bytes)
                        let port = head.split(separator: "Host: 127.0.0.1:").last?.prefix { $0.isNumber } ?? ""
                        service.path = "/\(hop - 1)"
                        service.balancer = "ws://127.0.0.1:\(port)/\(hop)"
                        if hop % 2 == 0 {
                            try await outbound.write(
                                ByteBuffer(
                                    string: "HTTP/1.1 302 Found\r\nLocation: /\(hop)\r\nContent-Length: 0\r\n\r\n"
                                )
                            )
                            return
                        }
                        gateway = ScriptedKaazingGateway(service)
                    }
                    for output in gateway?.receive(bytes) ?? [] {
                        guard case .send(let bytes) = output else { return }
                        try await outbound.write(bytes)
                    }
                }
            }
        } body: { port in
            #expect(await self.code(self.client(legacy: true), port, "/0") == .tooManyRedirects)
        }
        #expect(hops.withLock { $0 } == 6)
    }

    @Test("a path that is not the service's: the refusal is told, though its end is not")
    func otherPath() async throws {
        try await withGateway {
            ScriptedKaazingGateway.Service()
        } body: { port in
            // D9: a gateway refuses fields of an opening in the extended request.
            for legacy in [false, true] {
                let client = self.client(legacy: legacy) { $0.extended.headers = [.init("Via")!: "1.1 proxy"] }
                do {
                    _ = try await client.connect(to: "ws://127.0.0.1:\(port)/echo")
                    Issue.record("opened")
                } catch let error as WebSocketError {
                    #expect(error.code == .extendedRefused)
                    #expect(error.response?.status == 400)
                }
            }
        }
    }

    @Test("our server and our client, with each other", arguments: [false, true])
    func ourselves(_ challenges: Bool) async throws {
        try await withServer {
            Endpoint("/old", respond: { _ in .redirect(to: "/echo") })
            if challenges {
                Endpoint(
                    "/echo",
                    options: .init(
                        authentication: .init(
                            realm: "desk",
                            .basic { $0 == "joe" && $1 == "welcome" ? Principal($0) : nil }
                        )
                    )
                ) { socket in
                    for try await message in socket.messages { try await socket.send(message) }
                }
            } else {
                TestSupport.echo()
            }
        } body: { port in
            let client = self.client(legacy: true) {
                $0.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
            }
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/old") { socket in
                #expect(socket.negotiated.url.resource == "/echo")
                #expect(socket.negotiated.redirects.count == 1)
                #expect(socket.negotiated.challenges == (challenges ? 1 : 0))
                try await socket.send("hello")
                for try await message in socket.messages.prefix(1) { #expect(message == .text("hello")) }
            }
        }
    }
}
