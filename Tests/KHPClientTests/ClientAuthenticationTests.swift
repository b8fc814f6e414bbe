import HTTPTypes
import KHPClient
import KHPProtocol
import KHPServer
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Challenges over real sockets")
struct ClientAuthenticationTests {
    private static let digest = "WWW-Authenticate: Digest realm=\"desk\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256"
    private static let basic = "WWW-Authenticate: Basic realm=\"desk\""

    private func client(
        _ handler: (any ChallengeHandler)? = LoginChallengeHandler(user: "joe", password: "welcome"),
        _ configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) -> WebSocketClient {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = .off
        configuration.authentication.challengeHandler = handler
        configuration.timeouts.close = .milliseconds(200)
        configure(&configuration)
        return WebSocketClient(configuration: configuration)
    }

    private func failure(_ client: WebSocketClient, _ port: Int, _ path: String = "/a") async -> WebSocketError? {
        do {
            try await client.withConnection(to: "ws://127.0.0.1:\(port)\(path)") { _ in }
            return nil
        } catch {
            return error as? WebSocketError
        }
    }

    // MARK: 401 in the opening handshake

    @Test(
        "answered on the same connection where the server keeps it open",
        arguments: [
            refusal("401 Unauthorized", digest),
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\(digest)\r\n\r\n",
            "HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\(digest)\r\n\r\n2\r\nno\r\n0\r\n\r\n",
            "HTTP/1.1 401 Unauthorized\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\(digest)\r\n\r\nx",
        ]
    )
    func sameConnection(challenge: String) async throws {
        let events = Mutex<[String]>([])
        let client = self.client { configuration in
            configuration.observe = { event, info in
                switch event {
                case .connecting: events.withLock { $0.append("connecting") }
                case .challenge(let scheme, let realm, let layer, let round):
                    events.withLock { $0.append("\(scheme) \(realm ?? "") \(layer) \(round)") }
                case .openingRequest(let head): events.withLock { $0.append(head.contains("Digest •••") ? "•••" : "-") }
                default: break
                }
            }
        }
        try await withScriptedServer { heads in
            heads.last?.value("Authorization") == nil ? .text(challenge) : .upgrade()
        } body: { port, heard in
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/a?b=c") {
                #expect($0.negotiated.challenges == 1)
            }
            #expect(heard.all.map(\.connection) == [0, 0])
            let keys = heard.all.map { $0.value("Sec-WebSocket-Key") }
            #expect(keys[0] != keys[1])
            let sent = heard.all[1].value("Authorization") ?? ""
            #expect(
                sent.hasPrefix(
                    "Digest username=\"joe\", realm=\"desk\", uri=\"/a?b=c\", algorithm=SHA-256, nonce=\"n1\""
                )
            )
            #expect(sent.contains("nc=00000001"))
        }
        #expect(events.withLock { $0 } == ["connecting", "-", "Digest desk opening 1", "•••"])
    }

    @Test(
        "answered on a fresh connection where this one is spent",
        arguments: [
            Said.text(refusal("401 Unauthorized", digest, "Connection: close")),
            .text(refusal("401 Unauthorized", digest).replacing("1.1", with: "1.0")),
            .textThenClose("HTTP/1.1 401 Unauthorized\r\n\(digest)\r\n\r\nno"),
            .text(refusal("401 Unauthorized", digest) + "HTTP/1.1 408 Request Timeout\r\n\r\n"),
        ]
    )
    func freshConnection(challenge: Said) async throws {
        try await withScriptedServer { heads in
            heads.last?.value("Authorization") == nil ? challenge : .upgrade()
        } body: { port, heard in
            try await self.client().withConnection(to: "ws://127.0.0.1:\(port)/a") {
                #expect($0.negotiated.challenges == 1)
            }
            #expect(heard.all.map(\.connection) == [0, 1])
            #expect(heard.all[1].value("Authorization")?.contains("nc=00000001") == true)
        }
    }

    @Test("a server that closes instead of answering the replay gets it once more, counted on")
    func closesOnReplay() async throws {
        let asked = Mutex(0)
        let handler = LoginChallengeHandler { _ in
            asked.withLock { $0 += 1 }
            return ("joe", "welcome")
        }
        try await withScriptedServer { heads in
            switch heads.count {
            case 1: .text(refusal("401 Unauthorized", Self.digest))
            case 2: .close
            default: .upgrade()
            }
        } body: { port, heard in
            try await self.client(handler).withConnection(to: "ws://127.0.0.1:\(port)/a") {
                #expect($0.negotiated.challenges == 1)
            }
            #expect(heard.all.map(\.connection) == [0, 0, 1])
            #expect(heard.all[1].value("Authorization")?.contains("nc=00000001") == true)
            #expect(heard.all[2].value("Authorization")?.contains("nc=00000002") == true)
        }
        #expect(asked.withLock { $0 } == 1)
        // Once: a fresh connection that is closed as well has failed.
        try await withScriptedServer { heads in
            heads.count == 1 ? .text(refusal("401 Unauthorized", Self.digest)) : .close
        } body: { port, heard in
            #expect(await self.failure(self.client(), port)?.code == .closedDuringHandshake)
            #expect(heard.all.map(\.connection) == [0, 0, 1])
        }
    }

    @Test("a server that closes while the handler thinks is answered on a fresh connection")
    func closesMeanwhile() async throws {
        let handler = LoginChallengeHandler { _ in
            // The server has closed right behind its 401; how soon we hear of it makes no difference.
            try? await Task.sleep(for: .milliseconds(50))
            return ("joe", "welcome")
        }
        try await withScriptedServer { heads in
            heads.count == 1 ? .textThenClose(refusal("401 Unauthorized", Self.digest)) : .upgrade()
        } body: { port, heard in
            try await self.client(handler).withConnection(to: "ws://127.0.0.1:\(port)/a") {
                #expect($0.negotiated.challenges == 1)
            }
            #expect(heard.all.map(\.connection) == [0, 1])
        }
    }

    @Test("R-C1: others connect to the address while a person is asked; the connect timeout stands still (threat E12)")
    func patience() async throws {
        let (asked, ask) = AsyncStream.makeStream(of: Void.self)
        let (answered, answer) = AsyncStream.makeStream(of: Void.self)
        let handler = LoginChallengeHandler { _ in
            ask.yield()
            for await _ in answered { break }
            return ("joe", "welcome")
        }
        try await withScriptedServer { heads in
            heads.last?.value("Authorization") == nil && heads.last?.text.hasPrefix("GET /a") == true
                ? .text(refusal("401 Unauthorized", Self.digest)) : .upgrade()
        } body: { port, _ in
            let client = self.client(handler) { $0.timeouts.total = .milliseconds(400) }
            async let first: Void = client.withConnection(to: "ws://127.0.0.1:\(port)/a") { _ in }
            for await _ in asked { break }
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/b") { _ in }
            // Longer than the bound, which must not count while a person is asked.
            try await Task.sleep(for: .milliseconds(500))
            answer.yield()
            try await first
        }
    }

    @Test("Threat E12: the challenges of one answer share the time that a person has")
    func sharedTime() async throws {
        struct Slow: ChallengeHandler {
            func respond(to request: ChallengeRequest) async -> Credentials? {
                // The time that two of them have, and not three.
                try? await Task.sleep(for: .milliseconds(300))
                return nil
            }
        }
        let challenges = (1...3).map { "WWW-Authenticate: Own\($0) realm=\"desk\"" }.joined(separator: "\r\n")
        try await withScriptedServer { _ in
            .text(refusal("401 Unauthorized", challenges + "\r\nConnection: close"))
        } body: { port, _ in
            let error = await self.failure(self.client(Slow()) { $0.timeouts.challenge = .milliseconds(450) }, port)
            #expect(error?.code == .timeout)
        }
    }

    @Test("Threat E10: a server that is never content, and one whose nonce is always stale", arguments: [false, true])
    func never(isStale: Bool) async throws {
        let handler = LoginChallengeHandler { ("joe", "guess \($0.round)") }
        try await withScriptedServer { heads in
            let stale = isStale && heads.count > 1 ? ", stale=true" : ""
            return .text(
                refusal("401 Unauthorized", Self.digest.replacing("n1", with: "n\(heads.count)") + stale)
            )
        } body: { port, heard in
            let error = await self.failure(self.client(handler), port)
            #expect(error?.code == .authenticationFailed)
            #expect(error?.response?.status == 401)
            #expect(heard.all.count == 5)
        }
    }

    @Test("refused credentials are not sent again, another scheme's may be")
    func nextScheme() async throws {
        struct Both: ChallengeHandler {
            func respond(to request: ChallengeRequest) async -> Credentials? {
                request.scheme == "Bearer" ? .bearer("gold") : .login(user: "joe", password: "welcome")
            }
        }
        try await withScriptedServer { heads in
            heads.last?.value("Authorization")?.hasPrefix("Digest") == true
                ? .upgrade() : .text(refusal("401 Unauthorized", Self.digest, "WWW-Authenticate: Bearer"))
        } body: { port, heard in
            try await self.client(Both()).withConnection(to: "ws://127.0.0.1:\(port)/a") {
                #expect($0.negotiated.challenges == 2)
            }
            #expect(heard.all[1].value("Authorization") == "Bearer gold")
            #expect(heard.all.count == 3)
        }
    }

    @Test("Threat G14: an rspauth that is wrong fails the connect")
    func impostor() async throws {
        try await withScriptedServer { heads in
            heads.count == 1
                ? .text(refusal("401 Unauthorized", Self.digest))
                : .upgrade(["Authentication-Info: rspauth=\"\(String(repeating: "0", count: 64))\", qop=auth"])
        } body: { port, _ in
            let error = await self.failure(self.client(), port)
            #expect(error?.code == .authenticationFailed)
            #expect(error?.phase == .opening)
            #expect(error?.message.contains("rspauth") == true)
        }
    }

    // MARK: Other origins

    @Test("Threats G8, F1: nothing of a login reaches another origin, nor comes back with the chain (threat F2)")
    func otherOrigin() async throws {
        let home = Mutex(0)
        @Sendable func found(_ port: Int, _ path: String) -> Said {
            .textThenClose("HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:\(port)\(path)\r\n\r\n")
        }
        try await withScriptedServer { heads in
            // The other origin claims the realm and the nonce, and says that only that was too old (threat G9).
            heads.count == 1
                ? found(home.withLock { $0 }, "/back")
                : .text(refusal("401 Unauthorized", Self.digest + ", stale=true"))
        } body: { other, elsewhere in
            try await withScriptedServer { heads in
                if heads.last?.text.hasPrefix("GET /back") == true { return found(other, "/end") }
                let isAnswered = heads.last?.value("Authorization")?.hasPrefix("Digest") == true
                return isAnswered ? found(other, "/there") : .text(refusal("401 Unauthorized", Self.digest))
            } body: { port, heard in
                home.withLock { $0 = port }
                let origin = try WebSocketURL("ws://127.0.0.1:\(port)/")
                let client = self.client {
                    $0.authentication.preemptive = [PreemptiveCredentials(.token("gold"), origin: origin)]
                }
                #expect(await self.failure(client, port)?.code == .authenticationFailed)
                #expect(heard.all.map { $0.value("Authorization")?.prefix(6) } == ["Token ", "Digest", nil])
            }
            #expect(elsewhere.all.count == 2)
            #expect(elsewhere.all.allSatisfy { $0.value("Authorization") == nil && !$0.text.contains("joe") })
        }
    }

    @Test("pre-emptive credentials: in both handshakes of their origin, without a challenge")
    func preemptive() async throws {
        let seen = Mutex<[String]>([])
        try await withServer {
            Endpoint("/elsewhere") { request in
                seen.withLock { $0.append(request.authorization ?? "none") }
                return .complete()
            } handler: { _ in
            }
        } body: { other in
            try await withServer {
                Endpoint(
                    "/desk",
                    options: .init(
                        authentication: .init(realm: "desk", .basic { $1 == "welcome" ? Principal($0) : nil })
                    )
                ) { _ in
                    .redirect(to: "ws://127.0.0.1:\(other)/elsewhere")
                } handler: { _ in
                }
            } body: { port in
                let origin = try WebSocketURL("ws://127.0.0.1:\(port)")
                let credentials = Credentials.basic(user: "joe", password: "welcome")
                let client = self.client(nil) {
                    $0.extended.policy = .required
                    $0.authentication.preemptive = [PreemptiveCredentials(credentials, origin: origin)]
                }
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/desk") { socket in
                    #expect(socket.negotiated.challenges == 0)
                    #expect(socket.negotiated.redirects.count == 1)
                }
            }
        }
        #expect(seen.withLock { $0 } == ["none"])
        let wrong = try PreemptiveCredentials(.login(user: "a", password: "b"), origin: "ws://h")
        let unusable = self.client(nil) { $0.authentication.preemptive = [wrong] }
        #expect(await self.failure(unusable, 1)?.code == .invalidArgument)
    }

    // MARK: Secrets

    /// Everything that is logged.
    private struct Collector: LogHandler {
        final class Lines: Sendable {
            let text = Mutex("")
        }

        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(_ lines: Lines) { self.lines = lines }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            self.lines.text.withLock { $0 += "\(event.message) \(event.metadata ?? [:])\n" }
        }
    }

    @Test(
        "Threat G12: no secret in an error, a log, an event, a description or a dump",
        arguments: [
            digest, basic, "WWW-Authenticate: Bearer", "WWW-Authenticate: Token realm=x",
        ]
    )
    func canary(challenge: String) async throws {
        let secret = "CANARY-4711"
        let lines = Collector.Lines()
        let events = Mutex("")
        // Two of our handlers, so that their state is searched too.
        struct Both: ChallengeHandler {
            let login: LoginChallengeHandler
            let token: TokenChallengeHandler
            func respond(to request: ChallengeRequest) async -> Credentials? {
                if let credentials = await self.login.respond(to: request) { return credentials }
                return await self.token.respond(to: request)
            }
        }
        let handler = Both(
            login: LoginChallengeHandler(user: "joe", password: secret),
            token: TokenChallengeHandler(token: secret)
        )
        let client = self.client(handler) {
            $0.logger = Logger(label: "test") { _ in Collector(lines) }
            $0.observe = { event, info in events.withLock { _ = dump((event, info), to: &$0) } }
        }
        try await withScriptedServer { _ in
            .text(refusal("401 Unauthorized", challenge))
        } body: { port, heard in
            let error = try #require(await self.failure(client, port))
            #expect(error.code == .authenticationFailed)
            // It did go out.
            #expect(heard.all.count == 2)
            var text = "\(error) \(String(reflecting: error)) " + lines.text.withLock { $0 } + events.withLock { $0 }
            dump(error, to: &text)
            dump(client, to: &text)
            let encoded = Base64.encode(Array("joe:\(secret)".utf8))
            let response = heard.all[1].value("Authorization")?.split(separator: "response=\"").last?.prefix(32) ?? "-"
            for shown in [secret, encoded, String(response)] { #expect(!text.contains(shown)) }
            #expect(text.contains("•••"))
        }
    }
}
