// 407 of a proxy: Basic and Digest, on the same connection and on a fresh one, and where its credentials never go
// (R-P1, threats A17, G8, G11, G14).

import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import Testing

@Suite("Proxies that ask for credentials")
struct ProxyChallengeTests {
    private static let basic = "Basic " + Base64.encode("joe:canary".utf8)

    private static func configuration(_ proxy: String) throws -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.proxy = .proxy(try Proxy(proxy))
        return configuration
    }

    @Test("on the connection that stays open", arguments: [ExtendedHandshakePolicy.required, .off])
    func sameConnection(_ extended: ExtendedHandshakePolicy) async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect(credentials: Self.basic)
            } body: { proxyPort, log in
                var configuration = try Self.configuration("http://joe:canary@127.0.0.1:\(proxyPort)")
                configuration.extended.policy = extended
                let events = Mutex<[String]>([])
                configuration.observe = { event, _ in
                    if case .challenge(let scheme, let realm, let layer, let round) = event {
                        events.withLock { $0.append("\(scheme) \(realm ?? "") \(layer) \(round)") }
                    }
                }
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://name.invalid:\(port)/echo") {
                    #expect($0.negotiated.challenges == 1)
                }
                #expect(log.connections == 1)
                #expect(log.asked.map { $0.contains("Proxy-Authorization") } == [false, true])
                #expect(events.withLock { $0 } == ["Basic gate proxy 1"])
            }
        }
    }

    @Test(
        "on a fresh connection",
        arguments: [
            "HTTP/1.1 407 X\r\nConnection: close\r\nContent-Length: 5\r\n@\r\nlogin",
            "HTTP/1.1 407 X\r\nProxy-Connection: close\r\nContent-Length: 0\r\n@\r\n",
            "HTTP/1.0 407 X\r\nContent-Length: 5\r\n@\r\nlogin",
            "HTTP/1.1 407 X\r\n@\r\nas long as the stream",
            "HTTP/1.1 407 X\r\nTransfer-Encoding: chunked\r\n@\r\nnot a chunk\r\n",
            "HTTP/1.1 407 X\r\nContent-Length: 1\r\n@\r\n.HTTP/1.1 200 OK\r\n\r\n",
            // Kept open, so it says, and closed.
            "HTTP/1.1 407 X\r\nContent-Length: 0\r\n@\r\n",
        ]
    )
    func freshConnection(_ text: String) async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy { client in
                if client.number > 1 { return try await client.serveConnect(credentials: Self.basic) }
                _ = try await client.readHead()
                try await client.write(text.replacing("@", with: "Proxy-Authenticate: Basic realm=\"gate\"\r\n"))
            } body: { proxyPort, log in
                let client = WebSocketClient(
                    configuration: try Self.configuration("http://joe:canary@127.0.0.1:\(proxyPort)")
                )
                try await client.withConnection(to: "ws://name.invalid:\(port)/echo") { _ in }
                #expect(log.connections == 2)
                #expect(log.asked.map { $0.contains("Proxy-Authorization: \(Self.basic)\r\n") } == [false, true])
            }
        }
    }

    @Test("a kept connection that is closed upon the answer: the same on a fresh one, once for each challenge")
    func lostRace() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy { client in
                if client.number > 1 { return try await client.serveConnect(credentials: Self.basic) }
                _ = try await client.readHead()
                try await client.write(
                    "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"gate\"\r\nContent-Length: 0\r\n\r\n"
                )
                _ = try await client.readHead()
            } body: { proxyPort, log in
                let client = WebSocketClient(
                    configuration: try Self.configuration("http://joe:canary@127.0.0.1:\(proxyPort)")
                )
                try await client.withConnection(to: "ws://name.invalid:\(port)/echo") { _ in }
                #expect(log.connections == 2)
                #expect(log.asked.count == 3)
            }
        }
    }

    @Test("a long chunked 407 is skipped, and its answer gets through")
    func chunked() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy { client in
                _ = try await client.readHead()
                try await client.write(
                    "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"gate\"\r\nTransfer-Encoding: chunked\r\n\r\n"
                )
                for _ in 0..<12 { try await client.write("400;a=b\r\n" + String(repeating: "x", count: 1024) + "\r\n") }
                try await client.write("0\r\nTrailer: x\r\n\r\n")
                try await client.serveConnect(credentials: Self.basic)
            } body: { proxyPort, log in
                let client = WebSocketClient(
                    configuration: try Self.configuration("http://joe:canary@127.0.0.1:\(proxyPort)")
                )
                try await client.withConnection(to: "ws://name.invalid:\(port)/echo") { _ in }
                #expect(log.connections == 1)
            }
        }
    }

    @Test(
        "Digest signs host and port, the nonce is counted on over hops, and the strongest is answered; over TLS as well",
        arguments: [false, true]
    )
    func digest(_ isSecure: Bool) async throws {
        let certificates = try Certificates.shared.get()
        let tls = try ProxyTunnelTests.server(certificates.server, certificates.serverKey)
        try await withServer {
            Endpoint("/a") { _ in .redirect(to: "/echo") }
            echo()
        } body: { port in
            try await withProxy(tls: isSecure ? tls : nil) { client in
                while true {
                    let head = try await client.readHead()
                    guard let value = field("Proxy-Authorization", in: head) else {
                        try await client.write(
                            "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"gate\", "
                                + "Digest realm=\"gate\", nonce=\"n1\", qop=\"auth\", algorithm=MD5\r\n"
                                + "Proxy-Authenticate: Digest realm=\"gate\", nonce=\"n1\", qop=\"auth\", "
                                + "algorithm=SHA-256\r\nContent-Length: 0\r\n\r\n"
                        )
                        continue
                    }
                    guard isRight(value, head) else {
                        return try await client.write("HTTP/1.1 403 Wrong\r\nContent-Length: 0\r\n\r\n")
                    }
                    try await client.write("HTTP/1.1 200 OK\r\n\r\n")
                    return try await client.tunnel(to: ProxyClient.port(of: head))
                }
            } body: { proxyPort, log in
                let place = isSecure ? "https://joe:canary@localhost" : "http://joe:canary@127.0.0.1"
                var configuration = try Self.configuration("\(place):\(proxyPort)")
                configuration.proxyTLS.trustRoots = .file(certificates.authority)
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://name.invalid:\(port)/a") {
                    #expect($0.negotiated.redirects.count == 1)
                }
                // The first hop is challenged, the second brings its answer along.
                #expect(log.connections == 2)
                #expect(log.asked.count == 3)
                let counts = log.asked.compactMap { field("Proxy-Authorization", in: $0) }.map {
                    parameter("nc", of: $0)
                }
                #expect(counts == ["00000001", "00000002"])
            }
        }
        @Sendable func field(_ name: String, in head: String) -> String? {
            head.split(separator: "\r\n").first { $0.hasPrefix(name + ": ") }.map {
                String($0.dropFirst(name.count + 2))
            }
        }
        @Sendable func parameter(_ name: String, of value: String) -> String {
            let text =
                value.split(separator: ",").map { $0.trimming { $0 == " " } }
                .first { $0.hasPrefix(name + "=") || $0.hasPrefix("Digest \(name)=") } ?? ""
            return String(text.split(separator: "=", maxSplits: 1).last ?? "").replacing("\"", with: "")
        }
        @Sendable func isRight(_ value: String, _ head: String) -> Bool {
            let target = String(head.split(separator: " ")[1])
            let exchange = DigestExchange(
                algorithm: .sha256,
                nonce: "n1",
                clientNonce: parameter("cnonce", of: value),
                nonceCount: UInt32(parameter("nc", of: value), radix: 16) ?? 0,
                method: "CONNECT",
                uri: target
            )
            let key = DigestKey.make(user: "joe", realm: "gate", password: "canary", algorithm: .sha256)
            return parameter("response", of: value) == exchange.response(key: key)
                && parameter("uri", of: value) == target && parameter("algorithm", of: value) == "SHA-256"
        }
    }

    @Test("the handler is asked after the proxy's own credentials were refused; four rounds, then an error")
    func handler() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect(credentials: Self.basic)
            } body: { proxyPort, log in
                let asked = Mutex<[ChallengeRequest]>([])
                var configuration = try Self.configuration("http://joe:wrong-canary@127.0.0.1:\(proxyPort)")
                configuration.authentication.challengeHandler = BasicChallengeHandler { request in
                    asked.withLock { $0.append(request) }
                    return .basic(user: "joe", password: "canary")
                }
                let url = "ws://name.invalid:\(port)/echo"
                try await WebSocketClient(configuration: configuration).withConnection(to: url) { _ in }
                let request = try #require(asked.withLock { $0.first })
                #expect(request.layer == .proxy)
                #expect(request.proxy == "127.0.0.1:\(proxyPort)")
                #expect(request.round == 2)
                #expect(log.connections == 1)

                configuration.authentication.challengeHandler = nil
                let refused = try await #require(throws: WebSocketError.self) {
                    try await WebSocketClient(configuration: configuration).connect(to: url)
                }
                #expect(refused.code == .proxyAuthenticationRequired)
                #expect(refused.phase == .connect)
                #expect(refused.message.contains("refused"))
                #expect(refused.response?.status == 407)
                #expect(!"\(refused)".contains("canary"))

                configuration.proxy = .proxy(try Proxy("http://127.0.0.1:\(proxyPort)"))
                let none = try await #require(throws: WebSocketError.self) {
                    try await WebSocketClient(configuration: configuration).connect(to: url)
                }
                #expect(none.code == .proxyAuthenticationRequired)

                let count = Mutex(0)
                configuration.authentication.challengeHandler = BasicChallengeHandler { _ in
                    let number = count.withLock { count in
                        count += 1
                        return count
                    }
                    return .basic(user: "joe", password: "guess-\(number)")
                }
                let endless = try await #require(throws: WebSocketError.self) {
                    try await WebSocketClient(configuration: configuration).connect(to: url)
                }
                #expect(endless.code == .proxyAuthenticationRequired)
                #expect(count.withLock { $0 } == 4)
            }
        }
    }

    @Test("the time of the tunnel and of the connect stands still while a person is asked")
    func pause() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect(credentials: Self.basic)
            } body: { proxyPort, _ in
                var configuration = try Self.configuration("http://127.0.0.1:\(proxyPort)")
                configuration.timeouts.connect = .milliseconds(400)
                configuration.timeouts.total = .milliseconds(600)
                configuration.authentication.challengeHandler = BasicChallengeHandler { _ in
                    // Longer than either bound: a person.
                    try? await Task.sleep(for: .milliseconds(900))
                    return .basic(user: "joe", password: "canary")
                }
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://name.invalid:\(port)/echo") { _ in }
            }
        }
    }

    @Test("what belongs to the proxy reaches no server, and what belongs to a server no proxy (threats G8, G11)")
    func canaries() async throws {
        let atServer = Mutex("")
        try await withServer {
            $0.observe = { event, _ in
                switch event {
                case .openingRequest(let head), .extendedRequest(let head): atServer.withLock { $0 += head }
                default: break
                }
            }
        } endpoints: {
            Endpoint(
                "/echo",
                options: .init(
                    authentication: .init(
                        realm: "gate",
                        .basic { user, password in password == "server-canary" ? Principal(user) : nil }
                    )
                )
            ) {
                socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            for proxyKind in ["http", "socks5"] {
                try await withProxy { client in
                    if proxyKind == "http" {
                        try await client.serveConnect(credentials: "Basic " + Base64.encode("joe:proxy-canary".utf8))
                    } else {
                        try await client.serveSocks5(login: "joe:proxy-canary")
                    }
                } body: { proxyPort, log in
                    var configuration = try Self.configuration("\(proxyKind)://joe:proxy-canary@127.0.0.1:\(proxyPort)")
                    configuration.authentication.challengeHandler = BasicChallengeHandler(
                        user: "ann",
                        password: "server-canary"
                    )
                    let seen = Mutex("")
                    configuration.observe = { event, info in
                        seen.withLock {
                            $0 += "\(event) \(info)\n"
                            dump(event, to: &$0)
                        }
                    }
                    for extended in [ExtendedHandshakePolicy.required, .off] {
                        configuration.extended.policy = extended
                        let client = WebSocketClient(configuration: configuration)
                        try await client.withConnection(to: "ws://name.invalid:\(port)/echo") { socket in
                            try await socket.send("hello")
                        }
                        seen.withLock { _ = dump(configuration.proxy, to: &$0) }
                        seen.withLock { _ = dump(client, to: &$0) }
                    }
                    let encoded = Base64.encode("joe:proxy-canary".utf8)
                    for text in [log.tunnelled, atServer.withLock { $0 }, seen.withLock { $0 }] {
                        #expect(!text.contains("proxy-canary") && !text.contains(encoded))
                        #expect(!text.lowercased().contains("proxy-authorization"))
                    }
                    #expect(!log.asked.joined().contains("\r\nAuthorization"))
                    #expect(!log.asked.joined().contains(Base64.encode("ann:server-canary".utf8)))
                    #expect(seen.withLock { !$0.contains("server-canary") })
                }
            }
            #expect(atServer.withLock { $0.contains("Authorization: Basic •••") })
        }
    }

    @Test("another user at the same proxy does not go by the login of the first (threat F14)")
    func otherUser() async throws {
        try await withServer {
            Endpoint("/a") { _ in .redirect(to: "/b?second") }
            Endpoint("/b") { _ in .redirect(to: "/echo") }
            echo()
        } body: { port in
            try await withProxy { client in
                var head = try await client.readHead()
                if !head.contains("Proxy-Authorization") {
                    try await client.write(
                        "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"gate\"\r\nContent-Length: 0\r\n\r\n"
                    )
                    head = try await client.readHead()
                }
                try await client.write("HTTP/1.1 200 OK\r\n\r\n")
                try await client.tunnel(to: ProxyClient.port(of: head))
            } body: { proxyPort, log in
                var configuration = WebSocketClient.Configuration()
                let one = try Proxy("http://ann:one@127.0.0.1:\(proxyPort)")
                let two = try Proxy("http://bob:two@127.0.0.1:\(proxyPort)")
                configuration.proxy = ProxySelection { $0.path == "/a" ? one : two }
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://name.invalid:\(port)/a") { _ in }
                let ann = "Basic " + Base64.encode("ann:one".utf8)
                let bob = "Basic " + Base64.encode("bob:two".utf8)
                let given = log.asked.map { $0.contains(ann) ? "ann" : $0.contains(bob) ? "bob" : "" }
                #expect(given == ["", "ann", "", "bob", "bob"])
            }
        }
    }

    /// Threats G8, F14.
    @Test("credentials of one proxy are not tried at another, nor those of the URL after a change of proxy")
    func otherProxy() async throws {
        try await withServer {
            echo("/b")
        } body: { other in
            try await withServer {
                Endpoint("/a") { _ in .redirect(to: "ws://second.invalid:\(other)/b") }
            } body: { port in
                try await withProxy {
                    try await $0.serveConnect(credentials: Self.basic)
                } body: { first, _ in
                    try await withProxy {
                        try await $0.serveConnect(credentials: "Basic never")
                    } body: { second, log in
                        var configuration = WebSocketClient.Configuration()
                        let one = try Proxy("http://joe:canary@127.0.0.1:\(first)")
                        let two = try Proxy("http://127.0.0.1:\(second)")
                        configuration.proxy = ProxySelection { $0.host == "first.invalid" ? one : two }
                        let client = WebSocketClient(configuration: configuration)
                        let error = try await #require(throws: WebSocketError.self) {
                            try await client.connect(to: "ws://first.invalid:\(port)/a")
                        }
                        #expect(error.code == .proxyAuthenticationRequired)
                        #expect(error.url?.host == "second.invalid")
                        #expect(log.asked.count == 1)
                        #expect(!log.asked.joined().contains("Authorization"))
                    }
                }
            }
        }
    }
}

extension StringProtocol {
    /// Without the characters at both ends for which `isOutside` is true.
    fileprivate func trimming(_ isOutside: (Character) -> Bool) -> SubSequence {
        let start = self.drop(while: isOutside)
        guard let end = start.lastIndex(where: { !isOutside($0) }) else { return start.prefix(0) }
        return start[...end]
    }
}
