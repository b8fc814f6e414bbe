// Input of a peer, in the shapes that cost most: repetition, nesting, all distinct, the worst order. The tests
// hold each row's growth, and `Benchmarks` counts its instructions (`./run.sh growth`): one list for both.

import HTTPTypes
import KHPProtocol
import NIOCore

/// One kind of input, at any size.
struct GrowthRow: Sendable {
    /// A parser or a look-up, then the shape of its input.
    var name: String
    /// The largest input that the default limits allow, in bytes.
    var limit: Int
    /// Makes an input of so many bytes.
    /// - Returns: the work that it causes.
    var prepare: @Sendable (_ bytes: Int) -> () -> Void

    init(_ name: String, limit: Int, _ prepare: @escaping @Sendable (_ bytes: Int) -> () -> Void) {
        self.name = name
        self.limit = limit
        self.prepare = prepare
    }

    /// All of them.
    static var all: [GrowthRow] {
        self.shown + self.heads + self.lists + self.urls + self.streams + self.fields + self.frames
    }
}

/// The text repeated up to a length, behind a beginning.
func repeated(_ text: String, _ bytes: Int, behind start: String = "") -> String {
    let count = max(0, bytes - start.utf8.count) / max(1, text.utf8.count)
    return start + String(repeating: text, count: count)
}

/// Different words of a few letters with a separator between them, up to a length.
func distinct(_ bytes: Int, separator: String, _ word: (Int) -> String = { "p" + String($0, radix: 36) }) -> String {
    var text = ""
    var number = 0
    while text.utf8.count < bytes {
        text += (number == 0 ? "" : separator) + word(number)
        number += 1
    }
    return text
}

/// A head with one field of this name for each piece of the text, none above the longest line.
func head(_ name: String, _ text: String) -> HeadFields {
    var fields = HeadFields()
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: 8000) {
        fields.append(name, String(decoding: bytes[start..<min(start + 8000, bytes.count)], as: UTF8.self))
    }
    return fields
}

extension GrowthRow {
    /// A text that passes redaction as a field's value, an entity or an error does.
    private static func redaction(_ shape: String, _ text: @escaping @Sendable (Int) -> String) -> GrowthRow {
        GrowthRow("redaction: \(shape)", limit: HandshakeResponse.maximumBodyBytes) { bytes in
            let text = text(bytes)
            return { _ = Redaction.shown(text) }
        }
    }

    private static let shown: [GrowthRow] = [
        redaction("a percent sign encoded over and over") { repeated("25", $0, behind: "/?a=%") },
        redaction("URLs within URLs, each encoded once more") { bytes in
            var text = "/?a=b"
            while text.utf8.count < bytes {
                let encoded = text.utf8.reduce(into: "") { text, byte in
                    let isPlain = byte | 0x20 &- 0x61 < 26
                    text += isPlain ? String(UnicodeScalar(byte)) : "%" + Bytes.hex(byte)
                }
                text = "/?a=" + encoded
            }
            return String(text.prefix(bytes))
        },
        redaction("question marks") { repeated("?", $0, behind: "/") },
        redaction("empty parameters") { repeated("?=", $0, behind: "/") },
        redaction("parameters behind question marks, encoded") { repeated("?a=%41", $0, behind: "/") },
        redaction("different parameters") { distinct($0, separator: "&") { "p\($0)=%3F" } },
        redaction("one long name") { repeated("n", $0, behind: "/?") },
        redaction("user information") { repeated("//a@", $0) },
        redaction("encoded user information") { repeated("?a=%2F%2Fb%40", $0, behind: "/") },
        redaction("secrets") { repeated("&token=a", $0, behind: "/?") },
        redaction("semicolons") { repeated(";a=%3B", $0, behind: "/x") },
    ]

