// Answers that a client reads before its socket opens: heads and their entities in every dialect, and what SOCKS
// proxies say. The shapes that cost most; replies to CONNECT are in `GrowthRows+Handshakes.swift`.

import HTTPTypes
import KHPProtocol
import NIOCore

extension GrowthRow {
    static let answers: [GrowthRow] = answerHeads + entities + formerAnswers + socks

    /// The bytes of an input, cut into reads.
    private static func reads(_ bytes: [UInt8], of piece: Int) -> [ByteBuffer] {
        let piece = min(piece, max(1, bytes.count))
        return stride(from: 0, to: bytes.count, by: piece).map {
            ByteBuffer(bytes: bytes[$0..<min(bytes.count, $0 + piece)])
        }
    }

    /// Bytes that a client reads as the answer to its opening request.
    /// - Parameters:
    ///   - reads: bytes of a read.
    ///   - isWhole: `false` where nothing tells the end of it.
    private static func answer(
        _ name: String,
        _ dialect: Dialect = .rfc6455,
        limit: Int,
        bound: String? = nil,
        refusal: String? = nil,
        reads: Int = .max,
        isWhole: Bool = true,
        _ text: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow(name, limit: limit, bound: bound, refusal: refusal) { bytes in
            var plan = OpeningClientPlan(url: try WebSocketURL("ws://h/"), key: "", subprotocols: [])
            plan.dialect = dialect
            if dialect == .rfc6455 { plan.key = "dGhlIHNhbXBsZSBub25jZQ==" } else { plan.origin = "http://o" }
            plan.keys = HixieKeys(
                key1: "4 @1  46546xW%0l 1 5",
                key2: "12998 5 Y3 1  .P00",
                key3: Array("^n:ds[4U".utf8)
            )
            let made = plan
            let pieces = self.reads(Array(text(bytes).utf8), of: reads)
            return {
                var client = try OpeningClient(made)
                var input = ByteBuffer()
                var outcome: OpeningClient.Outcome?
                for piece in pieces where outcome == nil {
                    input.writeImmutableBuffer(piece)
                    outcome = try client.receive(&input)
                }
                try accepted((outcome != nil) == isWhole)
            }
        }
    }

    // MARK: Heads

