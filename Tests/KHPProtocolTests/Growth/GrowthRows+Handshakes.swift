// The extended handshake, message by message, and the tunnels of HTTP proxies: the shapes that cost most.

import HTTPTypes
import KHPProtocol
import NIOCore

extension GrowthRow {
    static let handshakes: [GrowthRow] = requests + responses + tunnels

    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    /// A text in so many messages.
    private static func pieces(_ text: String, _ count: Int) -> [String] {
        let bytes = Array(text.utf8)
        let step = max(1, (bytes.count + count - 1) / count)
        return stride(from: 0, to: bytes.count, by: step).map {
            String(decoding: bytes[$0..<min(bytes.count, $0 + step)], as: UTF8.self)
        }
    }

    /// A head of so many bytes whose fields fill it, behind those that are given.
    private static func filled(
        _ start: String,
        _ bytes: Int,
        _ known: [(String, String)] = [],
        _ fields: (Int) -> [(String, String)] = { differentFields($0) }
    ) -> String {
        written(start, known + fields(max(0, bytes - written(start, known).utf8.count)))
    }

    // MARK: Extended requests

    private static func request(
        _ shape: String,
        limit: Int,
        bound: String? = nil,
        _ messages: @escaping @Sendable (Int) -> [String]
    ) -> GrowthRow {
        GrowthRow("extended request: \(shape)", limit: limit, bound: bound) { bytes in
            let fields = head([
                ("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "x-kaazing-handshake"),
            ])
            let opening = try OpeningServer.check(RequestHead(method: "GET", target: "/", fields: fields))
            let messages = messages(bytes).map { ByteBuffer(string: $0) }
            return {
                var server = ExtendedServer(opening: opening, acceptValue: AcceptValue(), server: "s", now: now)
                var last = ExtendedServer.Action.none
                for message in messages { last = server.receive(message, date: "", now: now) }
                guard case .request = last else { throw Refused() }
            }
        }
    }

    private static let requests: [GrowthRow] = [
        request("different fields", limit: 16 * 1024, bound: fixed) { [filled("GET / HTTP/1.1", $0)] },
        request("in sixteen messages", limit: 16 * 1024, bound: fixed) { pieces(filled("GET / HTTP/1.1", $0), 16) },
        request("a body in sixteen messages", limit: 64 * 1024, bound: fixed) { bytes in
            let start = written("POST / HTTP/1.1", [("Host", "h"), ("Content-Length", "\(bytes)")])
            return pieces(start + repeated("y", bytes), 16)
        },
        request("subprotocols", limit: 16 * 1024) { bytes in
            [
                filled("GET / HTTP/1.1", bytes) { size in
                    lines("Sec-WebSocket-Protocol", size) { distinct($0, separator: ",", from: $1) }
                }
            ]
        },
        request("extensions", limit: 16 * 1024) { bytes in
            [
                filled("GET / HTTP/1.1", bytes) { size in
                    lines("Sec-WebSocket-Extensions", size) { distinct($0, separator: ",", from: $1) }
                }
            ]
        },
    ]

    // MARK: Extended responses

    /// - Parameter isComplete: tells an outcome from that of a response which cannot be read.
    private static func response(
        _ shape: String,
        legacy: KaazingLegacy = .off,
        limit: Int,
        bound: String? = nil,
        refusal: String? = nil,
        isComplete: @escaping @Sendable (ExtendedClient.Action) -> Bool = { isRefusal($0) },
        _ messages: @escaping @Sendable (Int) -> [String]
    ) -> GrowthRow {
        GrowthRow("extended response: \(shape)", limit: limit, bound: bound, refusal: refusal) { bytes in
            let url = try WebSocketURL("ws://h/")
            let subprotocols = (0..<500).map { "p\($0)" }
            let plan = ExtendedClientPlan(
                url: url,
                subprotocols: subprotocols,
                extensions: try OfferedExtensions([PerMessageDeflate()]),
                acceptValue: "a",
                legacy: legacy
            )
            let messages = messages(bytes).map { ByteBuffer(string: $0) }
            return {
                var client = ExtendedClient(plan)
                _ = client.begin(now: now)
                var last = ExtendedClient.Action.none
                for message in messages { last = client.receive(message, now: now) }
                try accepted(isComplete(last))
            }
        }
    }

    /// A response that says no, and could be read.
    private static func isRefusal(_ action: ExtendedClient.Action) -> Bool {
        if case .fail(let error, _) = action { error.code == .extendedRefused } else { false }
    }

    private static func isCompletion(_ action: ExtendedClient.Action) -> Bool {
        if case .complete = action { true } else { false }
    }

    private static let no = "HTTP/1.1 403 No"

    private static let responses: [GrowthRow] = [
        response("different fields", limit: 16 * 1024, bound: fixed) { [filled(no, $0)] },
        response("an entity in messages", limit: 64 * 1024, bound: fixed) { bytes in
            pieces(written(no, [("Content-Length", "\(bytes)")]) + repeated("y", bytes), 16)
        },
        response("a 101, different fields", limit: 16 * 1024, bound: fixed, isComplete: { isCompletion($0) }) { bytes in
            let known = [
                ("Upgrade", "WebSocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "a"),
                ("Sec-WebSocket-Protocol", "p499"), ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ]
            return [filled("HTTP/1.1 101 A", bytes, known)]
        },
        response("a 101, tokens of Connection", limit: 16 * 1024, isComplete: { isCompletion($0) }) { bytes in
            [
                filled("HTTP/1.1 101 A", bytes) { size in
                    lines("Connection", size) { distinct($0, separator: ",", from: $1) }
                }
            ]
        },
        response("a 101, extensions", limit: 16 * 1024, refusal: "they were not asked for") { bytes in
            [
                filled("HTTP/1.1 101 A", bytes) { size in
                    lines("Sec-WebSocket-Extensions", size) { distinct($0, separator: ",", from: $1) }
                }
            ]
        },
        response("of the legacy exchange, in messages", legacy: .terminator, limit: 16 * 1024, bound: fixed) {
            pieces(filled(no, $0), 16) + [""]
        },
        response(
            "of the legacy exchange, beginnings of heads",
            legacy: .terminator,
            limit: 64 * 1024,
            bound: "a line has 8 KiB at most",
            refusal: "the first of them is no whole head"
        ) {
            [written(no, []) + repeated("HTTP/1.1 ", $0), ""]
        },
        response("a balancer's URL", legacy: .full, limit: 8 * 1024, bound: fixed, isComplete: { isBalanced($0) }) {
            ["\u{F0FF}R" + repeated("%41a&", $0, behind: "ws://h/")]
        },
        response(
            "a balancer's URL of different parameters",
            legacy: .full,
            limit: 8 * 1024,
            bound: fixed,
            isComplete: { isBalanced($0) }
        ) { ["\u{F0FF}R" + distinct($0, separator: "&") { $0 == 0 ? "ws://h/?p" : "p\($0)=%41" }] },
    ]

    private static func isBalanced(_ action: ExtendedClient.Action) -> Bool {
        if case .balanced = action { true } else { false }
    }

    // MARK: Tunnels

    /// The reply of a proxy to CONNECT.
    /// - Parameter isComplete: tells the outcome that the whole reply has.
    private static func tunnel(
        _ shape: String,
        limit: Int,
        bound: String? = nil,
        piece: Int = .max,
        isComplete: @escaping @Sendable (TunnelAction) -> Bool,
        _ reply: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow("CONNECT: \(shape)", limit: limit, bound: bound) { bytes in
            let (proxy, url) = (try Proxy("http://joe:pw@p"), try WebSocketURL("ws://h/"))
            let text = Array(reply(bytes).utf8)
            let step = min(piece, max(1, text.count))
            let pieces = stride(from: 0, to: text.count, by: step).map {
                ByteBuffer(bytes: text[$0..<min(text.count, $0 + step)])
            }
            return {
                var tunnel = try Tunnel(through: proxy, to: url)
                _ = tunnel.start()
                var last = TunnelAction.wait
                for piece in pieces { last = tunnel.receive(piece) }
                try accepted(isComplete(last))
            }
        }
    }

    private static func isEstablished(_ action: TunnelAction) -> Bool {
        if case .established = action { true } else { false }
    }

    private static func isChallenge(_ action: TunnelAction) -> Bool {
        if case .challenge(_, staysOpen: true) = action { true } else { false }
    }

    private static func isRefused(_ action: TunnelAction) -> Bool {
        if case .failed(let error) = action { error.code == .proxyRefused } else { false }
    }

    private static let challenge = [("Proxy-Authenticate", "Basic realm=a")]

    /// The heads of an answer have 16 KiB together, its entity as many, and so have the sizes of chunks.
    private static let tunnels: [GrowthRow] = [
        tunnel("a reply, byte by byte", limit: 16 * 1024, piece: 1, isComplete: { isEstablished($0) }) {
            filled("HTTP/1.1 200 OK", $0)
        },
        tunnel("a 407 and its entity, byte by byte", limit: 32 * 1024, piece: 1, isComplete: { isChallenge($0) }) {
            bytes in
            // One byte less than ends it.
            let fields = challenge + [("Content-Length", "\(bytes / 2 - 1)")]
            return filled("HTTP/1.1 407 No", bytes / 2, fields) + repeated("a", bytes / 2 - 1)
        },
        tunnel(
            "a 407 and its entity in chunks, byte by byte",
            limit: 44 * 1024,
            piece: 1,
            isComplete: { isChallenge($0) }
        ) { bytes in
            let fields = challenge + [("Transfer-Encoding", "chunked")]
            let head = filled("HTTP/1.1 407 No", bytes * 16 / 44, fields)
            return head + repeated("4\r\nxxxx\r\n", bytes - head.utf8.count - 5) + "0\r\n\r\n"
        },
        tunnel("a 407 with extensions of chunks", limit: 16 * 1024, isComplete: { isChallenge($0) }) { bytes in
            let start = written("HTTP/1.1 407 No", challenge + [("Transfer-Encoding", "chunked")])
            return start + repeated("1;" + repeated("a=b;", 240) + "\r\nx\r\n", bytes - start.utf8.count) + "0\r\n\r\n"
        },
        tunnel("a 407 with trailers", limit: 16 * 1024, isComplete: { isChallenge($0) }) { bytes in
            let start = written("HTTP/1.1 407 No", challenge + [("Transfer-Encoding", "chunked")])
            return start + "0\r\n" + repeated("a: b\r\n", bytes - start.utf8.count) + "\r\n"
        },
        tunnel("informational responses, byte by byte", limit: 16 * 1024, piece: 1, isComplete: { isEstablished($0) }) {
            bytes in
            let last = written("HTTP/1.1 200 OK", [])
            return (0..<8).map { _ in filled("HTTP/1.1 103 Go", (bytes - last.utf8.count) / 8) }.joined() + last
        },
        tunnel("a refusal and its reason", limit: 8 * 1024, bound: fixed, isComplete: { isRefused($0) }) {
            written(repeated("?a=%41", $0, behind: "HTTP/1.1 502 "), [("Content-Length", "0")])
        },
    ]
}
