// Heads, fields and what stands in them, beyond the lists of `GrowthRows.swift`: the shapes that cost most.

import HTTPTypes
import KHPProtocol
import NIOCore

extension GrowthRow {
    static let fields: [GrowthRow] = requests + values + credentials + places

    /// A request whose fields are read as an opening's.
    private static func request(
        _ shape: String,
        limit: Int = 32 * 1024,
        _ fields: @escaping @Sendable (Int) -> [(String, String)]
    ) -> GrowthRow {
        GrowthRow("request: \(shape)", limit: limit) { bytes in
            var head = HeadFields()
            for (name, value) in [
                ("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ] {
                head.append(name, value)
            }
            for (name, value) in fields(bytes) { head.append(name, value) }
            let request = RequestHead(method: "GET", target: "/", fields: head)
            return { _ = try? OpeningServer.check(request) }
        }
    }

    /// Lines of at most 8000 bytes.
    private static func lines(_ name: String, _ text: String) -> [(String, String)] {
        let bytes = Array(text.utf8)
        return stride(from: 0, to: bytes.count, by: 8000).map { start in
            (name, String(decoding: bytes[start..<min(start + 8000, bytes.count)], as: UTF8.self))
        }
    }

    private static let requests: [GrowthRow] = [
        GrowthRow("request head: byte by byte", limit: 32 * 1024) { bytes in
            let lines = distinct(bytes, separator: "\r\n") { "x\($0 % 90): \(String(repeating: "v", count: 320))" }
            let text = Array(("GET / HTTP/1.1\r\n" + lines).utf8)
            return {
                var server = OpeningServer()
                for byte in text {
                    var buffer = ByteBuffer(bytes: [byte])
                    _ = try? server.receive(&buffer)
                }
            }
        },
        GrowthRow("request head: one line", limit: 8 * 1024) { bytes in
            let text = repeated("a", bytes, behind: "GET /") + " HTTP/1.1\r\n\r\n"
            return {
                var buffer = ByteBuffer(string: text)
                var server = OpeningServer()
                _ = try? server.receive(&buffer)
            }
        },
        GrowthRow("request head: line feeds before it", limit: 32 * 1024) { bytes in
            let text = repeated("\r\n", bytes)
            return {
                var buffer = ByteBuffer(string: text)
                var server = OpeningServer()
                _ = try? server.receive(&buffer)
            }
        },
        GrowthRow("status line: a reason", limit: 8 * 1024) { bytes in
            let text = repeated("r ", bytes, behind: "HTTP/1.1 403 ") + "\r\n\r\n"
            return {
                var buffer = ByteBuffer(string: text)
                var decoder = ResponseHeadDecoder(limits: .opening)
                _ = try? decoder.decode(&buffer)
            }
        },
        request("tokens of Connection") { lines("Connection", distinct($0, separator: ",")) },
        request("commas of Connection") { lines("Connection", repeated(",", $0)) },
        request("tokens of Upgrade") { lines("Upgrade", repeated("w/1,", $0)) },
        request("lengths of content", limit: 8 * 1024) { [("Content-Length", repeated("0, ", $0) + "0")] },
        request("transfer codings", limit: 8 * 1024) { [("Transfer-Encoding", repeated("gzip, ", $0) + "chunked")] },
        request("different fields") { bytes in
            (0..<90).map { ("x-\($0)", String(repeating: "v", count: bytes / 90)) }
        },
        request("one field, many times") { bytes in
            (0..<90).map { _ in ("Cookie", String(repeating: "v", count: bytes / 90)) }
        },
        request("a long name", limit: 8 * 1024) { [(repeated("n", $0), "v")] },
        GrowthRow("target: dots", limit: 8 * 1024) { target(repeated("/../a/.", $0)) },
        GrowthRow("target: encoded characters", limit: 8 * 1024) { target("/" + repeated("%2e%41", $0)) },
        GrowthRow("target: absolute form", limit: 8 * 1024) { target("http://h/" + repeated("a?", $0)) },
    ]

    private static func target(_ text: String) -> () -> Void {
        var head = HeadFields()
        for (name, value) in [
            ("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            head.append(name, value)
        }
        let request = RequestHead(method: "GET", target: text, fields: head)
        return { _ = try? OpeningServer.check(request) }
    }

    private static let values: [GrowthRow] = [
        GrowthRow("Forwarded: nodes", limit: 8 * 1024) { bytes in
            let text = repeated("for=\"[::1]:80\";by=a, ", bytes)
            return { _ = ForwardingField.forwarded.nodesFromLast([text]) }
        },
        GrowthRow("Forwarded: quotes", limit: 8 * 1024) { bytes in
            let text = repeated("\\\"", bytes, behind: "for=\"")
            return { _ = ForwardingField.forwarded.nodesFromLast([text]) }
        },
        GrowthRow("X-Forwarded-For: nodes", limit: 32 * 1024) { bytes in
            let values = lines("", repeated("1.2.3.4,", bytes)).map(\.1)
            return { _ = ForwardingField.xForwardedFor.nodesFromLast(values) }
        },
        GrowthRow("Origin", limit: 8 * 1024) { bytes in
            // Capitals, which no short way through takes.
            let text = repeated("A.", bytes, behind: "https://") + "b"
            guard let policy = try? OriginPolicy.allowing(["https://a.example"]), let host = try? Authority("h") else {
                return {}
            }
            return { _ = policy.allows(text, at: host, isSecure: true) }
        },
        GrowthRow("Host: groups of an address", limit: 8 * 1024) { bytes in
            let text = "[" + repeated("1:", bytes) + "]"
            return { _ = try? Authority(text) }
        },
        GrowthRow("Host: digits", limit: 8 * 1024) { bytes in
            let text = repeated("0", bytes) + ":1"
            return { _ = try? Authority(text) }
        },
        GrowthRow("Host: allowed hosts", limit: 8 * 1024) { bytes in
            let text = repeated("A.", bytes) + "b"
            guard let policy = try? HostPolicy.allowing(["a.example", "*.b.example"]) else { return {} }
            let authority = try? Authority(text)
            return { _ = policy.allows(authority) }
        },
        GrowthRow("text: bytes that are no UTF-8", limit: 32 * 1024) { bytes in
            let text = [UInt8](repeating: 0xC3, count: bytes)
            return {
                text.withUnsafeBytes {
                    let readable = FieldText.string($0)
                    _ = FieldText.readable(readable)
                    _ = FieldText.bytes(of: readable)
                }
            }
        },
        GrowthRow("shown: tokens of a subprotocol", limit: 32 * 1024) { bytes in
            let fields = head("Sec-WebSocket-Protocol", repeated("bearer.eyJhbGciOiJIUzI1NiJ9, ", bytes))
            return { _ = fields.description }
        },
        GrowthRow("shown: one long subprotocol", limit: 8 * 1024) { bytes in
            let fields = head("Sec-WebSocket-Protocol", repeated("aB3-", bytes))
            return { _ = fields.description }
        },
        GrowthRow("shown: a long name of a field", limit: 8 * 1024) { bytes in
            var fields = HeadFields()
            fields.append(repeated("tok-", bytes), "v")
            let head = fields
            return { _ = head.description }
        },
        GrowthRow("keys of hixie-76: digits and spaces", limit: 8 * 1024) { bytes in
            let key = repeated("1 ", bytes)
            return { _ = try? HixieKeys.number(of: key) }
        },
        GrowthRow("Retry-After: a date", limit: 8 * 1024) { bytes in
            let text = repeated("Sun, 06 Nov 1994 08:49:37 GMT ", bytes)
            return { _ = CookieDate.parse(text) }
        },
    ]

    private static let credentials: [GrowthRow] = [
        GrowthRow("Basic: an answer", limit: 8 * 1024) { bytes in
            let text = "Basic " + repeated("YTpi", bytes)
            return { _ = BasicCredentials(authorization: text) }
        },
        GrowthRow("Digest, an answer: parameters", limit: 8 * 1024) { bytes in
            answer(repeated(", a=b", bytes))
        },
        GrowthRow("Digest, an answer: different parameters", limit: 8 * 1024) { bytes in
            answer(", " + distinct(bytes, separator: ", ") { "p\($0)=\"q\"" })
        },
        GrowthRow("Digest, an answer: a name in extended form", limit: 8 * 1024) { bytes in
            answer(", username*=UTF-8''" + repeated("%41", bytes))
        },
        GrowthRow("Digest, an answer: a long name", limit: 8 * 1024) { bytes in
            answer(", username=\"" + repeated("\\\"", bytes) + "\"")
        },
        GrowthRow("Digest: counts of nonces", limit: 32 * 1024) { bytes in
            let seal = DigestNonceSeal(realm: "a", key: [1])
            var generator = SystemRandomNumberGenerator()
            let nonces = (0..<bytes / 64).compactMap { seal.read(seal.make(now: UInt64($0), using: &generator)) }
            return {
                var counts = NonceCounts(lifetime: 60_000_000, capacity: 16)
                for nonce in nonces { _ = counts.use(nonce, count: 1, now: 1) }
            }
        },
        GrowthRow("Authentication-Info: parameters", limit: 8 * 1024) { bytes in
            let text = repeated("a=\"b\", ", bytes) + "rspauth=\"c\""
            return { _ = try? parseAuthenticationParameters([text]) }
        },
        GrowthRow("challenges: answered", limit: 32 * 1024) { bytes in
            var response = HandshakeResponse(status: 401, reason: "")
            let count = max(1, bytes / 60)
            let challenges = (0..<count).map { "Digest realm=\"r\($0)\", nonce=\"n\($0)\", qop=\"auth\"" }
            response.headers[values: .wwwAuthenticate] = challenges
            guard let url = try? WebSocketURL("ws://h/") else { return {} }
            let given = response
            return {
                var authenticator = Authenticator()
                _ = try? authenticator.challenged(
                    by: given,
                    at: .origin(url, .opening),
                    url: url,
                    originalURL: url,
                    target: .init(method: "GET", uri: "/"),
                    clientNonce: "c"
                )
            }
        },
    ]

    private static func answer(_ more: String) -> () -> Void {
        let text =
            "Digest username=\"joe\", realm=\"a\", nonce=\"n\", uri=\"/\", response=\"r\", qop=auth, nc=00000001, "
            + "cnonce=\"c\"" + more
        let verifier = DigestVerifier(realm: "a", algorithms: [.md5, .sha256], key: [1])
        return {
            _ = try? DigestAuthorization(text)
            _ = verifier.claim(of: text, method: "GET", target: "/")
        }
    }

    private static let places: [GrowthRow] = [
        GrowthRow("endpoints: segments of a path", limit: 8 * 1024) { endpoint(repeated("/a", $0)) },
        GrowthRow("endpoints: an encoded parameter", limit: 8 * 1024) { endpoint("/rooms/" + repeated("%41", $0)) },
        GrowthRow("endpoints: slashes", limit: 8 * 1024) { endpoint(repeated("/", $0)) },
        GrowthRow("redirects: a chain", limit: 8 * 1024) { bytes in
            guard let url = try? WebSocketURL("ws://h/") else { return {} }
            let targets = (0..<5).map { "/\($0)" + repeated("%41a/../", bytes) }
            return {
                var tracker = RedirectTracker(from: url)
                var current = url
                for target in targets {
                    guard let next = try? tracker.follow(status: 302, candidates: [target], from: current) else {
                        break
                    }
                    current = next
                }
            }
        },
        GrowthRow("redirects: alternatives", limit: 32 * 1024) { bytes in
            guard let url = try? WebSocketURL("ws://h/") else { return {} }
            let targets = (0..<max(1, bytes / 16)).map { "ftp://h/\($0)" }
            return {
                var tracker = RedirectTracker(from: url)
                _ = try? tracker.follow(status: 300, candidates: targets, from: url)
            }
        },
        GrowthRow("certificates: names", limit: 64 * 1024) { bytes in
            let names = (0..<bytes / 20).map { Array("*.host-\($0 + 10_000).example".utf8) }
            let presented = PresentedIdentifiers(names: names)
            let identity = ServerIdentity(host: "a.host.example")
            return {
                _ = identity.isAmong(presented)
                _ = presented.description
            }
        },
        GrowthRow("cookies: paths and domains", limit: 8 * 1024) { bytes in
            guard let url = try? WebSocketURL("ws://" + repeated("a.", 200) + "b/" + repeated("a/", bytes)) else {
                return {}
            }
            let text = "a=b; Path=/" + repeated("a/", bytes / 2) + "; Domain=" + repeated("a.", 100) + "b"
            return {
                guard let field = SetCookie(text), let cookie = Cookie(field, from: url, now: 0) else { return }
                var jar = CookieJar()
                jar.set(cookie, now: 0)
                _ = jar.header(for: url, now: 0)
            }
        },
    ]

    private static func endpoint(_ path: String) -> () -> Void {
        let patterns = ["/rooms/{id}", "/rooms/{id}/{more...}", "/a/a/{x}/b", "/{all...}"]
        let endpoints = patterns.enumerated().compactMap { index, path in
            try? EndpointConfiguration(.init(path: path), index: index)
        }
        guard let set = try? EndpointSet(endpoints) else { return {} }
        return { _ = try? set.match(path) }
    }
}
