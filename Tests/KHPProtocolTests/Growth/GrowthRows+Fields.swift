// Heads, fields and what stands in them, beyond the lists of `GrowthRows.swift`: the shapes that cost most.

import HTTPTypes
import KHPProtocol
import NIOCore

extension GrowthRow {
    static let fields: [GrowthRow] = requests + values + credentials + places

    private static let host = [("Host", "h")]
    private static let key = [("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    private static let upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade")]

    /// An opening request of so many bytes. The tokens that make it one come last.
    private static func opening(
        _ bytes: Int,
        target: String = "/",
        _ fields: (_ bytes: Int) -> [(String, String)] = { _ in [] }
    ) -> String {
        let start = "GET \(target) HTTP/1.1"
        let others = written(start, self.host + self.key + self.upgrade).utf8.count
        return written(start, self.host + self.key + fields(max(0, bytes - others)) + self.upgrade)
    }

    /// A request that is read as an opening's, in one read or byte by byte.
    private static func request(
        _ name: String,
        limit: Int = 32 * 1024,
        bound: String? = nil,
        refusal: String? = nil,
        byteByByte: Bool = false,
        _ text: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow(name, limit: limit, bound: bound, refusal: refusal) { bytes in
            let whole = ByteBuffer(string: text(bytes))
            return {
                var input = whole
                var server = OpeningServer()
                var request: OpeningRequest?
                if byteByByte {
                    for byte in whole.readableBytesView {
                        var input = ByteBuffer(bytes: [byte])
                        request = try server.receive(&input)
                    }
                } else {
                    request = try server.receive(&input)
                }
                _ = try accepted(request)
            }
        }
    }

    /// A request with such fields.
    private static func request(
        fields shape: String,
        limit: Int = 32 * 1024,
        bound: String? = nil,
        refusal: String? = nil,
        _ fields: @escaping @Sendable (Int) -> [(String, String)]
    ) -> GrowthRow {
        self.request("request: \(shape)", limit: limit, bound: bound, refusal: refusal) { self.opening($0, fields) }
    }

    /// A request whose first line has that many bytes.
    private static func request(line name: String, _ target: @escaping @Sendable (Int) -> String) -> GrowthRow {
        self.request(name, limit: 8 * 1024) { self.opening(0, target: target($0 - "GET  HTTP/1.1".utf8.count)) }
    }