    private static let heads: [GrowthRow] = [
        GrowthRow("response head: byte by byte", limit: 32 * 1024) { bytes in
            let text = Array(
                (repeated("A: b\r\n", min(bytes, 600), behind: "HTTP/1.1 200 OK\r\n")
                    + repeated("c", bytes, behind: "B: ").prefix(8000)).utf8
            )
            return {
                var decoder = ResponseHeadDecoder(limits: .opening)
                for byte in text {
                    var buffer = ByteBuffer(bytes: [byte])
                    _ = try? decoder.decode(&buffer)
                }
            }
        },
        GrowthRow("response head: folded lines", limit: 32 * 1024) { bytes in
            let text = repeated("\r\n x", bytes, behind: "HTTP/1.1 200 OK\r\nA: b") + "\r\n\r\n"
            return {
                var buffer = ByteBuffer(string: text)
                var decoder = ResponseHeadDecoder(limits: .opening)
                _ = try? decoder.decode(&buffer)
            }
        },
        GrowthRow("hixie-75's 101: byte by byte", limit: 8 * 1024) { bytes in
            let start =
                "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
            let text = Array((start + repeated("a: b\r\n", min(bytes / 4, 500)) + repeated("c", bytes / 2)).utf8)
            return {
                guard let url = try? WebSocketURL("ws://h/") else { return }
                var plan = ClientPlan(url: url)
                plan.dialect = .hixie75
                plan.extended.policy = .off
                let now = NIODeadline.uptimeNanoseconds(0)
                guard
                    var connection = try? Connection(
                        client: plan,
                        configuration: .init(),
                        key: "",
                        deadline: nil,
                        now: now
                    )
                else { return }
                connection.start(now: now)
                for byte in text {
                    connection.receive(ByteBuffer(bytes: [byte]), now: now)
                    while connection.next(now: now) != nil {}
                }
            }
        },
        GrowthRow("observed heads", limit: 32 * 1024) { bytes in
            let fields = head("X-Header", repeated("/?a=%2525", bytes))
            let message = RequestHead(
                method: "GET",
                target: repeated("?a=%25", min(bytes, 8000), behind: "/"),
                fields: fields
            )
            return { _ = message.description }
        },
    ]

    private static let lists: [GrowthRow] = [
        GrowthRow("subprotocols: different names", limit: 32 * 1024) { bytes in
            let fields = head("Sec-WebSocket-Protocol", distinct(bytes, separator: ", "))
            return {
                var names: [String] = []
                _ = Subprotocols.parse(fields, into: &names)
            }
        },
        GrowthRow("subprotocols: one name", limit: 32 * 1024) { bytes in
            let fields = head("Sec-WebSocket-Protocol", repeated("aaaaaaaa,", bytes))
            return {
                var names: [String] = []
                _ = Subprotocols.parse(fields, into: &names)
            }
        },
        GrowthRow("subprotocols of the old dialects", limit: 32 * 1024) { bytes in
            var fields = HeadFields()
            for (name, value) in [("Upgrade", "WebSocket"), ("Connection", "Upgrade"), ("Host", "h"), ("Origin", "o")] {
                fields.append(name, value)
            }
            head("WebSocket-Protocol", distinct(bytes, separator: " ")).forEach { fields.append($0, $1) }
            let request = RequestHead(method: "GET", target: "/", fields: fields)
            return { _ = try? OpeningServer.check(request, dialects: Dialect.all) }
        },
        GrowthRow("extensions: different names", limit: 32 * 1024) { bytes in
            let values = head("E", distinct(bytes, separator: ", ")).all("E")
            return {
                guard let offers = try? parseExtensions(values) else { return }
                _ = try? OfferedExtensions.choose(from: offers, supported: [PerMessageDeflate()], layer: .opening)
            }
        },
        GrowthRow("extensions: parameters", limit: 32 * 1024) { bytes in
            let values = head("E", repeated(";a=\"b\"", bytes, behind: "x")).all("E")
            return {
                guard let offers = try? parseExtensions(values) else { return }
                _ = try? OfferedExtensions.choose(from: offers, supported: [PerMessageDeflate()], layer: .opening)
            }
        },
        GrowthRow("extensions: alternatives of one", limit: 32 * 1024) { bytes in
            let values = head("E", repeated("permessage-deflate; x,", bytes)).all("E")
            return {
                guard let offers = try? parseExtensions(values) else { return }
                _ = try? OfferedExtensions.choose(from: offers, supported: [PerMessageDeflate()], layer: .opening)
            }
        },
        GrowthRow("challenges: schemes", limit: 8 * 1024) { bytes in
            let text = distinct(bytes, separator: ", ")
            return { _ = try? parseChallenges(fieldValues: [text]) }
        },
        GrowthRow("challenges: commas", limit: 8 * 1024) { bytes in
            let text = repeated(", ", bytes, behind: "Basic a=b") + "c"
            return { _ = try? parseChallenges(fieldValues: [text]) }
        },
        GrowthRow("challenges: escapes in quotes", limit: 8 * 1024) { bytes in
            let text = repeated("\\\"", bytes, behind: "Application Basic realm=\"")
            return { _ = try? parseChallenges(fieldValues: [text + "\""]) }
        },
        GrowthRow("challenges: qop", limit: 8 * 1024) { bytes in
            let text = repeated("auth-x, ", bytes, behind: "Digest realm=a, nonce=b, qop=\"")
            return {
                guard let challenge = try? parseChallenges(fieldValues: [text + "auth\""]).first else { return }
                _ = try? DigestChallenge(challenge)
            }
        },
        GrowthRow("cookies: attributes", limit: 8 * 1024) { bytes in
            let text = repeated("; a=b", bytes, behind: "a=b")
            return { _ = SetCookie(text) }
        },
        GrowthRow("cookies: dates", limit: 8 * 1024) { bytes in
            let text = repeated("; Expires=01 02 03 04 05 06 07", bytes, behind: "a=b")
            return { _ = SetCookie(text) }
        },
        GrowthRow("cookies: into a full jar", limit: 32 * 1024) { bytes in
            var jar = CookieJar()
            for number in 0..<CookieJar.maximum {
                guard let url = try? WebSocketURL("wss://h\(number / 45).example/"),
                    let field = SetCookie("c\(number)=v"),
                    let cookie = Cookie(field, from: url, now: 0)
                else { continue }
                jar.set(cookie, now: 0)
            }
            var head = ResponseHead(status: 101, reason: "")
            for number in 0..<min(bytes / 600, 50) {
                head.fields.append("Set-Cookie", repeated("v", 560, behind: "c\(number)="))
            }
            guard let url = try? WebSocketURL("wss://other.example/") else { return {} }
            return {
                var jar = jar
                for field in setCookies(in: head) {
                    if let cookie = Cookie(field, from: url, now: 0) { jar.set(cookie, now: 0) }
                }
                _ = jar.header(for: url, now: 0)
            }
        },
    ]

