// Each cell of the tables in the headers of ConnectTunnel, Socks5Tunnel and Socks4Tunnel: the state, the event, and what
// comes of it.

import KHPProtocol
import NIOCore
import Testing

@Suite("Each cell of the tunnels' tables")
struct TunnelCellsTests {
    private enum Event: CaseIterable { case bytes, end, time, answer }

    /// The way to a state, the bytes that meet it there, and the outcomes of these, the end, the time and an answer.
    private struct Row {
        let state: String
        let way: [[UInt8]]
        let bytes: [UInt8]
        let outcomes: [String]

        init(_ state: String, _ way: [[UInt8]], _ bytes: [UInt8], _ outcomes: [String]) {
            self.state = state
            self.way = way
            self.bytes = bytes
            self.outcomes = outcomes
        }
    }

    private static func name(_ action: TunnelAction?) -> String {
        switch action {
        case nil: "of no use"
        case .wait?: "wait"
        case .send?: "send"
        case .challenge(_, let staysOpen)?: staysOpen ? "challenge, open" : "challenge, closed"
        case .established(let bytes, _)?: "established, \(bytes.readableBytes)"
        case .retry?: "retry"
        case .failed(let error)?: "\(error.code)"
        }
    }

    private static func apply(_ event: Event, _ bytes: [UInt8], _ tunnel: inout Tunnel) -> TunnelAction? {
        switch event {
        case .bytes: tunnel.receive(ByteBuffer(bytes: bytes))
        case .end: tunnel.inputEnded()
        case .time: tunnel.timeReached()
        case .answer: tunnel.answer("Basic eA==")
        }
    }

    private static func walk(_ proxy: String, _ rows: [Row]) throws {
        for row in rows {
            for (event, expected) in zip(Event.allCases, row.outcomes) {
                var tunnel = try Tunnel(through: Proxy(proxy), to: WebSocketURL("ws://server.example/"))
                _ = tunnel.start()
                for bytes in row.way {
                    _ = bytes == Self.answer ? tunnel.answer("Basic eA==") : tunnel.receive(ByteBuffer(bytes: bytes))
                }
                let action = Self.apply(event, row.bytes, &tunnel)
                #expect(Self.name(action) == expected, "\(row.state) × \(event)")
            }
        }
    }

    /// Stands for an answer to a challenge on the way to a state.
    private static let answer: [UInt8] = [0xFF, 0xFF, 0xFF]

