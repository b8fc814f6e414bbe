import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

/// The users that came in, in order.
private final class Principals: Sendable {
    private let seen = Mutex<[String?]>([])

    var names: [String?] { self.seen.withLock { $0 } }

    func add(_ name: String?) { self.seen.withLock { $0.append(name) } }
}

@Suite("Schemes of an endpoint, over raw connections")
struct SchemesTests {
    private static let digest = AuthenticationScheme.digest(password: { $0 == "joe" ? "welcome" : nil })

    private func withDesk(
        _ schemes: [AuthenticationScheme],
        application: Bool = false,
        challengeAt place: ServerAuthentication.Place = .extended,
        nonces: DigestNonceOptions = DigestNonceOptions(),
        respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)? = nil,
        principals: Principals? = nil,
        body: (Int) async throws -> Void
    ) async throws {
        try await withServer {
            Endpoint(
                "/desk",
                options: .init(
                    authentication: ServerAuthentication(
                        realm: "the \"desk\"",
                        schemes: schemes,
                        application: application,
                        challengeAt: place,
                        nonces: nonces
                    )
                ),
                respond: respond
            ) { socket in
                principals?.add(socket.negotiated.principal?.name)
            }
        } body: {
            try await body($0)
        }
    }

    /// The head of the answer to an opening request without x-kaazing-handshake.
    private func open(_ port: Int, _ target: String = "/desk", authorization: String? = nil) async throws
        -> ResponseHead
    {
        let client = try await RawClient.connect(port)
        try await client.send(openingRequest(target, extra: authorization.map { "Authorization: \($0)\r\n" } ?? ""))
        var bytes = try await client.receive { $0.readableBytesView.contains(sequence: [13, 10, 13, 10]) }
        _ = try? await client.close()
        var decoder = ResponseHeadDecoder(limits: Limits().openingHead)
        return try #require(try decoder.decode(&bytes))
    }

    private func answer(
        _ response: ResponseHead,
        _ algorithm: DigestAlgorithm = .sha256,
        uri: String = "/desk"
    ) throws -> DigestAnswer {
        let values = response.fields.all("WWW-Authenticate")
        return try #require(
            DigestAnswer(values, algorithm: algorithm, user: "joe", password: "welcome", uri: uri)
        )
    }

    @Test("a 401 lists all schemes, the strongest first, each in a field of its own")
    func order() async throws {
        let schemes: [AuthenticationScheme] = [
            .basic { _, _ in nil }, .token { _ in nil }, Self.digest, .bearer { _ in nil },
            .custom(challenge: "Negotiate") { _ in nil },
        ]
        try await self.withDesk(schemes, application: true) { port in
            let client = try await ExtendedRawClient.open(port, "/desk")
            let responses = [try await self.open(port), try await client.request()]
            await client.drop()
            for response in responses {
                #expect(response.status == 401)
                let challenges = try parseChallenges(fieldValues: response.fields.all("WWW-Authenticate"))
                #expect(response.fields.all("WWW-Authenticate").count == 6)
                #expect(challenges.map(\.scheme) == ["Negotiate", "Digest", "Digest", "Bearer", "Token", "Basic"])
                #expect(challenges.compactMap { $0["algorithm"] } == ["SHA-256", "MD5"])
                #expect(challenges.allSatisfy { $0.isApplication })
                #expect(challenges.dropFirst().allSatisfy { $0.realm == "the \"desk\"" })
            }
        }
    }

    @Test(
        "a bearer's token is one word, that of Kaazing's scheme any text",
        arguments: [
            ("Bearer abc", "joe"), ("Bearer abc def", nil), ("Bearer abc,", nil), ("Bearer ", nil), ("Bearer", nil),
            ("bearer  abc", "joe"), ("Token abc", "joe"), ("Token abc def", "jane"), ("Token ", nil),
        ] as [(String, String?)]
    )
    func oneWord(_ authorization: String, _ expected: String?) async throws {
        let schemes: [AuthenticationScheme] = [
            .bearer { $0.hasPrefix("abc") ? Principal("joe") : nil },
            .token { $0 == "abc" ? Principal("joe") : $0 == "abc def" ? Principal("jane") : nil },
        ]
        let principals = Principals()
        try await self.withDesk(schemes, challengeAt: .opening, principals: principals) { port in
            let head = try await self.open(port, authorization: authorization)
            #expect((head.status == 101) == (expected != nil), "\(head.status)")
        }
        #expect(principals.names == (expected == nil ? [] : [expected]))
    }

    @Test(
        "Digest in the opening: the answer opens once, and the server proves itself",
        arguments: [DigestAlgorithm.sha256, .md5]
    )
    func digestInOpening(_ algorithm: DigestAlgorithm) async throws {
        let principals = Principals()
        try await self.withDesk([Self.digest], principals: principals) { port in
            var answer = try answer(try await self.open(port), algorithm)
            let opened = try await self.open(port, authorization: answer.value)
            #expect(opened.status == 101)
            let proof = answer.exchange.responseAuthentication(key: answer.key)
            var names: [String] = []
            opened.fields.forEach { name, _ in names.append(name) }
            #expect(names.first == "Authentication-Info", "in its place in the alphabet")
            #expect(opened.fields.first("Authentication-Info")?.contains("rspauth=\"\(proof)\"") == true)

            let replayed = try await self.open(port, authorization: answer.value)
            #expect(replayed.status == 401)
            let challenges = try parseChallenges(fieldValues: replayed.fields.all("WWW-Authenticate"))
            #expect(challenges.allSatisfy { $0["stale"] == "true" })
            answer.count = 2
            #expect(try await self.open(port, "/desk?other", authorization: answer.value).status == 401, "threat G6")
            #expect(try await self.open(port, authorization: answer.value).status == 101)
        }
        #expect(principals.names == ["joe", "joe"])
    }

    @Test("Digest inside: the replay completes on the same socket, and the server proves itself")
    func digestInside() async throws {
        let seen = Mutex<String?>(nil)
        try await self.withDesk([Self.digest]) { request in
            seen.withLock { $0 = request.principal?.name }
            return .created("terms")
        } body: { port in
            let client = try await ExtendedRawClient.open(port, "/desk")
            let challenged = try await client.request(target: "/desk?q")
            #expect(challenged.status == 401)
            let answer = try answer(challenged, uri: "/desk?q")
            let completed = try await client.request(target: "/desk?q", authorization: answer.value)
            #expect(completed.status == 201)
            let proof = answer.exchange.responseAuthentication(key: answer.key)
            #expect(completed.fields.first("Authentication-Info")?.contains("rspauth=\"\(proof)\"") == true)
            await client.drop()
        }
        #expect(seen.withLock { $0 } == "joe")
    }

    @Test("credentials in the opening satisfy a challenge inside, verified against the opening's own target")
    func openingSatisfies() async throws {
        let principals = Principals()
        try await self.withDesk([Self.digest], principals: principals) { port in
            let answer = try answer(try await self.open(port, "/desk?opening"), uri: "/desk?opening")
            let client = try await ExtendedRawClient.open(
                port,
                "/desk?opening",
                extra: "Authorization: \(answer.value)\r\n"
            )
            let completed = try await client.request(target: "/desk?extended")
            #expect(completed.status == 101)
            #expect(completed.fields.first("Authentication-Info") == nil, "the request it confirms was another")
            await client.drop()
            // It is used up, and was made for another target.
            for target in ["/desk?opening", "/desk?extended"] {
                let other = try await ExtendedRawClient.open(port, "/desk?opening")
                #expect(try await other.request(target: target, authorization: answer.value).status == 401)
                await other.drop()
            }
        }
        #expect(principals.names == ["joe"])
    }

    @Test("an old nonce with right credentials is no wrong answer, once (D18, threat E10)")
    func staleIsNotWrong() async throws {
        try await self.withDesk([Self.digest]) { port in
            let client = try await ExtendedRawClient.open(port, "/desk")
            var answer = try answer(try await client.request())
            answer.overwritten["nonce"] = "\"of a server that is gone\""
            var statuses: [Int] = []
            for _ in 0..<4 { statuses.append(try await client.request(authorization: answer.value).status) }
            #expect(statuses == [401, 401, 401, 403])
            #expect(try await client.closeCode() == 1000)
        }
    }

    @Test("the third wrong answer is 403, whatever the scheme (D18)")
    func threeWrong() async throws {
        let schemes: [AuthenticationScheme] = [Self.digest, .bearer { _ in nil }, .token { _ in nil }]
        try await self.withDesk(schemes) { port in
            let client = try await ExtendedRawClient.open(port, "/desk")
            var answer = try answer(try await client.request())
            answer.password = "guess"
            #expect(try await client.request(authorization: answer.value).status == 401)
            let second = try await client.request(authorization: "Bearer guess")
            #expect(second.status == 401)
            let bearer = second.fields.all("WWW-Authenticate").filter { $0.hasPrefix("Bearer ") }
            #expect(bearer == ["Bearer realm=\"the \\\"desk\\\"\", error=\"invalid_token\""])
            #expect(try await client.request(authorization: "Token guess").status == 403)
            #expect(try await client.closeCode() == 1000)
        }
    }

    @Test(
        "tokens: who they belong to, and what is none",
        arguments: [
            ("Bearer mF_9.B5f-4.1JqM", "robot"), ("bearer mF_9.B5f-4.1JqM", "robot"), ("Bearer  a==", nil),
            ("Bearer mF_9 B5f", nil), ("Bearer", nil), ("Bearer \"x\"", nil), ("Token any thing: at all", "thing"),
            ("Token", nil), ("Token ", nil), ("Negotiate YII=", "kerberos"), ("Negotiate", nil), ("Basic YTpi", nil),
            ("=", nil),
        ]
    )
    func tokens(_ authorization: String, _ user: String?) async throws {
        let principals = Principals()
        let schemes: [AuthenticationScheme] = [
            .bearer { $0 == "mF_9.B5f-4.1JqM" ? "robot" : nil }, .token { $0 == "any thing: at all" ? "thing" : nil },
            .custom(challenge: "Negotiate") { $0 == "Negotiate YII=" ? "kerberos" : nil },
        ]
        try await self.withDesk(schemes, principals: principals) { port in
            let status = try await self.open(port, authorization: authorization).status
            #expect(status == (user == nil ? 401 : 101))
        }
        #expect(principals.names == (user == nil ? [] : [user]))
    }

    @Test("two servers with one key take each other's nonces; without one they do not, and say stale")
    func cluster() async throws {
        let key = Array("shared by all the nodes".utf8)
        for (one, two, status) in [
            (DigestNonceOptions(key: key), DigestNonceOptions(key: key), 101),
            (DigestNonceOptions(key: key), DigestNonceOptions(key: Array("another, and as long".utf8)), 401),
        ] {
            try await self.withDesk([Self.digest], nonces: one) { first in
                try await self.withDesk([Self.digest], nonces: two) { second in
                    let answer = try answer(try await self.open(first))
                    let response = try await self.open(second, authorization: answer.value)
                    #expect(response.status == status)
                    if status == 401 {
                        #expect(response.fields.all("WWW-Authenticate").allSatisfy { $0.contains("stale=true") })
                    }
                }
            }
        }
    }

    @Test(
        "an answer that was used once is stale wherever it is sent again, behind a change of the endpoints and the key too"
    )
    func replaced() async throws {
        let key = Array("shared by all the nodes".utf8)
        let old = DigestNonceOptions(key: key)
        let new = DigestNonceOptions(key: Array("another, and as long".utf8), otherKeys: [key], lifetime: .seconds(60))
        for nonces in [old, new] {
            try await self.withDesk([Self.digest], nonces: old) { first in
                try await self.withDesk([Self.digest], nonces: nonces) { second in
                    var answer = try answer(try await self.open(first))
                    #expect(try await self.open(first, authorization: answer.value).status == 101)
                    #expect(try await self.open(second, authorization: answer.value).status == 401)
                    answer.count = 2
                    #expect(try await self.open(second, authorization: answer.value).status == 101)
                }
            }
        }
    }

    @Test("hashed user names, and auth-int over the entity of an extended request (threat G7)")
    func hashedUser() async throws {
        let key = DigestAlgorithm.sha512_256.key(user: "joe", realm: "the \"desk\"", password: "welcome")
        let file = try UsersFile("joe:the \"desk\":SHA-512-256:\(key)", name: "users")
        let principals = Principals()
        try await self.withDesk([file.digest(realm: "the \"desk\"", integrity: true)], principals: principals) { port in
            let challenged = try await self.open(port)
            #expect(challenged.fields.first("WWW-Authenticate")?.contains("userhash=true") == true)
            var answer = try answer(challenged, .sha512_256)
            let hash = DigestKey.userHash(user: "joe", realm: "the \"desk\"", algorithm: .sha512_256)
            answer.overwritten = ["username": "\"\(hash)\"", "userhash": "true"]
            #expect(try await self.open(port, authorization: answer.value).status == 101)
            answer.overwritten = ["username": "\"\(hash.reversed())\"", "userhash": "true"]
            answer.count = 2
            #expect(try await self.open(port, authorization: answer.value).status == 401)
        }
        #expect(principals.names == ["joe"])
    }

    @Test("a session ends after its lifetime with 1008, and the next one is challenged anew")
    func lifetime() async throws {
        let authentication = ServerAuthentication(
            realm: "desk",
            .basic { $1 == "welcome" ? Principal($0) : nil },
            sessionLifetime: .milliseconds(300)
        )
        try await withServer {
            Endpoint("/desk", options: .init(authentication: authentication)) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            for extended in [ExtendedHandshakePolicy.required, .off] {
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = extended
                configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
                let client = WebSocketClient(configuration: configuration)
                let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/desk")
                let began = ContinuousClock.now
                // Traffic does not extend it.
                try await socket.send("hello")
                let end = try await socket.closed()
                #expect(end.code == .policyViolation && end.clean)
                #expect(end.reason == "the session is over; authenticate again")
                #expect(ContinuousClock.now - began > .milliseconds(200))
                let again = try await client.connect(to: "ws://127.0.0.1:\(port)/desk")
                #expect(again.negotiated.challenges == 1)
                try await again.close()
            }
        }
    }

    @Test(
        "authentication that would let nobody in does not start",
        arguments: [
            ServerAuthentication(realm: "a", schemes: []),
            ServerAuthentication(realm: "a", schemes: [.basic { _, _ in "joe" }, .basic { _, _ in "joe" }]),
            ServerAuthentication(realm: "a", schemes: [.custom(challenge: "=") { _ in nil }]),
            ServerAuthentication(realm: "a", schemes: [.custom(challenge: "Own a=\"\r\nb\"") { _ in nil }]),
            ServerAuthentication(realm: "a\r\nb", schemes: [.basic { _, _ in "joe" }]),
            ServerAuthentication(realm: "a", schemes: [.digest(algorithms: [], password: { _ in nil })]),
            ServerAuthentication(realm: "a", schemes: [.digest(algorithms: [.md5, .md5], password: { _ in nil })]),
            ServerAuthentication(
                realm: "a",
                schemes: [.digest(password: { _ in nil })],
                nonces: DigestNonceOptions(key: Array("too short".utf8))
            ),
        ]
    )
    func invalid(_ authentication: ServerAuthentication) async throws {
        let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
            Endpoint("/", options: .init(authentication: authentication)) { (_: WebSocket) in }
        }
        let error = await #expect(throws: WebSocketError.self) { try await server.run() }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("too short") == false)
    }

    @Test("nothing of a server's authentication shows in a dump")
    func silence() {
        let nonces = DigestNonceOptions(key: Array("a secret of this cluster".utf8))
        let authentication = ServerAuthentication(realm: "desk", schemes: [Self.digest], nonces: nonces)
        var dumped = ""
        dump(nonces, to: &dumped)
        dump(authentication, to: &dumped)
        let bytes = Array("a secret of this cluster".utf8).prefix(6).map(String.init).joined(separator: ", ")
        #expect(!dumped.contains("secret") && !dumped.contains(bytes) && !dumped.contains("97\n"))
    }
}
