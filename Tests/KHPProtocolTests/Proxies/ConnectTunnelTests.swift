// CONNECT through an HTTP proxy: R-P1, threats A17 and G11.

import KHPProtocol
import NIOCore
import Testing

@Suite struct ConnectTunnelTests {
    private static func tunnel(
        _ url: String = "ws://Server.example/a?b",
        authorization: String? = nil,
        limits: Limits = Limits()
    ) throws -> Tunnel {
        try Tunnel(
            through: Proxy("http://joe:canary@proxy.example"),
            to: WebSocketURL(url),
            authorization: authorization,
            limits: limits
        )
    }

    private static let challenge = "Proxy-Authenticate: Basic realm=\"gate\"\r\n"

    // MARK: The request

    @Test(arguments: [
        ("ws://Server.example/a?b", "server.example:80"), ("wss://server.example/", "server.example:443"),
        ("ws://server.example:81/", "server.example:81"), ("wss://[2001:DB8::1]/", "[2001:db8::1]:443"),
    ])
    func writesTheAuthorityForm(_ url: String, _ target: String) throws {
        let run = TunnelRun.of(try Self.tunnel(url), [])
        let expected = "CONNECT \(target) HTTP/1.1\r\nHost: \(target)\r\n\r\n"
        #expect(run.sent.map { String(decoding: $0, as: UTF8.self) } == [expected])
        #expect(Tunnel.target(of: try WebSocketURL(url)) == target)
    }