    private static func text(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("CONNECT")
    func connect() throws {
        let login = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"gate\"\r\n"
        let open = Self.text(login + "Content-Length: 0\r\n\r\n")
        let refusal = Self.text("HTTP/1.1 502 No\r\nContent-Length: 3\r\n\r\na")
        let challenge = Self.text(login + "Content-Length: 3\r\n\r\na")
        let rest = Self.text("bc")
        let early = ["connect-failed", "timeout", "of no use"]
        try Self.walk(
            "http://proxy.example",
            [
                Row("head", [], Self.text("HTTP/1.1 200 OK\r\n\r\nxyz"), ["established, 3"] + early),
                Row("head", [], Self.text("HTTP/1.1 2"), ["wait"] + early),
                Row("head", [], Self.text("nonsense\r\n\r\n"), ["proxy-invalid"] + early),
                Row("head", [], open, ["challenge, open"] + early),
                Row("head", [], Self.text(login + "\r\nuntil the end"), ["challenge, closed"] + early),
                Row("head", [], refusal, ["wait"] + early),
                Row(
                    "head",
                    Array(repeating: Self.text("HTTP/1.1 103 Early\r\n\r\n"), count: 8),
                    open,
                    ["challenge, open"] + early
                ),
                Row(
                    "head",
                    Array(repeating: Self.text("HTTP/1.1 103 Early\r\n\r\n"), count: 8),
                    Self.text("HTTP/1.1 103 Early\r\n\r\n"),
                    ["proxy-invalid"] + early
                ),
                Row(
                    "head, kept open",
                    [open, Self.answer],
                    open,
                    ["challenge, open", "retry", "timeout", "of no use"]
                ),
                Row("head, kept open, not silent", [open, Self.answer, Self.text("H")], rest, ["wait"] + early),
                Row("entity", [refusal], rest, ["proxy-refused", "proxy-refused", "proxy-refused", "of no use"]),
                Row("entity", [refusal], Self.text("b"), ["wait", "proxy-refused", "proxy-refused", "of no use"]),
                Row(
                    "entity of a challenge",
                    [challenge],
                    rest,
                    ["challenge, open", "challenge, closed", "challenge, closed", "of no use"]
                ),
                Row("challenged", [open], rest, ["wait", "wait", "wait", "send"]),
                Row("challenged, of no use", [open, rest], rest, ["wait", "wait", "wait", "of no use"]),
                Row("challenged, closed", [Self.text(login + "\r\nx")], rest, ["wait", "wait", "wait", "of no use"]),
                Row("done", [Self.text("nonsense\r\n\r\n")], rest, ["wait", "wait", "wait", "of no use"]),
            ]
        )
    }

    /// A challenge after which the connection has been lost is one of no use.
    @Test("CONNECT, an end behind a challenge")
    func endBehindChallenge() throws {
        var tunnel = try Tunnel(through: Proxy("http://proxy.example"), to: WebSocketURL("ws://server.example/"))
        let challenge = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"gate\"\r\nContent-Length: 0\r\n\r\n"
        #expect(Self.name(tunnel.receive(ByteBuffer(string: challenge))) == "challenge, open")
        #expect(Self.name(tunnel.timeReached()) == "wait")
        #expect(Self.name(tunnel.inputEnded()) == "wait")
        #expect(tunnel.answer("Basic eA==") == nil)
    }

    @Test("SOCKS 5")
    func socks5() throws {
        let end = ["connect-failed", "timeout", "of no use"]
        let established: [UInt8] = [5, 0, 0, 1, 10, 0, 0, 1, 0, 80]
        try Self.walk(
            "socks5://joe:canary@proxy.example",
            [
                Row("method", [], [5], ["wait"] + end),
                Row("method", [], [5, 0], ["send"] + end),
                Row("method", [], [5, 2], ["send"] + end),
                Row("method", [], [5, 0xFF], ["proxy-refused"] + end),
                Row("method", [], [5, 1], ["proxy-invalid"] + end),
                Row("method", [], [4], ["proxy-invalid"] + end),
                Row("method", [], [5, 0, 5], ["proxy-invalid"] + end),
                Row("login", [[5, 2]], [1], ["wait"] + end),
                Row("login", [[5, 2]], [1, 0], ["send"] + end),
                Row("login", [[5, 2]], [1, 1], ["proxy-authentication-required"] + end),
                Row("login", [[5, 2]], [5, 0], ["proxy-invalid"] + end),
                Row("login", [[5, 2]], [1, 0, 5], ["proxy-invalid"] + end),
                Row("reply", [[5, 2], [1, 0]], established, ["established, 0"] + end),
                Row("reply", [[5, 0]], established + [0x16, 3], ["established, 2"] + end),
                Row("reply", [[5, 0]], [5, 0, 0, 3, 2, 65, 66, 0, 80], ["established, 0"] + end),
                Row("reply", [[5, 0]], [5, 0, 0, 4] + Array(repeating: 1, count: 18), ["established, 0"] + end),
                Row("reply", [[5, 0]], Array(established.dropLast()), ["wait"] + end),
                Row("reply", [[5, 0]], [5, 5], ["proxy-refused"] + end),
                Row("reply", [[5, 0]], [5, 0, 0, 2], ["proxy-invalid"] + end),
                Row("reply", [[5, 0]], [4], ["proxy-invalid"] + end),
                Row("done", [[4]], established, ["wait", "wait", "wait", "of no use"]),
            ]
        )
        try Self.walk(
            "socks5://proxy.example",
            [Row("method", [], [5, 0xFF], ["proxy-authentication-required"] + end)]
        )
    }

    @Test("SOCKS 4")
    func socks4() throws {
        let end = ["connect-failed", "timeout", "of no use"]
        let reply: [UInt8] = [0, 0x5A, 0, 80, 10, 0, 0, 1]
        try Self.walk(
            "socks4://proxy.example",
            [
                Row("reply", [], reply, ["established, 0"] + end),
                Row("reply", [], reply + [1, 2], ["established, 2"] + end),
                Row("reply", [], Array(reply.dropLast()), ["wait"] + end),
                Row("reply", [], [0, 0x5B, 0, 0, 0, 0, 0, 0], ["proxy-refused"] + end),
                Row("reply", [], [4], ["proxy-invalid"] + end),
                Row("done", [[4]], reply, ["wait", "wait", "wait", "of no use"]),
            ]
        )
    }
}