    private static func entity(_ shape: String, type: String, _ text: @escaping @Sendable (Int) -> String) -> GrowthRow
    {
        GrowthRow("choices: \(shape)", limit: HandshakeResponse.maximumBodyBytes) { bytes in
            let response = HandshakeResponse(
                status: 300,
                reason: "",
                headers: [.contentType: type],
                body: ByteBuffer(string: text(bytes))
            )
            return { _ = choices(of: response) }
        }
    }

    private static let urls: [GrowthRow] = [
        entity("lines", type: "text/uri-list") { distinct($0, separator: "\n") { "/\($0)" } },
        entity("empty lines", type: "text/uri-list") { repeated("\n", $0) },
        entity("one line", type: "text/uri-list") { repeated("x", $0) },
        entity("unclosed attributes", type: "text/html") { repeated("href='", $0) },
        entity("attributes without a value", type: "text/html") { repeated("href=", $0) },
        entity("escapes", type: "text/html") { repeated("&amp;", $0, behind: "href='") + "'" },
        entity("text without a type", type: "") { repeated("/", $0) },
        GrowthRow("choices: links", limit: 8 * 1024) { bytes in
            var response = HandshakeResponse(status: 300, reason: "")
            guard let name = HTTPField.Name("Link") else { return {} }
            response.headers[name] = repeated("</a>; rel=alternate;;;, ", bytes)
            let other = response
            return { _ = choices(of: other) }
        },
        GrowthRow("a reference of dots", limit: 8 * 1024) { bytes in
            guard let url = try? WebSocketURL("ws://h/a/b") else { return {} }
            let reference = repeated("a/../", bytes)
            return { _ = (try? url.resolving(reference))?.loopKey }
        },
        GrowthRow("a reference of encoded characters", limit: 8 * 1024) { bytes in
            guard let url = try? WebSocketURL("ws://h/a/b"), let pattern = try? LocationPattern("*.h/a/*") else {
                return {}
            }
            let reference = repeated("%2e/", bytes)
            return {
                guard let target = try? url.resolving(reference) else { return }
                _ = target.loopKey
                _ = pattern.matches(target)
            }
        },
        GrowthRow("a balancer's query: different parameters", limit: 8 * 1024) { bytes in
            guard let url = try? WebSocketURL("ws://h/?" + distinct(bytes / 2, separator: "&") { "q\($0)" }) else {
                return {}
            }
            let other = distinct(bytes / 2, separator: "&")
            return { _ = url.merging(query: other) }
        },
        GrowthRow("a balancer's query: one parameter", limit: 8 * 1024) { bytes in
            guard let url = try? WebSocketURL("ws://h/?" + repeated("a&", bytes / 2)) else { return {} }
            let other = repeated("b&", bytes / 2)
            return { _ = url.merging(query: other).withoutKaazingLegacy }
        },
        GrowthRow("a Host", limit: 8 * 1024) { bytes in
            let text = repeated("a.", bytes) + "b"
            return { _ = try? Authority(text) }
        },
        GrowthRow("Retry-After", limit: 8 * 1024) { bytes in
            let response = HandshakeResponse(status: 503, reason: "", headers: [.retryAfter: repeated("1:2:3 ", bytes)])
            return { _ = response.retryAfter(now: 0) }
        },
    ]

