import KHPServer
import KHPTesting
import NIOCore
import TestSupport
import Testing

@Suite("Deployed Kaazing clients at our server (D7)")
struct KaazingClientTests {
    private func isSettled(_ client: ScriptedKaazingClient) -> Bool { client.state != .connecting }

    @Test("each of them opens, says something and hears it", arguments: ScriptedKaazingClient.Kind.allCases)
    func echo(_ kind: ScriptedKaazingClient.Kind) async throws {
        try await withServer {
            TestSupport.echo()
        } body: { port in
            let client = try ScriptedKaazingClient(kind, url: "ws://127.0.0.1:\(port)/echo")
            let large = ByteBuffer(repeating: 0x61, count: 65_535)
            let ended = try await converse(
                client,
                port: port,
                greeting: [client.send(.text("Grüße")), client.send(.binary(large))]
            ) { $0.messages.count == 2 || $0.closeCode != nil }
            #expect(ended.messages == [.text("Grüße"), .binary(large)])
            // The unknown extension was not granted.
            #expect(ended.extensions.isEmpty)
        }
    }

    @Test(
        "subprotocols of the opening alone count, extensions come one a line",
        arguments: ScriptedKaazingClient.Kind.allCases
    )
    func subprotocol(_ kind: ScriptedKaazingClient.Kind) async throws {
        let idle = NamedExtension("x-kaazing-idle-timeout")
        let ping = NamedExtension("x-kaazing-ping-pong")
        try await withServer {
            Endpoint("/echo", options: .init(subprotocols: ["chat.v2", "chat.v1"], extensions: [idle, ping])) {
                socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            let url = "ws://127.0.0.1:\(port)/echo"
            let client = try ScriptedKaazingClient(kind, url: url, subprotocols: ["chat.v1", "chat.v2"])
            let ended = try await converse(client, port: port) { $0.state != .connecting }
            // JavaScript reports it with the CR that its parser leaves.
            #expect(ended.state == .open(subprotocol: kind == .javaScript ? "chat.v2\r" : "chat.v2"))
            let expected = ["x-kaazing-idle-timeout", "x-kaazing-ping-pong"]
            #expect(ended.extensions == (kind == .javaScript ? expected : [expected[0]]))
        }
    }

    @Test("a challenge inside, and its answer on the same socket", arguments: ScriptedKaazingClient.Kind.allCases)
    func challenge(_ kind: ScriptedKaazingClient.Kind) async throws {
        try await withServer {
            Endpoint(
                "/desk",
                options: .init(
                    authentication: .init(
                        realm: "desk",
                        .basic { $0 == "joe" && $1 == "welcome" ? Principal($0) : nil },
                        application: true
                    )
                )
            ) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            let url = "ws://127.0.0.1:\(port)/desk"
            let client = try ScriptedKaazingClient(kind, url: url, credentials: "Basic am9lOndlbGNvbWU=")
            let good = try await converse(client, port: port, greeting: [client.send(.text("hi"))]) {
                $0.messages.count == 1 || $0.closeCode != nil
            }
            #expect(good.challenges == 1)
            #expect(good.messages == [.text("hi")])
            // The third wrong answer gets 403, ended like every other response, which these clients call a failure.
            let wrong = try ScriptedKaazingClient(kind, url: url, credentials: "Basic am9lOndyb25n")
            let refused = try await converse(wrong, port: port) { $0.state != .connecting }
            #expect(refused.challenges == 3)
            #expect(refused.state == .failed("the extended handshake was answered with 403"))
        }
    }

    @Test(
        "a redirect is a balancer message, and the path of the first URL is tolerated",
        arguments: ScriptedKaazingClient.Kind.allCases
    )
    func redirect(_ kind: ScriptedKaazingClient.Kind) async throws {
        try await withServer {
            Endpoint("/old", respond: { _ in .redirect(to: "/member") })
            TestSupport.echo("/member")
        } body: { port in
            let client = try ScriptedKaazingClient(kind, url: "ws://127.0.0.1:\(port)/old?desk=7")
            let sent = try await converse(client, port: port) { $0.closeCode != nil }
            #expect(sent.state == .redirected(to: "ws://127.0.0.1:\(port)/member?desk=7&.kl=Y"))
            #expect(sent.closeCode == 1000)
            let next = try #require(try sent.redirected())
            let there = try await converse(next, port: port, greeting: [next.send(.text("hi"))]) {
                $0.messages.count == 1 || $0.closeCode != nil
            }
            #expect(there.messages == [.text("hi")])
        }
    }

    @Test("a streamed message arrives whole, where a fragment would be all that Java sees")
    func streamed() async throws {
        try await withServer {
            Endpoint("/stream") { socket in
                try await socket.stream(.text) { message in
                    for piece in ["one ", "two ", "three"] { try await message.write(ByteBuffer(string: piece)) }
                }
                for try await _ in socket.messages {}
            }
        } body: { port in
            let client = try ScriptedKaazingClient(.java, url: "ws://127.0.0.1:\(port)/stream")
            let ended = try await converse(client, port: port) { !$0.messages.isEmpty || $0.closeCode != nil }
            #expect(ended.messages == [.text("one two three")])
        }
    }

    private func echoAsSpecified() -> Endpoint {
        var endpoint = TestSupport.echo()
        endpoint.options.kaazingLegacy = false
        return endpoint
    }

    @Test("an endpoint that does not speak the exchange leaves them waiting")
    func off() async throws {
        try await withServer {
            $0.timeouts.extended = .milliseconds(300)
        } endpoints: {
            self.echoAsSpecified()
        } body: { port in
            let client = try ScriptedKaazingClient(.javaScript, url: "ws://127.0.0.1:\(port)/echo")
            let ended = try await converse(client, port: port) { $0.closeCode != nil }
            #expect(ended.closeCode == 1008)
            #expect(ended.state == .failed("the server closed"))
        }
    }

    // MARK: The Java client's question for cookies

    private func ask(_ request: String, port: Int) async throws -> String {
        let client = try await RawClient.connect(port)
        try await client.send(request)
        return String(buffer: try await client.receiveAll())
    }

    @Test("the Java client is told its cookies before it opens, a page in a browser is not")
    func cookies() async throws {
        try await withServer {
            TestSupport.echo()
            TestSupport.echo("/")
        } body: { port in
            for path in ["echo", ""] {
                let client = try ScriptedKaazingClient(.java, url: "ws://127.0.0.1:\(port)/\(path)")
                let asked = String(buffer: try #require(client.preflight))
                let plain = try await self.ask(asked, port: port)
                #expect(ScriptedKaazingClient.goesOn(afterPreflight: ByteBuffer(string: plain)), "\(plain)")
                #expect(plain.contains("\r\nContent-Type: text/plain; charset=UTF-8\r\n"))
                #expect(plain.hasSuffix("Content-Length: 0\r\n\r\n"))
                let with = asked.replacing("Host:", with: "Cookie: a=1; b=2\r\nHost:")
                #expect(try await self.ask(with, port: port).hasSuffix("Content-Length: 8\r\n\r\na=1; b=2"))
                for field in [
                    "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors", "Origin: http://127.0.0.1:\(port)",
                    "Referer: http://127.0.0.1:\(port)/page",
                ] {
                    let page = with.replacing("Host:", with: "\(field)\r\nHost:")
                    let told = try await self.ask(page, port: port)
                    #expect(told.hasSuffix("Content-Length: 0\r\n\r\n"), "\(field)")
                }
            }
            // Without .kl=Y it is a path like any other, without an endpoint.
            let other = "GET /echo/;e/cookies?.krn=1 HTTP/1.1\r\nHost: a\r\n\r\n"
            #expect(try await self.ask(other, port: port).hasPrefix("HTTP/1.1 404 "))
            let nowhere = "GET /nowhere/;e/cookies?.kl=Y HTTP/1.1\r\nHost: a\r\n\r\n"
            #expect(try await self.ask(nowhere, port: port).hasPrefix("HTTP/1.1 404 "))
        }
    }

    @Test("where an endpoint challenges in the opening handshake, the question is challenged too")
    func cookiesChallenged() async throws {
        try await withServer {
            Endpoint(
                "/desk",
                options: .init(
                    authentication: .init(
                        realm: "desk",
                        .basic { $0 == "joe" && $1 == "welcome" ? Principal($0) : nil },
                        application: true,
                        challengeAt: .opening
                    )
                )
            ) { (_: WebSocket) in }
        } body: { port in
            let asked = "GET /desk/;e/cookies?.krn=1&.kl=Y HTTP/1.1\r\nHost: a\r\n"
            let challenged = try await self.ask(asked + "\r\n", port: port)
            #expect(challenged.hasPrefix("HTTP/1.1 401 "))
            #expect(challenged.contains("WWW-Authenticate: Application Basic realm=\"desk\""))
            let answered = asked + "Authorization: Basic am9lOndlbGNvbWU=\r\n\r\n"
            #expect(try await self.ask(answered, port: port).hasPrefix("HTTP/1.1 200 "))
        }
    }
}
