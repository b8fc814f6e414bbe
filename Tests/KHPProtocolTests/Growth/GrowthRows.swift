// Texts that are shown, heads, lists, URLs and streams: the shapes that cost most.

import HTTPTypes
import KHPProtocol
import NIOCore

extension GrowthRow {
    /// All of them that KHPProtocol has.
    static var all: [GrowthRow] {
        self.shown + self.heads + self.lists + self.urls + self.streams + self.answers + self.fields
            + self.shortValues + self.frames + self.handshakes
    }

    /// A text that passes redaction as a field's value, an entity or an error does.
    private static func redaction(_ shape: String, _ text: @escaping @Sendable (Int) -> String) -> GrowthRow {
        GrowthRow("redaction: \(shape)", limit: HandshakeResponse.maximumBodyBytes) { bytes in
            let text = text(bytes)
            return { _ = Redaction.shown(text) }
        }
    }

    static let shown: [GrowthRow] = [
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

    static let heads: [GrowthRow] = [
        GrowthRow("response head: byte by byte", limit: 32 * 1024) { bytes in
            let start = "HTTP/1.1 200 OK"
            let text = Array(written(start, differentFields(bytes - start.utf8.count - 4)).utf8)
            return {
                var decoder = ResponseHeadDecoder(limits: .opening)
                var head: ResponseHead?
                for byte in text {
                    var buffer = ByteBuffer(bytes: [byte])
                    head = try decoder.decode(&buffer)
                }
                _ = try accepted(head)
            }
        },
        GrowthRow("response head: folded lines", limit: 32 * 1024) { bytes in
            // Eight fields, each within a line's length without its folds.
            let fields = (0..<8).map { ("A\($0)", repeated("\r\n x", (bytes - 100) / 8, behind: "b")) }
            let text = written("HTTP/1.1 200 OK", fields)
            return {
                var buffer = ByteBuffer(string: text)
                var decoder = ResponseHeadDecoder(limits: .opening)
                _ = try accepted(try decoder.decode(&buffer))
            }
        },
        GrowthRow("hixie-75's 101: byte by byte", limit: 8 * 1024) { bytes in
            let start = "HTTP/1.1 101 Web Socket Protocol Handshake"
            let known = [
                ("Upgrade", "WebSocket"), ("Connection", "Upgrade"), ("WebSocket-Origin", "http://o"),
                ("WebSocket-Location", "ws://h/"),
            ]
            let text = Array(written(start, known + differentFields(bytes - written(start, known).utf8.count)).utf8)
            var plan = ClientPlan(url: try WebSocketURL("ws://h/"))
            plan.dialect = .hixie75
            plan.origin = "http://o"
            plan.extended.policy = .off
            let now = NIODeadline.uptimeNanoseconds(0)
            let made = try Connection(client: plan, configuration: .init(), key: "", deadline: nil, now: now)
            return {
                var connection = made.copy()
                connection.start(now: now)
                for byte in text {
                    connection.receive(ByteBuffer(bytes: [byte]), now: now)
                    while connection.next(now: now) != nil {}
                }
                try accepted(connection.stageName == .open)
            }
        },
        GrowthRow("observed heads", limit: 32 * 1024) { bytes in
            let fields = head(lines("X-Header", bytes - bytes / 4) { size, _ in repeated("/?a=%2525", size) })
            let target = repeated("?a=%25", bytes / 4 - 16, behind: "/")
            let message = RequestHead(method: "GET", target: target, fields: fields)
            return { _ = message.description }
        },
    ]

    /// Offers that a server reads and chooses from.
    private static func extensions(
        _ shape: String,
        _ value: @escaping @Sendable (_ bytes: Int, _ before: Int) -> String
    ) -> GrowthRow {
        GrowthRow("extensions: \(shape)", limit: 32 * 1024) { bytes in
            let values = lines("Sec-WebSocket-Extensions", bytes, value).map(\.1)
            return {
                let offers = try parseExtensions(values)
                _ = try OfferedExtensions.choose(from: offers, supported: [PerMessageDeflate()], layer: .opening)
            }
        }
    }

    private static func subprotocols(
        _ shape: String,
        _ value: @escaping @Sendable (_ bytes: Int, _ before: Int) -> String
    ) -> GrowthRow {
        GrowthRow("subprotocols: \(shape)", limit: 32 * 1024) { bytes in
            let fields = head(lines("Sec-WebSocket-Protocol", bytes, value))
            return {
                var names: [String] = []
                try accepted(Subprotocols.parse(fields, into: &names))
            }
        }
    }

    /// Challenges of one field.
    private static func challenges(_ shape: String, _ text: @escaping @Sendable (Int) -> String) -> GrowthRow {
        GrowthRow("challenges: \(shape)", limit: 8 * 1024) { bytes in
            let text = text(bytes)
            return { _ = try parseChallenges(fieldValues: [text]) }
        }
    }

    private static func setCookie(_ shape: String, _ text: String) -> GrowthRow {
        GrowthRow("cookies: \(shape)", limit: 8 * 1024) { bytes in
            let text = repeated(text, bytes, behind: "a=b")
            return { _ = try accepted(SetCookie(text)) }
        }
    }

    static let lists: [GrowthRow] = [
        subprotocols("different names") { distinct($0, separator: ", ", from: $1) },
        subprotocols("one name") { size, _ in repeated("aaaaaaaa,", size) },
        GrowthRow("subprotocols of the old dialects", limit: 32 * 1024) { bytes in
            let known = [("Upgrade", "WebSocket"), ("Connection", "Upgrade"), ("Host", "h"), ("Origin", "http://o")]
            let names = lines("WebSocket-Protocol", bytes - 80) { distinct($0, separator: " ", from: $1) }
            let request = RequestHead(method: "GET", target: "/", fields: head(known + names))
            return { _ = try OpeningServer.check(request, dialects: Dialect.all) }
        },
        extensions("different names") { distinct($0, separator: ", ", from: $1) },
        extensions("one parameter over and over") { size, _ in repeated(";a=\"b\"", size, behind: "x") },
        extensions("different parameters") { "x;" + distinct($0 - 2, separator: ";", from: $1) },
        extensions("alternatives of one") { size, _ in repeated("permessage-deflate; x,", size) },
        challenges("schemes") { shares(32, of: $0) { "s\($0)\($1)," }.joined() },
        challenges("parameters") { "Basic " + shares(32, of: $0 - 6) { "p\($0)=\"\($1)\"," }.joined() },
        challenges("commas") { repeated(", ", $0, behind: "Basic a=b") + "c" },
        challenges("escapes in quotes") { repeated("\\\"", $0, behind: "Application Basic realm=\"") + "\"" },
        GrowthRow("challenges: qop", limit: 8 * 1024) { bytes in
            let text = repeated("auth-x, ", bytes, behind: "Digest realm=a, nonce=b, qop=\"") + "auth\""
            return { _ = try DigestChallenge(try accepted(try parseChallenges(fieldValues: [text]).first)) }
        },
        setCookie("attributes", "; a=b"),
        setCookie("dates", "; Expires=01 02 03 04 05 06 07"),
        GrowthRow("cookies: into a full jar", limit: 32 * 1024) { bytes in
            var jar = CookieJar()
            for number in 0..<CookieJar.maximum {
                let url = try WebSocketURL("wss://h\(number / 45).example/")
                jar.set(try accepted(Cookie(try accepted(SetCookie("c\(number)=v")), from: url, now: 0)), now: 0)
            }
            var head = ResponseHead(status: 101, reason: "")
            for number in 0..<min(bytes / 512, 50) {
                head.fields.append("Set-Cookie", repeated("v", 490, behind: "c\(number)="))
            }
            let url = try WebSocketURL("wss://other.example/")
            let (full, response) = (jar, head)
            return {
                var jar = full
                for field in setCookies(in: response) {
                    jar.set(try accepted(Cookie(field, from: url, now: 0)), now: 0)
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

    static let urls: [GrowthRow] = [
        entity("lines", type: "text/uri-list") { distinct($0, separator: "\n") { "/\($0)" } },
        entity("empty lines", type: "text/uri-list") { repeated("\n", $0) },
        entity("one line", type: "text/uri-list") { repeated("x", $0) },
        entity("an unclosed attribute", type: "text/html") { repeated("h", $0, behind: "href='") },
        entity("attributes", type: "text/html") { shares(32, of: $0) { "href='/\($0)\($1)'" }.joined() },
        entity("attributes without a value", type: "text/html") { repeated("href=", $0) },
        entity("escapes", type: "text/html") { repeated("&amp;", $0, behind: "href='") + "'" },
        entity("text without a type", type: "") { repeated("/", $0) },
        GrowthRow("choices: links", limit: 8 * 1024) { bytes in
            var response = HandshakeResponse(status: 300, reason: "")
            response.headers[try accepted(HTTPField.Name("Link"))] = repeated("</a>; rel=alternate;;;, ", bytes)
            let other = response
            return { _ = choices(of: other) }
        },
        GrowthRow("a reference of dots", limit: 8 * 1024) { bytes in
            let url = try WebSocketURL("ws://h/a/b")
            let reference = repeated("a/../", bytes)
            return { _ = try url.resolving(reference).loopKey }
        },
        GrowthRow("a reference of encoded characters", limit: 8 * 1024) { bytes in
            let url = try WebSocketURL("ws://h/a/b")
            let pattern = try LocationPattern("*.h/a/*")
            let reference = repeated("%2e/", bytes)
            return {
                let target = try url.resolving(reference)
                _ = target.loopKey
                _ = pattern.matches(target)
            }
        },
        GrowthRow("a balancer's query: different parameters", limit: 8 * 1024) { bytes in
            let url = try WebSocketURL("ws://h/?" + distinct(bytes / 2, separator: "&") { "q\($0)" })
            let other = distinct(bytes / 2, separator: "&")
            return { _ = url.merging(query: other) }
        },
        GrowthRow("a balancer's query: one parameter", limit: 8 * 1024) { bytes in
            let url = try WebSocketURL("ws://h/?" + repeated("a&", bytes / 2))
            let other = repeated("b&", bytes / 2)
            return { _ = url.merging(query: other).withoutKaazingLegacy }
        },
        GrowthRow("a Host", limit: 253) { bytes in
            let text = repeated("a.", bytes - 1) + "b"
            return { _ = try Authority(text) }
        },
        GrowthRow("a Host that is too long", limit: 8 * 1024, refusal: "a name of 253 bytes is the longest") { bytes in
            let text = repeated("a.", bytes) + "b"
            return { _ = try Authority(text) }
        },
        GrowthRow("Retry-After", limit: 8 * 1024, refusal: "times without a day are no date") { bytes in
            let response = HandshakeResponse(status: 503, reason: "", headers: [.retryAfter: repeated("1:2:3 ", bytes)])
            return { _ = try accepted(response.retryAfter(now: 0)) }
        },
    ]

    /// Bytes that pass a connection of somebody else's in reads of 1000.
    private static func watched(_ bytes: [UInt8], answers: Bool = false) -> () throws -> Void {
        {
            var connection = SharedConnection(limits: HeadLimits()) { _ in false }
            for start in stride(from: 0, to: bytes.count, by: 1000) {
                connection.receive(ByteBuffer(bytes: bytes[start..<min(start + 1000, bytes.count)]))
                // More than some requests without an answer are too many to be looked at.
                while connection.next() != nil {
                    if answers { connection.send(ByteBuffer(string: "HTTP/1.1 204 A\r\n\r\n")) }
                }
            }
            // A connection that cannot be read is left to the other end from there on.
            try accepted(!connection.isTheirs)
        }
    }

    /// Bytes that the requests of a connection of ordinary HTTP come in, in reads of so many.
    private static func served(_ bytes: [UInt8], reads: Int) -> () throws -> Void {
        {
            var requests = OrdinaryRequests(limits: HeadLimits(), mostContent: nil) { _ in true }
            for start in stride(from: 0, to: bytes.count, by: reads) {
                requests.receive(ByteBuffer(bytes: bytes[start..<min(start + reads, bytes.count)]))
                while let step = requests.next() {
                    switch step {
                    case .end: requests.proceed()
                    case .refused, .broken, .other: throw Refused()
                    case .head, .content: break
                    }
                }
            }
        }
    }

    static let streams: [GrowthRow] = [
        GrowthRow("a chunked entity: one byte a chunk", limit: 76 * 1024) { bytes in
            let start = "HTTP/1.1 401 A\r\nTransfer-Encoding: chunked\r\n\r\n"
            let text = Array(repeated("1\r\nx\r\n", bytes, behind: start).utf8)
            let url = try WebSocketURL("ws://h/")
            return {
                var client = try OpeningClient(OpeningClientPlan(url: url, key: "dGhlIHNhbXBsZSBub25jZQ=="))
                for start in stride(from: 0, to: text.count, by: 1000) {
                    var buffer = ByteBuffer(bytes: text[start..<min(start + 1000, text.count)])
                    _ = try client.receive(&buffer)
                }
            }
        },
        GrowthRow("a shared connection: one byte a chunk", limit: 76 * 1024) { bytes in
            let start = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            return watched(Array(repeated("1\r\nx\r\n", bytes, behind: start).utf8))
        },
        GrowthRow("a shared connection: requests at once", limit: 76 * 1024) { bytes in
            watched(Array(repeated("GET / HTTP/1.1\r\nHost: h\r\n\r\n", bytes).utf8), answers: true)
        },
        GrowthRow("ordinary requests: one byte a chunk", limit: 76 * 1024) { bytes in
            let start = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            return served(Array(repeated("1\r\nx\r\n", bytes, behind: start).utf8), reads: 1000)
        },
        GrowthRow("ordinary requests: many in one read", limit: 64 * 1024) { bytes in
            served(Array(repeated("GET / HTTP/1.1\r\nHost: h\r\n\r\n", bytes).utf8), reads: bytes)
        },
        GrowthRow("a message in fragments of one byte", limit: 3 * 1024) { bytes in
            return {
                var reader = MessageReader(role: .client, limits: MessageLimits())
                var input = ByteBuffer(bytes: [0x01, 0x01, 0x61])
                for _ in 0..<(bytes / 3 - 1) {
                    _ = try reader.next(&input)
                    input = ByteBuffer(bytes: [0x00, 0x01, 0x61])
                }
                _ = try reader.next(&input)
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
        GrowthRow("SOCKS: an address, byte by byte", limit: 255) { bytes in
            let name = [UInt8](repeating: 0x61, count: bytes)
            let reply: [UInt8] = [0x05, 0x00, 0x05, 0x00, 0x00, 0x03, UInt8(name.count)] + name + [0, 80]
            let (proxy, url) = (try Proxy("socks5://p"), try WebSocketURL("ws://h/"))
            return {
                var tunnel = try Tunnel(through: proxy, to: url)
                _ = tunnel.start()
                var last = TunnelAction.wait
                for byte in reply { last = tunnel.receive(ByteBuffer(bytes: [byte])) }
                guard case .established = last else { throw Refused() }
            }
        },
        GrowthRow("PROXY: empty values behind the addresses", limit: 2048) { bytes in
            let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
            let values = [UInt8](repeating: 0, count: max(0, bytes - 12) / 3 * 3).indices.map {
                $0 % 3 == 0 ? 0x05 : 0 as UInt8
            }
            let size = UInt16(12 + values.count)
            let addresses: [UInt8] = [127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 0, 81]
            let header = signature + [0x21, 0x11, UInt8(size >> 8), UInt8(size & 0xFF)] + addresses + values
            return {
                var input = ByteBuffer(bytes: header)
                _ = try accepted(try ProxyHeader.read(&input))
            }
        },
    ]
}