    /// Bytes that pass a connection of somebody else's in reads of 1000.
    private static func watched(_ bytes: [UInt8]) -> () -> Void {
        {
            var connection = SharedConnection(limits: HeadLimits()) { _ in false }
            for start in stride(from: 0, to: bytes.count, by: 1000) {
                connection.receive(ByteBuffer(bytes: bytes[start..<min(start + 1000, bytes.count)]))
                while connection.next() != nil {}
            }
        }
    }

    /// Bytes that the requests of a connection of ordinary HTTP come in, in reads of so many.
    private static func served(_ bytes: [UInt8], reads: Int) -> () -> Void {
        {
            var requests = OrdinaryRequests(limits: HeadLimits(), mostContent: nil) { _ in true }
            for start in stride(from: 0, to: bytes.count, by: reads) {
                requests.receive(ByteBuffer(bytes: bytes[start..<min(start + reads, bytes.count)]))
                while let step = requests.next() {
                    if case .end = step { requests.proceed() }
                }
            }
        }
    }

    private static let streams: [GrowthRow] = [
        GrowthRow("a chunked entity: one byte a chunk", limit: 76 * 1024) { bytes in
            let start = "HTTP/1.1 401 A\r\nTransfer-Encoding: chunked\r\n\r\n"
            let text = Array(repeated("1\r\nx\r\n", bytes, behind: start).utf8)
            return {
                guard let url = try? WebSocketURL("ws://h/"),
                    var client = try? OpeningClient(OpeningClientPlan(url: url, key: "dGhlIHNhbXBsZSBub25jZQ=="))
                else { return }
                for start in stride(from: 0, to: text.count, by: 1000) {
                    var buffer = ByteBuffer(bytes: text[start..<min(start + 1000, text.count)])
                    _ = try? client.receive(&buffer)
                }
            }
        },
        GrowthRow("a shared connection: one byte a chunk", limit: 76 * 1024) { bytes in
            let start = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            return watched(Array(repeated("1\r\nx\r\n", bytes, behind: start).utf8))
        },
        GrowthRow("a shared connection: requests at once", limit: 76 * 1024) { bytes in
            watched(Array(repeated("GET / HTTP/1.1\r\nHost: h\r\n\r\n", bytes, behind: "").utf8))
        },
        GrowthRow("ordinary requests: one byte a chunk", limit: 76 * 1024) { bytes in
            let start = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            return served(Array(repeated("1\r\nx\r\n", bytes, behind: start).utf8), reads: 1000)
        },
        GrowthRow("ordinary requests: many in one read", limit: 64 * 1024) { bytes in
            served(Array(repeated("GET / HTTP/1.1\r\nHost: h\r\n\r\n", bytes).utf8), reads: bytes)
        },
        GrowthRow("a message in fragments of one byte", limit: 16 * 1024) { bytes in
            return {
                var reader = MessageReader(role: .client, limits: MessageLimits())
                var input = ByteBuffer(bytes: [0x01, 0x01, 0x61])
                for _ in 0..<(bytes / 3) {
                    _ = try? reader.next(&input)
                    input = ByteBuffer(bytes: [0x00, 0x01, 0x61])
                }
                _ = try? reader.next(&input)
            }
        },
        GrowthRow("pings in one read, observed", limit: 32 * 1024) { bytes in
            var queue = ActionQueue()
            for number in 0..<(bytes / 2) {
                queue.append(.event(.kaazingLegacy(number == 0 ? .noMember : .noBalancer)))
            }
            let filled = queue
            return {
                var queue = filled
                while queue.popFirst() != nil {}
            }
        },
        GrowthRow("SOCKS: an address, byte by byte", limit: 512) { bytes in
            let name = [UInt8](repeating: 0x61, count: min(bytes, 250))
            let reply: [UInt8] = [0x05, 0x00, 0x05, 0x00, 0x00, 0x03, UInt8(name.count)] + name + [0, 80]
            return {
                guard let proxy = try? Proxy("socks5://p"), let url = try? WebSocketURL("ws://h/"),
                    var tunnel = try? Tunnel(through: proxy, to: url)
                else { return }
                _ = tunnel.start()
                for byte in reply { _ = tunnel.receive(ByteBuffer(bytes: [byte])) }
            }
        },
        GrowthRow("PROXY: empty values behind the addresses", limit: 2048) { bytes in
            let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
            let values = [UInt8](repeating: 0, count: (bytes - 12) / 3 * 3).indices.map {
                $0 % 3 == 0 ? 0x05 : 0 as UInt8
            }
            let size = UInt16(12 + values.count)
            let addresses: [UInt8] = [127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 0, 81]
            let header = signature + [0x21, 0x11, UInt8(size >> 8), UInt8(size & 0xFF)] + addresses + values
            return {
                var input = ByteBuffer(bytes: header)
                _ = try? ProxyHeader.read(&input)
            }
        },
    ]
}
