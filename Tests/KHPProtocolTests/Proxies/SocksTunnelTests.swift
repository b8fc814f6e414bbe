// SOCKS 5 (RFC 1928, RFC 1929) and SOCKS 4a: R-P1.

import KHPProtocol
import NIOCore
import Testing

@Suite struct SocksTunnelTests {
    private static func tunnel(_ proxy: String, _ url: String = "ws://server.example:8080/") throws -> Tunnel {
        try Tunnel(through: Proxy(proxy), to: WebSocketURL(url))
    }

    /// Plays the proxy's lines one after the other, each cut in two at every place in turn.
    private static func runs(_ proxy: String, _ url: String, _ lines: [[UInt8]]) throws -> [TunnelRun] {
        let most = lines.map(\.count).max() ?? 0
        return try (0..<most).map { cut in
            let pieces = lines.flatMap { line in
                cut > 0 && cut < line.count ? [Array(line[..<cut]), Array(line[cut...])] : [line]
            }
            return TunnelRun.of(try Self.tunnel(proxy, url), pieces)
        }
    }

    private static let name = Array("server.example".utf8)
    private static let granted: [UInt8] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]

    // MARK: SOCKS 5

    @Test(
        arguments: [
            ("ws://server.example:8080/", [3, 14] + name + [0x1F, 0x90]),
            ("wss://192.0.2.1/", [1, 192, 0, 2, 1, 1, 0xBB]),
            ("ws://[2001:db8::1]/", [4, 0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1, 0, 80]),
        ] as [(String, [UInt8])]
    )
    func asksForNamesAndAddresses(_ url: String, _ address: [UInt8]) throws {
        for run in try Self.runs("socks5://gate", url, [[5, 0], Self.granted + [0x81, 0x00]]) {
            #expect(run.sent == [[5, 1, 0], [5, 1, 0] + address])
            // The bytes glued to the reply came through the tunnel.
            #expect(run.leftover == [0x81, 0x00])
        }
    }

    @Test func logsIn() throws {
        let login: [UInt8] = [1, 3] + Array("joe".utf8) + [7] + Array("welcome".utf8)
        for run in try Self.runs("socks5://joe:welcome@gate", "ws://a/", [[5, 2], [1, 0], Self.granted]) {
            #expect(run.sent == [[5, 2, 0, 2], login, [5, 1, 0, 3, 1, 0x61, 0, 80]])
            #expect(run.leftover == [])
        }
        // A proxy that wants no login gets none.
        for run in try Self.runs("socks5://joe:welcome@gate", "ws://a/", [[5, 0], Self.granted]) {
            #expect(run.sent == [[5, 2, 0, 2], [5, 1, 0, 3, 1, 0x61, 0, 80]])
        }
    }

    @Test(
        arguments: [
            ([5, 0, 0, 1] + [UInt8](repeating: 9, count: 6)), ([5, 0, 0, 3, 2, 0x61, 0x62, 1, 2]),
            ([5, 0, 0, 3, 0, 1, 2]),
            ([5, 0, 0, 4] + [UInt8](repeating: 9, count: 18)),
        ] as [[UInt8]]
    )
    func passesOverTheBoundAddress(_ reply: [UInt8]) throws {
        for pieces in splits(reply + [0xAA]) {
            let run = TunnelRun.of(try Self.tunnel("socks5://gate"), [[5, 0]] + pieces)
            #expect(run.leftover == [0xAA])
        }
    }

    @Test(
        arguments: [
            (1, "the proxy failed"), (2, "rules do not allow"), (3, "network cannot be reached"),
            (4, "host cannot be reached"), (5, "refused the connection"), (6, "time to live"), (7, "support tunnels"),
            (8, "type of address"), (9, "0x09"), (255, "0xFF"),
        ] as [(UInt8, String)]
    )
    func saysWhy(_ code: UInt8, _ words: String) throws {
        for reply in [[5, code], [5, code, 0, 1, 0, 0, 0, 0, 0, 0]] {
            let run = TunnelRun.of(try Self.tunnel("socks5://joe:canary@gate"), [[5, 0], reply])
            #expect(run.error == .proxyRefused)
            #expect(run.message.contains(words), "\(run.message)")
            #expect(run.message.contains("server.example:8080"))
            #expect(!run.message.contains("canary"))
        }
    }

    @Test(
        arguments: [
            ("socks5://gate", [[5, 0xFF]], WebSocketError.Code.proxyAuthenticationRequired),
            ("socks5://joe:x@gate", [[5, 0xFF]], .proxyRefused),
            ("socks5://joe:x@gate", [[5, 2], [1, 1]], .proxyAuthenticationRequired),
            ("socks5://joe:x@gate", [[5, 2], [1, 0xFF]], .proxyAuthenticationRequired),
            ("socks5://joe:x@gate", [[5, 2], [5, 0]], .proxyInvalid),
            ("socks5://gate", [[5, 2]], .proxyInvalid),
            ("socks5://gate", [[5, 1]], .proxyInvalid),
            ("socks5://gate", [[4, 0]], .proxyInvalid),
            ("socks5://gate", [Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)], .proxyInvalid),
            ("socks5://gate", [[5, 0, 5, 0]], .proxyInvalid),
            ("socks5://joe:x@gate", [[5, 2, 1, 0]], .proxyInvalid),
            ("socks5://gate", [[5, 0], [4, 0]], .proxyInvalid),
            ("socks5://gate", [[5, 0], [5, 0, 0, 2, 0]], .proxyInvalid),
        ] as [(String, [[UInt8]], WebSocketError.Code)]
    )
    func refuses(_ proxy: String, _ lines: [[UInt8]], _ code: WebSocketError.Code) throws {
        let run = TunnelRun.of(try Self.tunnel(proxy), lines)
        #expect(run.error == code, "\(run.message)")
        #expect(run.leftover == nil)
    }

    @Test func endAndTime() throws {
        for lines in [[], [[5]], [[5, 0]], [[5, 0], [5, 0, 0]]] as [[[UInt8]]] {
            let tunnel = try Self.tunnel("socks5://gate")
            #expect(TunnelRun.of(tunnel, lines, ends: true).error == .connectFailed)
            var late = tunnel
            for line in lines { _ = late.receive(ByteBuffer(bytes: line)) }
            var run = TunnelRun()
            run.take(late.timeReached())
            #expect(run.error == .timeout)
            run = TunnelRun()
            run.take(late.receive(ByteBuffer(bytes: Self.granted)))
            run.take(late.inputEnded())
            run.take(late.timeReached())
            #expect(run == TunnelRun())
        }
        #expect(throws: WebSocketError.self) {
            try Self.tunnel("socks5://joe:\(String(repeating: "x", count: 256))@gate")
        }
    }

    // MARK: SOCKS 4

    @Test(
        arguments: [
            ("socks4://gate", "ws://server.example:8080/", [4, 1, 0x1F, 0x90, 0, 0, 0, 1, 0] + name + [0]),
            ("socks4a://joe@gate", "ws://192.0.2.1/", [4, 1, 0, 80, 192, 0, 2, 1, 0x6A, 0x6F, 0x65, 0]),
            ("socks4://joe@gate", "ws://a/", [4, 1, 0, 80, 0, 0, 0, 1, 0x6A, 0x6F, 0x65, 0, 0x61, 0]),
        ] as [(String, String, [UInt8])]
    )
    func socks4(_ proxy: String, _ url: String, _ request: [UInt8]) throws {
        for pieces in splits([0, 0x5A, 1, 2, 3, 4, 5, 6, 0xAA, 0xBB]) {
            let run = TunnelRun.of(try Self.tunnel(proxy, url), pieces)
            #expect(run.sent == [request])
            #expect(run.leftover == [0xAA, 0xBB])
        }
    }

    @Test(
        arguments: [
            ([0, 0x5B, 0, 0, 0, 0, 0, 0], WebSocketError.Code.proxyRefused, "refused or failed"),
            ([0, 0x5C, 0, 0, 0, 0, 0, 0], .proxyRefused, "identd"),
            ([0, 0x5D, 0, 0, 0, 0, 0, 0], .proxyRefused, "identd"),
            ([0, 0x42, 0, 0, 0, 0, 0, 0], .proxyRefused, "0x42"), ([5, 0], .proxyInvalid, "SOCKS 4"),
            ([0, 0x5A, 0], .connectFailed, "closed"),
        ] as [([UInt8], WebSocketError.Code, String)]
    )
    func socks4Refuses(_ reply: [UInt8], _ code: WebSocketError.Code, _ words: String) throws {
        for pieces in splits(reply) {
            let run = TunnelRun.of(try Self.tunnel("socks4://gate"), pieces, ends: true)
            #expect(run.error == code)
            #expect(run.message.contains(words))
        }
    }

    @Test(
        "what may pass is told apart from what will be refused again, for those who reconnect",
        arguments: [
            ("socks5", [[5, 0], [5, 1]], true), ("socks5", [[5, 0], [5, 3]], true),
            ("socks5", [[5, 0], [5, 4]], true),
            ("socks5", [[5, 0], [5, 5]], true), ("socks5", [[5, 0], [5, 6]], true),
            ("socks5", [[5, 0], [5, 2]], false),
            ("socks5", [[5, 0], [5, 7]], false), ("socks5", [[5, 0], [5, 8]], false),
            ("socks4", [[0, 0x5B, 0, 0, 0, 0, 0, 0]], true), ("socks4", [[0, 0x5D, 0, 0, 0, 0, 0, 0]], false),
        ] as [(String, [[UInt8]], Bool)]
    )
    func mayPass(_ scheme: String, _ answers: [[UInt8]], _ isBeyond: Bool) throws {
        var tunnel = try Self.tunnel("\(scheme)://gate")
        var action = tunnel.start()
        for answer in answers { action = tunnel.receive(ByteBuffer(bytes: answer)) }
        guard case .failed(var error) = action else {
            Issue.record("there is no refusal")
            return
        }
        error.url = try WebSocketURL("ws://a/")
        #expect(error.code == .proxyRefused)
        #expect((error.detail == .beyondProxy) == isBeyond)
    }

    @Test func socks4CannotDoAll() throws {
        #expect(throws: WebSocketError.self) { try Self.tunnel("socks4://joe:password@gate") }
        #expect(throws: WebSocketError.self) { try Self.tunnel("socks4://gate", "ws://[::1]/") }
        var late = try Self.tunnel("socks4://gate")
        var run = TunnelRun()
        run.take(late.timeReached())
        run.take(late.receive(ByteBuffer(bytes: [0, 0x5A, 0, 0, 0, 0, 0, 0])))
        #expect(run.error == .timeout)
        #expect(run.leftover == nil)
    }
}
