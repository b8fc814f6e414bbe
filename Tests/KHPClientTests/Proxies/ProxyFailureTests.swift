// Proxies that refuse, break off, say nothing or say anything (R-P1, threat A17).

import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Proxies that do not tunnel")
struct ProxyFailureTests {
    private static func outcome(
        _ proxy: String,
        to url: String = "ws://name.invalid/echo",
        _ change: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) async throws -> WebSocketError {
        var configuration = WebSocketClient.Configuration()
        configuration.proxy = .proxy(try Proxy(proxy))
        change(&configuration)
        let client = WebSocketClient(configuration: configuration)
        return try await #require(throws: WebSocketError.self) { try await client.connect(to: url) }
    }

    @Test(
        "a refusal carries the proxy's answer",
        arguments: [
            ("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nnot on a desk", 403),
            ("HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nnot on a desk\r\n0\r\n\r\n", 502),
            ("HTTP/1.0 503 Service Unavailable\r\n\r\nnot on a desk", 503),
        ]
    )
    func refusal(_ text: String, _ status: Int) async throws {
        try await withProxy { client in
            _ = try await client.readHead()
            try await client.write(text)
        } body: { port, log in
            for url in ["ws://name.invalid/echo", "wss://name.invalid/echo"] {
                let error = try await Self.outcome("http://joe:canary@127.0.0.1:\(port)", to: url)
                #expect(error.code == .proxyRefused)
                #expect(error.phase == .connect)
                #expect(error.url?.description == url)
                #expect(error.response?.status == status)
                #expect(error.response.map { String(buffer: $0.body) }?.hasPrefix("not on a des") == true)
                #expect(error.message.contains("•••@127.0.0.1:\(port)"))
                #expect(!"\(error)".contains("canary"))
            }
            #expect(log.connections == 2)
        }
    }

    @Test(
        "what is no answer",
        arguments: [
            ("http", "SSH-2.0-OpenSSH_9.2\r\n"), ("http", "\u{0}\u{1}\u{2}\r\n\r\n"),
            ("socks5", "HTTP/1.1 400 Bad\r\n\r\n"),
            ("socks4", "HTTP/1.1 400 Bad\r\n\r\n"), ("socks5", "\u{5}\u{7}"),
        ]
    )
    func garbage(_ kind: String, _ text: String) async throws {
        try await withProxy { client in
            _ = try await client.read(3)
            try await client.write(text)
            try await client.waitForEnd()
        } body: { port, _ in
            let error = try await Self.outcome("\(kind)://127.0.0.1:\(port)")
            #expect(error.code == .proxyInvalid)
            #expect(error.phase == .connect)
        }
    }

    @Test("an endless head is not read to its end", arguments: [false, true])
    func endlessHead(_ isOneLine: Bool) async throws {
        try await withProxy { client in
            _ = try await client.readHead()
            try await client.write("HTTP/1.1 200 OK\r\nX: ")
            for _ in 0..<200 { try await client.write(String(repeating: isOneLine ? "x" : "X: y\r\n", count: 1000)) }
            try await client.waitForEnd()
        } body: { port, _ in
            let error = try await Self.outcome("http://127.0.0.1:\(port)")
            #expect(error.code == .proxyInvalid)
        }
    }

    @Test("SOCKS says in words why not")
    func socks() async throws {
        for (code, words) in [(2, "rules do not allow"), (4, "host cannot be reached"), (5, "refused the connection")] {
            try await withProxy { client in
                _ = try await client.read(3)
                try await client.write([5, 0])
                _ = try await client.read(5)
                try await client.write([5, UInt8(code), 0, 1, 0, 0, 0, 0, 0, 0])
            } body: { port, _ in
                let error = try await Self.outcome("socks5://127.0.0.1:\(port)")
                #expect(error.code == .proxyRefused)
                #expect(error.message.contains(words))
            }
        }
        try await withProxy {
            try await $0.serveSocks5(login: "joe:right")
        } body: { port, _ in
            for proxy in ["socks5://127.0.0.1:\(port)", "socks5://joe:canary@127.0.0.1:\(port)"] {
                let error = try await Self.outcome(proxy)
                #expect(error.code == .proxyAuthenticationRequired)
                #expect(!"\(error)".contains("canary"))
            }
        }
    }

