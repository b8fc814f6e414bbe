// Tunnels through proxies of all kinds: the same at every cut of the proxy's bytes, and bytes behind the proxy's answer
// are neither lost nor doubled.

import KHPProtocol
import NIOCore

extension FuzzTarget {
    static let tunnels = FuzzTarget(name: "tunnels") { seeds in
        let heads = [
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Fine\r\nVia: x\r\n\r\n",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 3\r\n\r\nno\n",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"a\"\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nno\n\r\n0\r\n\r\n",
            "HTTP/1.1 503 No\r\nConnection: close\r\n\r\nno",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: 12), "HTTP/1.1 403 No\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 407 No\r\n\r\n",
        ].map { Array($0.utf8) }
        let socks5: [[UInt8]] =
            [
                [5, 0, 5, 0, 0, 1, 127, 0, 0, 1, 0, 80, 1, 2, 3], [5, 2, 1, 0, 5, 0, 0, 3, 2, 0x61, 0x62, 0, 80],
                [5, 0xFF],
                [5, 0, 5, 0, 0, 4] + Array(repeating: 0, count: 18), [5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0],
                [5, 2, 1, 1], [5, 2, 2, 0], [5, 1], [4, 0], [5, 0, 5, 0, 0, 9], [5, 0, 4, 0], [5, 0, 5, 0, 1, 1],
            ] + (1...9).map { [5, 0, 5, $0, 0, 3, 1, 0x61, 0, 80] }
        let socks4: [[UInt8]] =
            [[0, 90, 0, 0, 0, 0, 0, 0, 9, 9], [0, 91, 0, 0, 0, 0, 0, 0]]
            + [[0, 92, 0, 0, 0, 0, 0, 0], [0, 93, 0, 0, 0, 0, 0, 0], [0, 94, 0, 0, 0, 0, 0, 0], [4, 90]]
        return heads.deciding([[0, 0, 0], [0, 9, 1]])
            + socks5.deciding([[1, 0, 0], [2, 3, 1], [5, 0, 1], [9, 1, 0]])
            + socks4.deciding([[3, 0, 0], [3, 4, 1], [7, 0, 1], [11, 0, 0]])
            + seeds.heads(of: .server).prefix(20).map { $0 + [1, 0, 0] }
    } run: { input in
        var input = input
        let proxies = ["http://p.example:3128", "socks5://p.example", "socks5://p.example", "socks4://p.example"]
        let kind = input.byte()
        let number = Int(kind) % proxies.count
        let url = ["ws://a.example:8001/", "ws://192.0.2.7/", "wss://[2001:db8::7]:8443/"][Int(kind >> 2) % 3]
        var cuts = input.cuts()
        let ends = input.flag()
        guard var proxy = try? Proxy(proxies[number]), let url = try? WebSocketURL(url) else {
            return check(false, "these are our own")
        }
        if number == 2, let named = try? proxy.authenticated(user: "joe", password: "welcome") { proxy = named }
        guard let tunnel = try? Tunnel(through: proxy, to: url) else {
            // SOCKS 4 has no place for an address of sixteen bytes.
            return check(number == 3 && url.host.contains(":"), "a tunnel that is refused")
        }
        check(Mirror(reflecting: tunnel).children.isEmpty, "a dump of a tunnel tells")
        let content = input.content
        let pieces = cuts.pieces(of: content)
        let whole = Digging(tunnel, content.isEmpty ? [] : [ByteBuffer(bytes: content)], ends: ends)
        let cut = Digging(tunnel, pieces, ends: ends)
        // Bytes that come before they are asked for are wrong by themselves, and cuts decide which those are.
        if number == 0 { check(whole == cut, "whole it is \(whole), in pieces \(cut)") }
        check(whole.outcomes <= 1 && cut.outcomes <= 1, "it ends twice")
        // A byte at a time nothing comes before it is asked for.
        let slow = Digging(tunnel, content.map { ByteBuffer(bytes: [$0]) }, ends: ends)
        check(slow.outcomes <= 1 && (!ends || slow.outcomes == 1), "byte by byte it ends \(slow.outcomes) times")
        check(number != 0 || slow == whole, "byte by byte it is \(slow)")
        // A challenge is answered where the proxy keeps the connection, and the next answer counts.
        _ = Digging(tunnel, pieces, ends: ends, login: "Basic am9lOndlbGNvbWU=")
        check(!ends || whole.outcomes == 1 && cut.outcomes == 1, "the proxy has gone, and it waits")
    }
}

private struct Digging: Equatable {
    var established: [UInt8]?
    var challenge: Int?
    var failure: WebSocketError.Code?
    var outcomes = 0
    /// True where a retry on a fresh connection makes sense: a login was sent on this one.
    private var hasLogin = false

    private init() { self.hasLogin = true }

    init(_ tunnel: Tunnel, _ pieces: [ByteBuffer], ends: Bool, login: String? = nil) {
        var tunnel = tunnel
        var logins = 0
        self.take(tunnel.start())
        for piece in pieces {
            if let login, self.challenge != nil, logins < 3, !tunnel.awaitsContent,
                let action = tunnel.answer(login)
            {
                logins += 1
                self = Digging()
                self.take(action)
            }
            if self.established != nil {
                self.established?.append(contentsOf: piece.readableBytesView)
            } else {
                self.take(tunnel.receive(piece))
            }
        }
        if ends, self.established == nil { self.take(tunnel.inputEnded()) }
        if self.established == nil { self.take(tunnel.timeReached()) }
    }

    private mutating func take(_ action: TunnelAction) {
        switch action {
        case .wait: break
        case .send(let bytes): check(bytes.readableBytes > 0, "nothing is sent")
        case .challenge(let response, _):
            check(response.status == 407, "\(response) is a challenge")
            self.challenge = response.status
            self.outcomes += 1
        case .established(let rest, _):
            self.established = Array(rest.readableBytesView)
            self.outcomes += 1
        case .retry:
            check(self.hasLogin, "nothing was answered before")
            self.outcomes += 1
        case .failed(let error):
            self.failure = error.code
            check(!error.description.contains("welcome"), "an error tells the password")
            self.outcomes += 1
        }
    }
}
