// Short values that peers send, in more shapes than the lists of `GrowthRows+Fields.swift` have: close reasons, keys,
// names, credentials, headers of proxies.

import HTTPTypes
import KHPProtocol
import NIOCore

extension GrowthRow {
    static let shortValues: [GrowthRow] = closes + keys + logins + jars + proxyHeaders + texts

    // MARK: Close reasons

    private static let control = "a control frame has 125 bytes at most"

    /// A close frame and its reason, as a server reads it.
    private static func close(
        _ shape: String,
        refusal: String? = nil,
        reads: Int = .max,
        _ reason: @escaping @Sendable (Int) -> [UInt8]
    ) -> GrowthRow {
        GrowthRow("a close reason: \(shape)", limit: 123, bound: self.control, refusal: refusal) { bytes in
            let payload = [0x03, 0xE8] + reason(bytes)
            let padding = repeated("x", Limits.Fixed.closeReasonBytes)
            let frame = [0x88, 0x80 | UInt8(payload.count), 0, 0, 0, 0] + payload
            let pieces = stride(from: 0, to: frame.count, by: min(reads, frame.count)).map {
                ByteBuffer(bytes: frame[$0..<min(frame.count, reads == .max ? frame.count : $0 + reads)])
            }
            return {
                var reader = MessageReader(role: .server, limits: MessageLimits())
                var input = ByteBuffer()
                var end: InboundFrameEvent?
                for piece in pieces {
                    input.writeImmutableBuffer(piece)
                    if let event = try reader.next(&input) { end = event }
                }
                guard case .close(_, let reason)? = end else { throw Refused() }
                // As our own end writes one, cut to its bytes.
                var output = ByteBuffer()
                ClosePayload(code: .normalClosure, reason: reason + padding).write(into: &output)
            }
        }
    }

    private static let closes: [GrowthRow] = [
        close("one letter") { [UInt8](repeating: 0x61, count: $0) },
        close("byte by byte", reads: 1) { [UInt8](repeating: 0x61, count: $0) },
        close("characters of two bytes") { Array(repeated("\u{E9}", $0).utf8) },
        close("characters of four bytes, byte by byte", reads: 1) { Array(repeated("\u{1F600}", $0).utf8) },
        close("it ends within a character", refusal: "it is no UTF-8") {
            Array(repeated("\u{20AC}", $0 - 2).utf8) + [0xE2, 0x82]
        },
        close("it is no UTF-8 from its start", refusal: "it is no UTF-8") { [UInt8](repeating: 0xC3, count: $0) },
    ]

    // MARK: Keys

    private static func hixieKey(_ shape: String, refusal: String? = nil, _ key: @escaping @Sendable (Int) -> String)
        -> GrowthRow
    {
        GrowthRow("keys of hixie-76: \(shape)", limit: 1024, refusal: refusal) { bytes in
            let key = key(bytes)
            return { _ = try HixieKeys.number(of: key) }
        }
    }

    private static let keys: [GrowthRow] = [
        hixieKey("noise") { repeated("x", $0 - 2) + "0 " },
        hixieKey("spaces") { repeated(" ", $0 - 1) + "0" },
        hixieKey("a number with zeros before it") { repeated("0", $0 - 3) + "12 " },
        hixieKey("no number", refusal: "a key has digits") { repeated(" x", $0) },
    ]

    // MARK: Logins

    private static func basic(_ shape: String, refusal: String? = nil, _ text: @escaping @Sendable (Int) -> [UInt8])
        -> GrowthRow
    {
        GrowthRow("Basic: \(shape)", limit: 8 * 1024, refusal: refusal) { bytes in
            let text = "Basic " + Base64.encode(text((bytes - 6) * 3 / 4))
            return { _ = try accepted(BasicCredentials(authorization: text)) }
        }
    }

    private static func info(
        _ shape: String,
        bound: String? = nil,
        refusal: String? = nil,
        _ text: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow("Authentication-Info: \(shape)", limit: 8 * 1024, bound: bound, refusal: refusal) { bytes in
            let text = text(bytes)
            return { _ = try parseAuthenticationParameters([text]) }
        }
    }