    @Test(
        "a proxy that is silent, slow, or stops in the middle, ends with the connect's time",
        arguments: [0, 1, 2, 3]
    )
    func slow(_ stage: Int) async throws {
        try await withProxy { client in
            if stage > 0 { _ = try await client.readHead() }
            if stage == 2 { try await client.write("HTTP/1.1 200 O") }
            if stage == 3 {
                // Bytes that keep coming do not buy time.
                try await client.write("HTTP/1.1 200 OK\r\n")
                while true {
                    try await client.write("X: y\r\n")
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
            try await client.waitForEnd()
        } body: { port, _ in
            let began = ContinuousClock.now
            let error = try await Self.outcome("http://127.0.0.1:\(port)") {
                $0.timeouts.connect = .milliseconds(300)
            }
            #expect(error.code == .timeout, "\(error)")
            #expect(ContinuousClock.now - began < .seconds(5))
        }
    }

    @Test("nobody there, a host without a name, and a proxy that hangs up")
    func unreachable() async throws {
        let unused = try await withProxy({ _ in }) { port, _ in port }
        let refused = try await Self.outcome("http://127.0.0.1:\(unused)")
        #expect(refused.code == .connectFailed)
        #expect(refused.message.contains("proxy"))
        #expect(refused.detail == .throughProxy)
        let unknown = try await Self.outcome("http://name.invalid")
        #expect(unknown.code == .connectFailed)
        #expect(unknown.message.contains("proxy's host name.invalid"))
        #expect(unknown.detail == .nameNotResolved)
        try await withProxy { client in
            _ = try await client.readHead()
        } body: { port, _ in
            let ended = try await Self.outcome("http://127.0.0.1:\(port)")
            #expect(ended.code == .connectFailed)
            #expect(ended.message.contains("closed the connection"))
            #expect(ended.detail == .throughProxy)
        }
        let impossible = try await Self.outcome("socks4://127.0.0.1:\(unused)", to: "ws://[::1]/")
        #expect(impossible.code == .invalidArgument)
    }

    @Test("a variable of the environment that is no proxy")
    func environment() async throws {
        var configuration = WebSocketClient.Configuration()
        configuration.proxy = .environment(["all_proxy": "gopher://joe:canary@p"])
        let client = WebSocketClient(configuration: configuration)
        let error = try await #require(throws: WebSocketError.self) { try await client.connect(to: "ws://a.invalid/") }
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains("all_proxy") && !"\(error)".contains("canary"))
    }

    @Test("cancelling ends the wait for the proxy")
    func cancelled() async throws {
        let (asked, continuation) = AsyncStream.makeStream(of: Void.self)
        try await withProxy { client in
            _ = try await client.readHead()
            continuation.finish()
            try await client.waitForEnd()
        } body: { port, _ in
            var configuration = WebSocketClient.Configuration()
            configuration.proxy = .proxy(try Proxy("http://127.0.0.1:\(port)"))
            let client = WebSocketClient(configuration: configuration)
            let connecting = Task { try await client.connect(to: "ws://name.invalid/echo") }
            for await _ in asked {}
            connecting.cancel()
            await #expect(throws: CancellationError.self) { try await connecting.value }
        }
    }

    @Test("nothing but CONNECT leaves before the tunnel stands, and glued bytes belong to the tunnel (threats A5, A17)")
    func earlyBytes() async throws {
        try await withProxy { client in
            _ = try await client.readHead()
            try await client.write("HTTP/1.1 200 OK\r\n")
            // Time in which nothing may come.
            let early = Task.detached { try? await Task.sleep(for: .milliseconds(100)) }
            await early.value
            // A response to the opening before its request: the tunnel's, and not what the client's key asks for.
            try await client.write(
                "\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            )
            client.log.asked(try await client.readHead())
            try await client.waitForEnd()
        } body: { port, log in
            let error = try await Self.outcome("http://127.0.0.1:\(port)")
            #expect(error.code == .openingInvalid)
            #expect(log.asked.first?.hasPrefix("CONNECT ") == true)
        }
        // The same in front of TLS is no TLS.
        try await withProxy { client in
            _ = try await client.readHead()
            try await client.write("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n")
            try await client.waitForEnd()
        } body: { port, _ in
            let error = try await Self.outcome("http://127.0.0.1:\(port)", to: "wss://name.invalid/")
            #expect(error.code == .tlsFailed)
            #expect(error.phase == .tls)
        }
    }
}