    private static let requests: [GrowthRow] = [
        request("request head: byte by byte", byteByByte: true) { opening($0) { differentFields($0) } },
        request(line: "request head: one line") { repeated("a", $0, behind: "/") },
        GrowthRow(
            "request head: line feeds before it",
            limit: 32 * 1024,
            bound: "the first empty line is refused",
            refusal: "the first line is empty"
        ) { bytes in
            let text = ByteBuffer(string: repeated("\r\n", bytes))
            return {
                var input = text
                var server = OpeningServer()
                _ = try server.receive(&input)
            }
        },
        GrowthRow("status line: a reason", limit: 8 * 1024) { bytes in
            let text = repeated("r ", bytes, behind: "HTTP/1.1 403 ") + "\r\n\r\n"
            return {
                var buffer = ByteBuffer(string: text)
                var decoder = ResponseHeadDecoder(limits: .opening)
                _ = try accepted(try decoder.decode(&buffer))
            }
        },
        request(fields: "tokens of Connection") { bytes in
            lines("Connection", bytes) { distinct($0, separator: ",", from: $1) }
        },
        request(fields: "commas of Connection") { bytes in
            lines("Connection", bytes) { size, _ in repeated(",", size) }
        },
        request(fields: "tokens of Upgrade") { bytes in
            lines("Upgrade", bytes) { size, _ in repeated("w/1,", size) }
        },
        request(fields: "lengths of content", limit: 8 * 1024, bound: fixed, refusal: "a length is one number") {
            bytes in
            [("Content-Length", repeated("0, ", bytes - 20) + "0")]
        },
        request(fields: "transfer codings", limit: 8 * 1024, refusal: "an opening request has no content") { bytes in
            [("Transfer-Encoding", repeated("gzip, ", bytes - 30) + "chunked")]
        },
        request(fields: "different fields") { differentFields($0) },
        request(fields: "one field, many times") { bytes in
            shares(90, of: bytes) { "Cookie: \($1)\r\n" }.map { line in
                ("Cookie", String(line.dropFirst("Cookie: ".count).dropLast(1)))
            }
        },
        request(fields: "a long name", limit: 8 * 1024) { [(repeated("n", $0 - 4), "v")] },
        request(line: "target: dots") { repeated("/../a/.", $0) },
        request(line: "target: encoded characters") { repeated("%2e%41", $0, behind: "/") },
        request(line: "target: absolute form") { repeated("a?", $0, behind: "http://h/") },
    ]

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
            let values = lines("X-Forwarded-For", bytes) { size, _ in repeated("1.2.3.4,", size) }.map(\.1)
            return { _ = ForwardingField.xForwardedFor.nodesFromLast(values) }
        },
        GrowthRow("Origin", limit: 261) { bytes in
            // Capitals, which no short way through takes.
            let text = repeated("A.", bytes - 1, behind: "https://") + "b"
            let policy = try OriginPolicy.allowing(["https://a.example", text])
            let host = try Authority("h")
            return { try accepted(policy.allows(text, at: host, isSecure: true)) }
        },
        GrowthRow("Host: groups of an address", limit: 8 * 1024, refusal: "an address has eight groups") { bytes in
            let text = "[" + repeated("1:", bytes) + "]"
            return { _ = try Authority(text) }
        },
        GrowthRow("Host: digits", limit: 8 * 1024, refusal: "a label has 63 bytes at most") { bytes in
            let text = repeated("0", bytes) + ":1"
            return { _ = try Authority(text) }
        },
        GrowthRow("Host: allowed hosts", limit: 253) { bytes in
            let text = repeated("A.", bytes - 1) + "b"
            let policy = try HostPolicy.allowing(["a.example", "b.example", text])
            return { try accepted(policy.allows(try Authority(text))) }
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
            let token = "bearer.eyJhbGciOiJIUzI1NiJ9, "
            let fields = head(lines("Sec-WebSocket-Protocol", bytes) { size, _ in repeated(token, size) })
            return { _ = fields.description }
        },
        GrowthRow("shown: one long subprotocol", limit: 8 * 1024) { bytes in
            let fields = head([("Sec-WebSocket-Protocol", repeated("aB3-", bytes - 24))])
            return { _ = fields.description }
        },
        GrowthRow("shown: a long name of a field", limit: 8 * 1024) { bytes in
            let fields = head([(repeated("tok-", bytes - 3), "v")])
            return { _ = fields.description }
        },
        GrowthRow("keys of hixie-76: digits and spaces", limit: 1024) { bytes in
            // A number that any number of spaces divides.
            let key = repeated("0 ", bytes)
            return { _ = try HixieKeys.number(of: key) }
        },
        GrowthRow("Retry-After: a date", limit: 8 * 1024) { bytes in
            let text = repeated("Sun, 06 Nov 1994 08:49:37 GMT ", bytes)
            return { _ = try accepted(CookieDate.parse(text)) }
        },
    ]

    private static let credentials: [GrowthRow] = [
        GrowthRow("Basic: an answer", limit: 8 * 1024) { bytes in
            let text = "Basic " + repeated("YTpi", bytes - 6)
            return { _ = try accepted(BasicCredentials(authorization: text)) }
        },
        answer("parameters") { ", username=joe" + shares(20, of: $0 - 14) { ", p\($0)=\"\($1)\"" }.joined() },
        answer("different parameters", bound: "the 33rd is refused", refusal: "there are 32 at most") {
            ", username=joe, " + distinct($0 - 16, separator: ", ") { "p\($0)=\"q\"" }
        },
        answer("a name in extended form") { repeated("%41", $0, behind: ", username*=UTF-8''") },
        answer("a long name") { repeated("\\\"", $0 - 1, behind: ", username=\"") + "\"" },
        GrowthRow("Digest: counts of nonces", limit: 32 * 1024) { bytes in
            let seal = DigestNonceSeal(realm: "a", key: [1])
            var generator = SystemRandomNumberGenerator()
            let nonces = (0..<bytes / 64).compactMap { seal.read(seal.make(now: UInt64($0), using: &generator)) }
            return {
                // Both sizes fill it, and drop what is oldest.
                var counts = NonceCounts(lifetime: 60_000_000, capacity: 4)
                for nonce in nonces { _ = counts.use(nonce, count: 1, now: 1) }
            }
        },
        GrowthRow("Authentication-Info: parameters", limit: 8 * 1024) { bytes in
            let text = shares(31, of: bytes - 11) { "p\($0)=\"\($1)\", " }.joined() + "rspauth=\"c\""
            return { _ = try parseAuthenticationParameters([text]) }
        },
        GrowthRow("challenges: answered", limit: 32 * 1024, bound: "32 of them are read") { bytes in
            var response = HandshakeResponse(status: 401, reason: "")
            let others = 32 * "WWW-Authenticate: \r\n".utf8.count
            response.headers[values: .wwwAuthenticate] = shares(32, of: bytes - others) {
                "Digest realm=\"r\($0)\", nonce=\"\($1)\", qop=\"auth\""
            }
            let url = try WebSocketURL("ws://h/")
            let given = response
            return {
                var authenticator = Authenticator()
                let challenged = try authenticator.challenged(
                    by: given,
                    at: .origin(url, .opening),
                    url: url,
                    originalURL: url,
                    target: .init(method: "GET", uri: "/"),
                    clientNonce: "c"
                )
                guard case .ask(let questions) = challenged else { throw Refused() }
                try accepted(questions.count == 32)
            }
        },
    ]

    /// The answer to a challenge of Digest, as a server reads it from its field.
    private static func answer(
        _ shape: String,
        bound: String? = nil,
        refusal: String? = nil,
        _ more: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow("Digest, an answer: \(shape)", limit: 8 * 1024, bound: bound, refusal: refusal) { bytes in
            let start =
                "Digest realm=\"a\", nonce=\"n\", uri=\"/\", response=\"0123456789abcdef0123456789abcdef\", "
                + "qop=auth, nc=00000001, cnonce=\"c\""
            let text = start + more(max(64, bytes - start.utf8.count))
            let verifier = DigestVerifier(realm: "a", algorithms: [.md5, .sha256], key: [1])
            return {
                _ = try DigestAuthorization(text)
                _ = verifier.claim(of: text, method: "GET", target: "/")
            }
        }
    }

    private static let places: [GrowthRow] = [
        endpoint("segments of a path") { repeated("/a", $0) },
        endpoint("an encoded parameter") { repeated("%41", $0, behind: "/rooms/") },
        endpoint("slashes") { repeated("/", $0) },
        GrowthRow("redirects: a chain", limit: 8 * 1024) { bytes in
            let url = try WebSocketURL("ws://h/")
            let targets = (0..<5).map { repeated("%41a/../", bytes - 2, behind: "/") + "\($0)" }
            return {
                var tracker = RedirectTracker(from: url)
                var current = url
                for target in targets {
                    current = try tracker.follow(status: 302, candidates: [target], from: current)
                }
            }
        },
        GrowthRow("redirects: alternatives", limit: 32 * 1024, bound: "32 of them are looked at") { bytes in
            let url = try WebSocketURL("ws://h/")
            // Only the last of those that are looked at can be followed.
            let targets = shares(31, of: bytes - 2) { "ftp://h/\($0)\($1)" } + ["/x"]
            return {
                var tracker = RedirectTracker(from: url)
                _ = try tracker.follow(status: 300, candidates: targets, from: url)
            }
        },
        GrowthRow("certificates: names", limit: 64 * 1024) { bytes in
            let names = (0..<bytes / 20).map { Array("*.host-\($0 + 10_000).example".utf8) } + [Array("h".utf8)]
            let presented = PresentedIdentifiers(names: names)
            let identity = ServerIdentity(host: "h")
            return {
                try accepted(identity.isAmong(presented))
                _ = presented.description
            }
        },
        GrowthRow("cookies: paths and domains", limit: SetCookie.maximumAttributeBytes) { bytes in
            let domain = repeated("a.", min(252, bytes / 4)) + "b"
            let path = repeated("a/", bytes, behind: "/")
            let url = try WebSocketURL("ws://\(domain)\(path)")
            let text = "a=b; Path=\(path); Domain=\(domain)"
            return {
                let cookie = try accepted(Cookie(try accepted(SetCookie(text)), from: url, now: 0))
                var jar = CookieJar()
                jar.set(cookie, now: 0)
                try accepted(jar.header(for: url, now: 0) != nil)
            }
        },
    ]

    /// A look-up among endpoints with patterns.
    private static func endpoint(_ shape: String, _ path: @escaping @Sendable (Int) -> String) -> GrowthRow {
        GrowthRow("endpoints: \(shape)", limit: 8 * 1024) { bytes in
            let patterns = ["/rooms/{id}", "/rooms/{id}/{more...}", "/a/a/{x}/b", "/{all...}"]
            let endpoints = try patterns.enumerated().map { index, path in
                try EndpointConfiguration(.init(path: path), index: index)
            }
            let (set, path) = (try EndpointSet(endpoints), path(bytes))
            return { _ = try accepted(try set.match(path)) }
        }
    }
}