    @Test func sendsCredentialsOnlyWhereTheyAreKnown() throws {
        let run = TunnelRun.of(try Self.tunnel(authorization: "Basic eA=="), [])
        #expect(
            run.sent.map { String(decoding: $0, as: UTF8.self) } == [
                "CONNECT server.example:80 HTTP/1.1\r\nHost: server.example:80\r\n"
                    + "Proxy-Authorization: Basic eA==\r\n\r\n"
            ]
        )
        #expect(throws: WebSocketError.self) { try Self.tunnel(authorization: "Basic eA==\r\nX: y") }
    }

    @Test("bytes that nobody asked for, behind a challenge: their connection is not used again", arguments: ["", "x"])
    func strayBytes(_ stray: String) throws {
        var tunnel = try Self.tunnel()
        _ = tunnel.start()
        let challenge = ByteBuffer(string: "HTTP/1.1 407 X\r\n\(Self.challenge)Content-Length: 0\r\n\r\n")
        guard case .challenge(_, staysOpen: true) = tunnel.receive(challenge) else {
            Issue.record("no challenge on an open connection")
            return
        }
        guard case .wait = tunnel.receive(ByteBuffer(string: stray)) else {
            Issue.record("more than waiting")
            return
        }
        let answer = tunnel.answer("Basic eA==")
        #expect((answer == nil) == !stray.isEmpty)
    }

    // MARK: Answers

    @Test(arguments: [
        "HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 299 Any\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ])
    func opensAndHandsOnWhatFollows(_ head: String) throws {
        // Threat A17: glued bytes are the tunnel's, wherever the stream is cut.
        let glued: [UInt8] = [0x16, 0x03, 0x01, 0x00, 0x0D, 0x0A]
        for pieces in splits(Array(head.utf8) + glued) {
            let run = TunnelRun.of(try Self.tunnel(), pieces)
            #expect(run.leftover == glued)
            #expect(run.sent.count == 1)
        }
    }

    @Test(arguments: [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nrule", false, "rule"),
        ("HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlost\r\n0\r\n\r\n", false, "lost"),
        ("HTTP/1.0 503 Busy\r\n\r\nuntil the end", true, "until the end"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 40\r\n\r\ncut", true, "cut"),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: x\r\n\r\n", false, ""),
        ("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, ""),
        ("HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n", false, ""),
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", false, ""),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false, ""),
    ])
    func refuses(_ text: String, _ ends: Bool, _ entity: String) throws {
        for pieces in splits(Array(text.utf8)) {
            let run = TunnelRun.of(try Self.tunnel(), pieces, ends: ends)
            #expect(run.error == .proxyRefused)
            #expect(run.status == Int(text.split(separator: " ")[1]))
            #expect(run.entity == entity)
            #expect(!run.message.contains("canary"))
        }
    }

    @Test(arguments: [
        "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\nX: y\n\n", "\u{5}\u{0}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", "HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        String(repeating: "HTTP/1.1 100 A\r\n\r\n", count: 9) + "HTTP/1.1 200 OK\r\n\r\n",
    ])
    func refusesWhatIsNoAnswer(_ text: String) throws {
        for pieces in splits(Array(text.utf8)) {
            #expect(TunnelRun.of(try Self.tunnel(), pieces).error == .proxyInvalid)
        }
    }

    @Test func boundsTheHead() throws {
        let endless = Array(("HTTP/1.1 200 OK\r\n" + String(repeating: "X: y\r\n", count: 200)).utf8)
        #expect(TunnelRun.of(try Self.tunnel(), [endless]).error == .proxyInvalid)
        var tunnel = try Self.tunnel()
        _ = tunnel.start()
        var bytes = 0
        var run = TunnelRun()
        run.take(tunnel.receive(ByteBuffer(string: "HTTP/1.1 200 OK\r\nX: ")))
        while run.error == nil, bytes < 1 << 20 {
            bytes += 1000
            run.take(tunnel.receive(ByteBuffer(repeating: 0x61, count: 1000)))
        }
        #expect(run.error == .proxyInvalid)
        #expect(bytes <= 9000)
    }

    @Test func boundsTheContentOfARefusal() throws {
        var limits = Limits()
        limits.bodyBytes = 10
        let text = "HTTP/1.1 403 No\r\nContent-Length: 1000000\r\n\r\n0123456789abcdef"
        let run = TunnelRun.of(try Self.tunnel(limits: limits), [Array(text.utf8)])
        #expect(run.error == .proxyRefused)
        #expect(run.entity == "0123456789")
    }

    /// A head of so many bytes.
    private static func head(_ start: String, _ bytes: Int) -> String {
        var head = start + "\r\n"
        while bytes - head.utf8.count > 2 {
            let size = min(8000, bytes - head.utf8.count - 2)
            // No line is too short to be one.
            head +=
                "X: "
                + String(
                    repeating: "y",
                    count: ((1..<5).contains(bytes - head.utf8.count - 2 - size) ? size - 6 : size) - 5
                )
            head += "\r\n"
        }
        return head + "\r\n"
    }

    @Test("the heads of an answer have 16 KiB together, those of provisional responses among them (threat A17)")
    func boundsAllHeads() throws {
        func run(_ heads: (String, Int)...) throws -> TunnelRun {
            let text = heads.map { Self.head($0, $1) }.joined()
            #expect(text.utf8.count == heads.reduce(0) { $0 + $1.1 })
            return TunnelRun.of(try Self.tunnel(), [Array((text + "tail").utf8)])
        }
        let (hints, open) = ("HTTP/1.1 103 Hints", "HTTP/1.1 200 OK")
        #expect(try run((open, 16 * 1024)).leftover == Array("tail".utf8))
        #expect(try run((open, 16 * 1024 + 1)).error == .proxyInvalid)
        #expect(try run((hints, 6000), (hints, 6000), (open, 4384)).leftover == Array("tail".utf8))
        #expect(try run((hints, 6000), (hints, 6000), (open, 4385)).error == .proxyInvalid)
        #expect(try run((hints, 6000), (hints, 6000), (hints, 4383), (open, 19)).error == .proxyInvalid)
    }

    @Test("the answer to credentials has 16 KiB of its own")
    func boundsEachAnswer() throws {
        var tunnel = try Self.tunnel()
        _ = tunnel.start()
        let challenge = Self.head("HTTP/1.1 407 X\r\n\(Self.challenge)Content-Length: 0", 12_000)
        for byte in challenge.utf8 { _ = tunnel.receive(ByteBuffer(bytes: [byte])) }
        let request = tunnel.answer("Basic eA==")
        #expect(request != nil)
        guard case .established = tunnel.receive(ByteBuffer(string: Self.head("HTTP/1.1 200 OK", 12_000))) else {
            Issue.record("the second answer was not read")
            return
        }
    }

    @Test("of a refusal's content 16 KiB are kept, whatever the limit of others is; sizes of chunks have as many")
    func boundsAllContent() throws {
        var limits = Limits()
        limits.bodyBytes = 1 << 20
        func run(_ status: Int, _ fields: String, _ content: String) throws -> TunnelRun {
            let text = "HTTP/1.1 \(status) No\r\n\(Self.challenge)\(fields)\r\n\r\n" + content
            return TunnelRun.of(try Self.tunnel(limits: limits), [Array(text.utf8)])
        }
        let large = String(repeating: "a", count: 20_000)
        let refused = try run(403, "Content-Length: 20000", large)
        #expect(refused.error == .proxyRefused)
        #expect(refused.entity?.utf8.count == 16 * 1024)
        #expect(try run(407, "Content-Length: 20000", large).challenges == ["407 closed"])
        let small = "1;" + String(repeating: "x", count: 200) + "\r\na\r\n"
        let chunks = String(repeating: small, count: 100) + "0\r\n\r\n"
        #expect(try run(407, "Transfer-Encoding: chunked", chunks).challenges == ["407 closed"])
    }

    @Test("a proxy that answers 401 to credentials has refused them; without any it is a refusal like others")
    func unauthorized() throws {
        let answer = Array("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".utf8)
        let given = TunnelRun.of(try Self.tunnel(authorization: "Basic eA=="), [answer])
        #expect(given.error == .proxyAuthenticationRequired)
        #expect(given.status == 401)
        #expect(TunnelRun.of(try Self.tunnel(), [answer]).error == .proxyRefused)
    }

    // MARK: 407

    @Test(arguments: [
        ("HTTP/1.1", "Content-Length: 5\r\n", "again", "407 open"),
        ("HTTP/1.1", "Content-Length: 0\r\n", "", "407 open"),
        ("HTTP/1.1", "Transfer-Encoding: chunked\r\n", "2;x=y\r\nag\r\n3\r\nain\r\n0\r\nT: x\r\n\r\n", "407 open"),
        ("HTTP/1.1", "Content-Length: 5\r\nConnection: close\r\n", "again", "407 closed"),
        ("HTTP/1.1", "Content-Length: 5\r\nConnection: x, Close\r\n", "again", "407 closed"),
        ("HTTP/1.1", "Content-Length: 5\r\nProxy-Connection: close\r\n", "again", "407 closed"),
        ("HTTP/1.0", "Content-Length: 5\r\nConnection: keep-alive\r\n", "again", "407 closed"),
        ("HTTP/1.1", "Content-Length: x\r\n", "", "407 closed"),
        ("HTTP/1.1", "Transfer-Encoding: chunked\r\n", "zz\r\n", "407 closed"),
        ("HTTP/1.1", "", "", "407 closed"),
    ])
    func skipsTheContent(_ version: String, _ fields: String, _ content: String, _ expected: String) throws {
        let text = "\(version) 407 Proxy Authentication Required\r\n\(Self.challenge)\(fields)\r\n\(content)"
        for pieces in splits(Array(text.utf8)) {
            let run = TunnelRun.of(try Self.tunnel(), pieces)
            #expect(run.challenges == [expected])
            #expect(run.sent.count == 1)
            var tunnel = try Self.tunnel()
            _ = tunnel.start()
            for piece in pieces { _ = tunnel.receive(ByteBuffer(bytes: piece)) }
            guard case .send(let request)? = tunnel.answer("Basic eA==") else {
                #expect(expected == "407 closed")
                continue
            }
            #expect(expected == "407 open")
            #expect(String(buffer: request).hasSuffix("\r\nProxy-Authorization: Basic eA==\r\n\r\n"))
            // A second answer to the same challenge is a bug of ours, and comes to nothing.
            #expect(tunnel.answer("Basic eA==") == nil)
            guard case .established = tunnel.receive(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n")) else {
                Issue.record("the second answer was not read")
                return
            }
        }
    }

    @Test("a 407 that is larger than the bound, or with bytes behind it, leaves no usable connection (threat A17)")
    func unusable() throws {
        var limits = Limits()
        limits.bodyBytes = 4
        let large = "HTTP/1.1 407 X\r\n\(Self.challenge)Content-Length: 5\r\n\r\nlarge"
        #expect(TunnelRun.of(try Self.tunnel(limits: limits), [Array(large.utf8)]).challenges == ["407 closed"])
        let glued = "HTTP/1.1 407 X\r\n\(Self.challenge)Content-Length: 1\r\n\r\n.HTTP/1.1 200 OK\r\n\r\n"
        #expect(TunnelRun.of(try Self.tunnel(), [Array(glued.utf8)]).challenges == ["407 closed"])
        var tunnel = try Self.tunnel()
        _ = tunnel.start()
        _ = tunnel.receive(ByteBuffer(string: String(glued.prefix { $0 != "." }) + "."))
        _ = tunnel.receive(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"))
        #expect(tunnel.answer("Basic eA==") == nil)
    }

    @Test func theKeptConnectionMayEndBeforeOrAfterTheAnswer() throws {
        let text = "HTTP/1.1 407 X\r\n\(Self.challenge)Content-Length: 0\r\n\r\n"
        var before = try Self.tunnel()
        _ = before.start()
        _ = before.receive(ByteBuffer(string: text))
        guard case .wait = before.inputEnded() else {
            Issue.record("a connection that ends while somebody is asked is no failure")
            return
        }
        #expect(before.answer("Basic eA==") == nil)
        var after = try Self.tunnel()
        _ = after.start()
        _ = after.receive(ByteBuffer(string: text))
        _ = after.answer("Basic eA==")
        guard case .retry = after.inputEnded() else {
            Issue.record("the race of a kept connection is lost, and the request is sent anew")
            return
        }
        // Once it has begun to answer it is no race any more.
        var during = try Self.tunnel()
        _ = during.start()
        _ = during.receive(ByteBuffer(string: text))
        _ = during.answer("Basic eA==")
        _ = during.receive(ByteBuffer(string: "HTTP"))
        guard case .failed(let error) = during.inputEnded() else {
            Issue.record("half an answer is a failure")
            return
        }
        #expect(error.code == .connectFailed)
    }

    // MARK: Ends

    @Test func endAndTime() throws {
        #expect(TunnelRun.of(try Self.tunnel(), [], ends: true).error == .connectFailed)
        #expect(TunnelRun.of(try Self.tunnel(), [Array("HTTP/1.1 2".utf8)], ends: true).error == .connectFailed)
        var silent = try Self.tunnel()
        _ = silent.start()
        var run = TunnelRun()
        run.take(silent.timeReached())
        #expect(run.error == .timeout)
        // After the end nothing happens any more.
        run = TunnelRun()
        run.take(silent.receive(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n")))
        run.take(silent.inputEnded())
        run.take(silent.timeReached())
        #expect(run == TunnelRun())
        var slow = try Self.tunnel()
        _ = slow.start()
        _ = slow.receive(ByteBuffer(string: "HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nhalf"))
        run.take(slow.timeReached())
        #expect(run.error == .proxyRefused)
        #expect(run.entity == "half")
    }
}