    private static let switched = [
        ("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]

    private static let empty = [("Content-Length", "0")]

    /// An answer whose head is filled up with fields.
    private static func answerHead(
        _ shape: String,
        status: Int,
        _ known: [(String, String)],
        limit: Int = 32 * 1024,
        bound: String? = nil,
        refusal: String? = nil,
        _ fields: @escaping @Sendable (Int) -> [(String, String)]
    ) -> GrowthRow {
        self.answer("answer: \(shape)", limit: limit, bound: bound, refusal: refusal) { bytes in
            let start = "HTTP/1.1 \(status) A"
            return written(start, fields(max(0, bytes - written(start, known).utf8.count)) + known)
        }
    }

    private static let answerHeads: [GrowthRow] = [
        answerHead("a 101, tokens of Connection", status: 101, switched + [("Connection", "Upgrade")]) { bytes in
            lines("Connection", bytes) { distinct($0, separator: ",", from: $1) }
        },
        answerHead("a 101, different fields", status: 101, switched + [("Connection", "Upgrade")], bound: fixed) {
            differentFields($0)
        },
        answerHead(
            "a 101, extensions",
            status: 101,
            switched + [("Connection", "Upgrade")],
            refusal: "they were not asked for"
        ) { bytes in
            lines("Sec-WebSocket-Extensions", bytes) { distinct($0, separator: ",", from: $1) }
        },
        answerHead(
            "a 101, a subprotocol",
            status: 101,
            switched + [("Connection", "Upgrade")],
            limit: 8 * 1024,
            bound: fixed,
            refusal: "it was not asked for"
        ) { [("Sec-WebSocket-Protocol", repeated("p", $0 - 26))] },
        answerHead("one field, many times", status: 403, empty, bound: fixed) { bytes in
            shares(90, of: bytes) { "Set-Cookie: a\($0)=\($1)\r\n" }.map { line in
                ("Set-Cookie", String(line.dropFirst("Set-Cookie: ".count).dropLast(1)))
            }
        },
        answerHead("a long name", status: 403, empty, limit: 8 * 1024) { [(repeated("n", $0 - 4), "v")] },
        answer("answer: a reason beyond ASCII", limit: 8 * 1024) { bytes in
            repeated("\u{E9}", bytes, behind: "HTTP/1.1 403 ") + "\r\nContent-Length: 0\r\n\r\n"
        },
        answer("answer: provisional ones before it", limit: 8 * 32 * 1024) { bytes in
            let start = "HTTP/1.1 103 Go"
            let provisional = written(start, differentFields(bytes / 8 - start.utf8.count - 4))
            return String(repeating: provisional, count: 8) + written("HTTP/1.1 403 No", empty)
        },
    ]

    // MARK: Entities

    private static func entity(_ fields: [(String, String)]) -> String { written("HTTP/1.1 401 A", fields) }

    private static let chunked = entity([("Transfer-Encoding", "chunked")])

    /// The limit of the first is that of the sizes, extensions and trailers, beside as much content. In reads of one byte
    /// it is the number of reads, of which each costs the system more than its byte costs here.
    private static let entities: [GrowthRow] = [
        answer("an entity: extensions of chunks", limit: 64 * 1024, reads: 1000, isWhole: false) { bytes in
            repeated("1;" + repeated("a=b;", 248) + "\r\nx\r\n", bytes, behind: chunked)
        },
        answer("an entity: trailers", limit: 64 * 1024, reads: 1000, isWhole: false) { bytes in
            repeated("a: b\r\n", bytes, behind: chunked + "1\r\nx\r\n0\r\n")
        },
        answer("an entity: one byte a chunk, byte by byte", limit: 16 * 1024, reads: 1, isWhole: false) { bytes in
            repeated("1\r\nx\r\n", bytes, behind: chunked)
        },
        answer("an entity: trailers, byte by byte", limit: 16 * 1024, reads: 1, isWhole: false) { bytes in
            repeated("a: b\r\n", bytes, behind: chunked + "1\r\nx\r\n0\r\n")
        },
        answer("an entity: a length, byte by byte", limit: 16 * 1024, reads: 1) { bytes in
            let start = entity([("Content-Length", "\(bytes)")])
            return start + repeated("x", bytes)
        },
        answer("an entity: until the end, byte by byte", limit: 16 * 1024, reads: 1, isWhole: false) { bytes in
            repeated("x", bytes, behind: entity([]))
        },
    ]

    // MARK: Answers of the old dialects

    private static func former(_ dialect: Dialect, _ bytes: Int, _ fields: (Int) -> [(String, String)]) -> String {
        let prefix = dialect == .hixie75 ? "" : "Sec-"
        let known = [
            ("Upgrade", "WebSocket"), ("Connection", "Upgrade"), ("\(prefix)WebSocket-Origin", "http://o"),
            ("\(prefix)WebSocket-Location", "ws://h/"),
        ]
        let start = "HTTP/1.1 101 Web Socket Protocol Handshake"
        let more = fields(max(0, bytes - written(start, known).utf8.count))
        return written(start, known + more) + (dialect == .hixie75 ? "" : "8jKS'y:G*Co,Wxa-")
    }

    private static func formerAnswer(
        _ dialect: Dialect,
        _ shape: String,
        bound: String? = nil,
        reads: Int = .max,
        _ fields: @escaping @Sendable (Int) -> [(String, String)]
    ) -> GrowthRow {
        self.answer("\(dialect)'s 101: \(shape)", dialect, limit: 8 * 1024, bound: bound, reads: reads) {
            self.former(dialect, $0, fields)
        }
    }

    private static let formerAnswers: [GrowthRow] = [
        formerAnswer(.hixie75, "one field, many times", bound: fixed) { bytes in
            shares(90, of: bytes) { "x: \($0)\($1)\r\n" }.map { ("x", String($0.dropFirst(3).dropLast(1))) }
        },
        formerAnswer(.hixie75, "a long name") { [(repeated("n", $0 - 5), "v")] },
        formerAnswer(.hixie75, "values beyond ASCII") { [("x", repeated("\u{E9}", $0 - 5))] },
        formerAnswer(.hixie76, "different fields, byte by byte", reads: 1) { differentFields($0) },
        formerAnswer(.hixie76, "a long name, byte by byte", reads: 1) { [(repeated("n", $0 - 5), "v")] },
        formerAnswer(.hixie76, "different fields", bound: fixed) { differentFields($0) },
    ]

    // MARK: SOCKS

    /// The replies of a SOCKS proxy, of which all but the last are questions answered.
    private static func socks(
        _ name: String,
        through proxy: String = "socks5://p",
        limit: Int,
        bound: String? = nil,
        reads: Int = .max,
        isOpen: Bool = true,
        _ replies: @escaping @Sendable (Int) -> [[UInt8]]
    ) -> GrowthRow {
        GrowthRow(name, limit: limit, bound: bound) { bytes in
            let (proxy, url) = (try Proxy(proxy), try WebSocketURL("ws://h/"))
            let pieces = replies(bytes).flatMap { self.reads($0, of: reads) }
            return {
                var tunnel = try Tunnel(through: proxy, to: url)
                _ = tunnel.start()
                var last = TunnelAction.wait
                for piece in pieces { last = tunnel.receive(piece) }
                switch last {
                case .established: try accepted(isOpen)
                case .failed: try accepted(!isOpen)
                default: throw Refused()
                }
            }
        }
    }

    private static func name(_ bytes: Int) -> [UInt8] {
        [5, 0, 0, 3, UInt8(bytes)] + [UInt8](repeating: 0x61, count: bytes) + [0, 80]
    }

    private static let passed = "bytes behind the reply are handed on as they are"

    private static let socks: [GrowthRow] = [
        socks("SOCKS: an address in one read", limit: 255, bound: fixed) { [[5, 0], name($0)] },
        socks("SOCKS: a login and an address, byte by byte", through: "socks5://joe:pw@p", limit: 255, reads: 1) {
            [[5, 2], [1, 0], name($0)]
        },
        socks("SOCKS: bytes behind the reply", limit: 64 * 1024, bound: passed) { bytes in
            [[5, 0], [5, 0, 0, 1, 127, 0, 0, 1, 0, 80] + [UInt8](repeating: 5, count: bytes - 10)]
        },
        socks("SOCKS: bytes behind a refusal", limit: 64 * 1024, bound: passed, isOpen: false) { bytes in
            [[5, 0], [5, 5] + [UInt8](repeating: 5, count: bytes - 2)]
        },
        socks("SOCKS 4: bytes behind the reply", through: "socks4://p", limit: 64 * 1024, bound: passed) { bytes in
            [[0, 90] + [UInt8](repeating: 0, count: bytes - 2)]
        },
    ]
}