    private static let logins: [GrowthRow] = [
        basic("a long name") { Array((repeated("a", $0 - 1) + ":").utf8) },
        basic("colons") { [UInt8](repeating: 0x3A, count: $0) },
        basic("bytes that are no UTF-8", refusal: "credentials are UTF-8") {
            [0x61, 0x3A] + [UInt8](repeating: 0xC3, count: $0)
        },
        basic("no colon", refusal: "a colon ends the name") { [UInt8](repeating: 0x61, count: $0) },
        info("commas") { "a=b" + repeated(", ", $0 - 5) },
        info("escapes in quotes") { "a=\"" + repeated("\\\"", $0 - 4) + "\"" },
        info("one name over and over", bound: "32 of them are read", refusal: "there are 32 at most") {
            repeated("a=b, ", $0)
        },
        GrowthRow("Digest: one nonce over and over", limit: 32 * 1024) { bytes in
            let seal = DigestNonceSeal(realm: "a", key: [1])
            var generator = SystemRandomNumberGenerator()
            let nonce = try accepted(seal.read(seal.make(now: 1, using: &generator)))
            return {
                var counts = NonceCounts(lifetime: 60_000_000, capacity: 4)
                // From the highest down, each of them the first of its number.
                for count in 0..<bytes / 64 { _ = counts.use(nonce, count: UInt32(bytes - count), now: 1) }
            }
        },
    ]

    // MARK: Cookies and dates

    private static let jars: [GrowthRow] = [
        GrowthRow("cookies: one name over and over", limit: 32 * 1024) { bytes in
            let url = try WebSocketURL("wss://h.example/")
            let texts = (0..<bytes / 32).map { "c=\($0); Path=/; Domain=h.example" }
            return {
                var jar = CookieJar()
                for text in texts {
                    jar.set(try accepted(Cookie(try accepted(SetCookie(text)), from: url, now: 0)), now: 0)
                }
                try accepted(jar.header(for: url, now: 0) != nil)
            }
        },
        GrowthRow("cookies: long paths", limit: 32 * 1024) { bytes in
            let url = try WebSocketURL("wss://h.example" + repeated("/a", 1000))
            let texts = (0..<bytes / 512).map { "c\($0)=v; Path=" + repeated("/a", 490) }
            return {
                var jar = CookieJar()
                for text in texts {
                    jar.set(try accepted(Cookie(try accepted(SetCookie(text)), from: url, now: 0)), now: 0)
                }
                try accepted(jar.header(for: url, now: 0) != nil)
            }
        },
        GrowthRow("Retry-After: digits", limit: 8 * 1024) { bytes in
            let response = HandshakeResponse(status: 503, reason: "", headers: [.retryAfter: repeated("9", bytes)])
            return { _ = try accepted(response.retryAfter(now: 0)) }
        },
    ]

    // MARK: Headers of proxies

    /// The second version's header with values behind the addresses, in reads of so many bytes.
    private static func proxied(
        _ shape: String,
        reads: Int = .max,
        limit: Int = 2048,
        bound: String? = nil,
        _ values: @escaping @Sendable (Int) -> [UInt8]
    ) -> GrowthRow {
        GrowthRow("PROXY: \(shape)", limit: limit, bound: bound) { bytes in
            let rest = [127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 0, 81] + values(bytes - 12)
            return self.header(self.binary(rest), reads: reads)
        }
    }

    /// A header of the second version.
    private static func binary(_ rest: [UInt8]) -> [UInt8] {
        let start: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, 0x21, 0x11]
        return start + [UInt8(rest.count >> 8), UInt8(rest.count & 0xFF)] + rest
    }

    private static func header(_ header: [UInt8], reads: Int) -> () throws -> Void {
        let step = min(reads, header.count)
        let pieces = stride(from: 0, to: header.count, by: step).map {
            ByteBuffer(bytes: header[$0..<min(header.count, $0 + step)])
        }
        return {
            var input = ByteBuffer()
            var found: ProxyHeader?
            for piece in pieces {
                input.writeImmutableBuffer(piece)
                found = try ProxyHeader.read(&input)
            }
            _ = try accepted(found)
        }
    }

    private static func value(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
        [type, UInt8(content.count >> 8), UInt8(content.count & 0xFF)] + content
    }

    private static let proxyHeaders: [GrowthRow] = [
        proxied("one long value", bound: "a value is passed over, whatever its length") {
            value(0x05, [UInt8](repeating: 0, count: $0 - 3))
        },
        proxied("empty values, byte by byte", reads: 1) { (0..<$0 / 3).flatMap { _ in value(0x05, []) } },
        GrowthRow("PROXY: a checksum", limit: 2048, refusal: "it is wrong") { bytes in
            // It is counted over all of them before it is found wrong.
            let rest = [127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 0, 81] + value(0x03, [1, 2, 3, 4])
            return header(binary(rest + value(0x05, [UInt8](repeating: 7, count: bytes - 22))), reads: .max)
        },
        proxied("values within the one of TLS") { bytes in
            value(0x20, [0x07, 0, 0, 0, 0] + (0..<(bytes - 8) / 3).flatMap { _ in value(0x21, []) })
        },
        proxied("a certificate's name", limit: 280, bound: fixed) { bytes in
            value(0x20, [0x07, 0, 0, 0, 0] + value(0x22, [UInt8](repeating: 0x61, count: min(256, bytes - 11))))
        },
        GrowthRow("PROXY: a line of the first version, byte by byte", limit: 107) { bytes in
            let line = repeated("a", bytes - 2, behind: "PROXY UNKNOWN ") + "\r\n"
            return header(Array(line.utf8), reads: 1)
        },
        GrowthRow("PROXY: words of the first version", limit: 107) { bytes in
            let line = repeated(" a", bytes - 2, behind: "PROXY UNKNOWN") + "\r\n"
            return header(Array(line.utf8), reads: .max)
        },
        GrowthRow("PROXY: addresses of the first version", limit: 107, bound: fixed) { bytes in
            let address = bytes > 100 ? "fe80:1111:2222:3333:4444:5555:6666:7777" : "::1"
            return header(Array("PROXY TCP6 \(address) \(address) 65535 65535\r\n".utf8), reads: .max)
        },
    ]

    // MARK: Texts and names

    private static func names(_ shape: String, host: String, _ name: @escaping @Sendable (Int) -> String, size: Int)
        -> GrowthRow
    {
        GrowthRow("certificates: \(shape)", limit: 64 * 1024) { bytes in
            // The right one is the last.
            let names = (0..<bytes / size).map { Array(name($0).utf8) } + [Array(host.utf8)]
            let presented = PresentedIdentifiers(names: names)
            let identity = ServerIdentity(host: host)
            return {
                try accepted(identity.isAmong(presented))
                _ = presented.description
            }
        }
    }

    private static let texts: [GrowthRow] = [
        names("one name over and over", host: "h.example", { _ in "h.example.org" }, size: 13),
        names(
            "long names",
            host: "h." + repeated("a.", 240) + "b",
            { "h." + repeated("a.", 240) + "c\($0)" },
            size: 250
        ),
        names("wildcards", host: "h.example", { _ in "*.h.example" }, size: 11),
        GrowthRow("text: characters of four bytes", limit: 32 * 1024) { bytes in
            let text = Array(repeated("\u{1F600}", bytes).utf8)
            return {
                text.withUnsafeBytes {
                    let readable = FieldText.string($0)
                    _ = FieldText.readable(readable)
                    _ = FieldText.bytes(of: readable)
                }
            }
        },
        GrowthRow("text: letters", limit: 32 * 1024) { bytes in
            let text = Array(repeated("a", bytes).utf8)
            return {
                text.withUnsafeBytes {
                    let readable = FieldText.string($0)
                    _ = FieldText.readable(readable)
                    _ = FieldText.bytes(of: readable)
                }
            }
        },
        GrowthRow("X-Forwarded-For: one long node", limit: 8 * 1024) { bytes in
            let text = repeated("1", bytes)
            return { _ = ForwardingField.xForwardedFor.nodesFromLast([text]) }
        },
        GrowthRow("X-Forwarded-For: commas", limit: 8 * 1024) { bytes in
            let text = repeated(", ", bytes)
            return { _ = ForwardingField.xForwardedFor.nodesFromLast([text]) }
        },
        GrowthRow("Origin: letters", limit: 261, bound: fixed) { bytes in
            let text = repeated("a.", bytes - 1, behind: "https://") + "b"
            let policy = try OriginPolicy.allowing(["https://a.example", text])
            let host = try Authority("h")
            return { try accepted(policy.allows(text, at: host, isSecure: true)) }
        },
        GrowthRow("shown: different subprotocols", limit: 32 * 1024) { bytes in
            let fields = head(lines("Sec-WebSocket-Protocol", bytes) { distinct($0, separator: ", ", from: $1) })
            return { _ = fields.description }
        },
    ]
}
