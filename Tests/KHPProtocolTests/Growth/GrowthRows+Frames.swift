// Frames of each dialect, the messages in them, deflate, and the two handshakes in messages: the shapes that cost most.

import HTTPTypes
import KHPProtocol
import NIOCore

extension GrowthRow {
    static let frames: [GrowthRow] = rfc6455 + former + inflated + messages + tunnels

    /// Frames that are read as a connection does it.
    /// - Parameter piece: the bytes of a read.
    private static func frames(
        _ shape: String,
        _ dialect: Dialect = .rfc6455,
        role: Role = .client,
        mode: MessageReader.Mode = .whole,
        limit: Int,
        piece: Int = .max,
        _ bytes: @escaping @Sendable (Int) -> [UInt8]
    ) -> GrowthRow {
        GrowthRow("frames of \(dialect): \(shape)", limit: limit) { size in
            let content = bytes(size)
            let pieces = stride(from: 0, to: content.count, by: min(piece, max(1, content.count))).map {
                ByteBuffer(bytes: content[$0..<min(content.count, piece == .max ? content.count : $0 + piece)])
            }
            return {
                var reader = FrameCodec(dialect, role: role, mode: mode, agreesOnBinary: true)
                var input = ByteBuffer()
                for piece in pieces {
                    input.writeImmutableBuffer(piece)
                    while (try? reader.next(&input)) != nil {}
                }
            }
        }
    }

    /// A frame's header and its payload.
    private static func frame(_ first: UInt8, _ payload: [UInt8], mask: [UInt8] = []) -> [UInt8] {
        let bit: UInt8 = mask.isEmpty ? 0 : 0x80
        var bytes = [first]
        switch payload.count {
        case ..<126: bytes.append(bit | UInt8(payload.count))
        case ..<65_536: bytes += [bit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default: bytes += [bit | 127, 0, 0, 0, 0] + [24, 16, 8, 0].map { UInt8(payload.count >> $0 & 0xFF) }
        }
        guard !mask.isEmpty else { return bytes + payload }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    private static let mebibyte = 1024 * 1024
    private static let fourBytes: [UInt8] = [0xF0, 0x9F, 0x98, 0x80]

    private static func text(_ bytes: Int) -> [UInt8] { (0..<bytes).map { fourBytes[$0 & 3] } }

    private static let rfc6455: [GrowthRow] = [
        frames("one masked message", role: .server, limit: mebibyte) {
            frame(0x82, Array(repeating: 7, count: $0), mask: [1, 2, 3, 4])
        },
        frames("one masked text", role: .server, limit: mebibyte) { frame(0x81, text($0 & ~3), mask: [1, 2, 3, 4]) },
        frames("one text in reads of 1 KiB", limit: mebibyte, piece: 1024) { frame(0x81, text($0 & ~3)) },
        frames("one text, byte by byte", limit: 16 * 1024, piece: 1) { frame(0x81, text($0 & ~3)) },
        frames("one streamed text, byte by byte", mode: .streaming, limit: 16 * 1024, piece: 1) {
            frame(0x81, text($0 & ~3))
        },
        frames("empty fragments", limit: 2048) { bytes in
            [0x01, 0] + (0..<bytes / 2).flatMap { _ in [0x00, 0] as [UInt8] }
        },
        frames("fragments of 1 KiB", limit: mebibyte) { bytes in
            frame(0x02, Array(repeating: 7, count: 1024))
                + (0..<bytes / 1028).flatMap { _ in frame(0x00, Array(repeating: 7, count: 1024)) }
        },
        frames("messages of one byte", limit: 64 * 1024) { bytes in
            (0..<bytes / 3).flatMap { _ in [0x82, 1, 7] as [UInt8] }
        },
        frames("pings", limit: 64 * 1024) { bytes in (0..<bytes / 2).flatMap { _ in [0x89, 0] as [UInt8] } },
        frames("pings between fragments", limit: 3072) { bytes in
            [0x01, 0] + (0..<bytes / 4).flatMap { _ in [0x89, 0, 0x00, 0] as [UInt8] }
        },
        frames("a close reason", limit: 120) { frame(0x88, [0x03, 0xE8] + text($0 & ~3)) },
        frames("lengths of eight bytes", limit: 64 * 1024) { bytes in
            (0..<bytes / 10).flatMap { _ in [0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0] as [UInt8] }
        },
    ]

    private static func hixie(_ dialect: Dialect) -> [GrowthRow] {
        [
            frames("one text", dialect, limit: mebibyte) { [0x00] + text($0 & ~3) + [0xFF] },
            frames("one text, byte by byte", dialect, limit: 16 * 1024, piece: 1) { [0x00] + text($0 & ~3) },
            frames("text that is no UTF-8", dialect, limit: 256 * 1024) {
                [0x00] + Array(repeating: 0xC3, count: $0) + [0xFF]
            },
            frames("texts of one byte", dialect, limit: 64 * 1024) { bytes in
                (0..<bytes / 3).flatMap { _ in [0x00, 0x61, 0xFF] as [UInt8] }
            },
            frames("binary lengths of zeros", dialect, limit: 64 * 1024) { bytes in
                [0x80] + Array(repeating: 0x80, count: bytes)
            },
            frames("frames of no kind", dialect, limit: 64 * 1024) { bytes in
                (0..<bytes / 3).flatMap { _ in [0x07, 0x61, 0xFF] as [UInt8] }
            },
        ]
    }

    private static let former: [GrowthRow] =
        hixie(.hixie75) + hixie(.hixie76) + [
            frames("one text", .whatwg2010, limit: mebibyte) { bytes in
                [0xFF] + length(bytes & ~3) + text(bytes & ~3)
            },
            frames("one text, byte by byte", .whatwg2010, limit: 16 * 1024, piece: 1) { bytes in
                [0xFF] + length(bytes & ~3) + text(bytes & ~3)
            },
            frames("text that is no UTF-8", .whatwg2010, limit: 256 * 1024) { bytes in
                [0xFF] + length(bytes) + Array(repeating: 0xC3, count: bytes)
            },
            frames("frames of no kind", .whatwg2010, limit: 64 * 1024) { bytes in
                (0..<bytes / 10).flatMap { _ in [0x07] + length(1) + [0x61] }
            },
        ]

    private static func length(_ count: Int) -> [UInt8] {
        (0..<8).reversed().map { UInt8(count >> ($0 * 8) & 0xFF) }
    }

    /// Bytes that are inflated as one message; the size is that of the message, where a peer needs few bytes for many.
    private static func deflate(
        _ shape: String,
        limit: Int,
        piece: Int = .max,
        _ bytes: @escaping @Sendable (Int) -> [UInt8]
    ) -> GrowthRow {
        GrowthRow("deflate: \(shape)", limit: limit) { size in
            let content = bytes(size)
            let step = min(piece, max(1, content.count))
            return {
                let parameters = ExtensionParameters()
                guard
                    var transform = PerMessageDeflate().makeFrameTransform(role: .server, parameters: parameters)
                else { return }
                for start in stride(from: 0, to: content.count, by: step) {
                    let end = min(content.count, start + step)
                    var piece = MessagePiece(
                        .binary,
                        ByteBuffer(bytes: content[start..<end]),
                        reservedBits: .rsv1,
                        isFirst: start == 0,
                        isLast: end == content.count
                    )
                    var output = ByteBuffer()
                    var rounds = 0
                    while (try? transform.inbound(&piece, into: &output, room: 65_536)) == false, rounds < 10_000 {
                        output.clear()
                        rounds += 1
                    }
                }
            }
        }
    }

    /// A message as our own end compresses it.
    private static func compressed(_ message: [UInt8]) -> [UInt8] {
        var deflate = PerMessageDeflate()
        deflate.threshold = 0
        guard var sender = deflate.makeFrameTransform(role: .client, parameters: ExtensionParameters()) else {
            return []
        }
        var piece = MessagePiece(.binary, ByteBuffer(bytes: message))
        var output = ByteBuffer()
        guard (try? sender.outbound(&piece, into: &output)) != nil else { return [] }
        return Array(output.readableBytesView)
    }

    private static let inflated: [GrowthRow] = [
        deflate("zeros, a thousand for each byte", limit: mebibyte) { compressed(Array(repeating: 0, count: $0)) },
        deflate("bytes without order", limit: mebibyte) { bytes in
            var state: UInt32 = 1
            return compressed(
                (0..<bytes).map { _ in
                    state = state &* 1_664_525 &+ 1_013_904_223
                    return UInt8(state >> 24)
                }
            )
        },
        deflate("empty blocks", limit: 64 * 1024) { bytes in
            (0..<bytes / 5).flatMap { _ in [0x00, 0x00, 0x00, 0xFF, 0xFF] as [UInt8] }
        },
        deflate("text, byte by byte", limit: 16 * 1024, piece: 1) { bytes in
            compressed((0..<bytes).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) })
        },
    ]

    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    /// The extended handshake, message by message.
    private static func extendedRequest(_ shape: String, limit: Int, _ messages: @escaping @Sendable (Int) -> [String])
        -> GrowthRow
    {
        GrowthRow("extended request: \(shape)", limit: limit) { bytes in
            var fields = HeadFields()
            for (name, value) in [
                ("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Protocol", "x-kaazing-handshake"),
            ] {
                fields.append(name, value)
            }
            let request = RequestHead(method: "GET", target: "/", fields: fields)
            guard let opening = try? OpeningServer.check(request) else { return {} }
            let messages = messages(bytes).map { ByteBuffer(string: $0) }
            return {
                var server = ExtendedServer(opening: opening, acceptValue: AcceptValue(), server: "s", now: now)
                for message in messages { _ = server.receive(message, date: "", now: now) }
            }
        }
    }

    private static func extendedResponse(
        _ shape: String,
        legacy: KaazingLegacy = .off,
        limit: Int,
        _ messages: @escaping @Sendable (Int) -> [String]
    ) -> GrowthRow {
        GrowthRow("extended response: \(shape)", limit: limit) { bytes in
            guard let url = try? WebSocketURL("ws://h/") else { return {} }
            let plan = ExtendedClientPlan(url: url, acceptValue: "a", legacy: legacy)
            let messages = messages(bytes).map { ByteBuffer(string: $0) }
            return {
                var client = ExtendedClient(plan)
                _ = client.begin(now: now)
                for message in messages { _ = client.receive(message, now: now) }
            }
        }
    }

    private static func pieces(_ text: String, _ count: Int) -> [String] {
        let bytes = Array(text.utf8)
        let step = max(1, (bytes.count + count - 1) / count)
        return stride(from: 0, to: bytes.count, by: step).map {
            String(decoding: bytes[$0..<min(bytes.count, $0 + step)], as: UTF8.self)
        }
    }

    private static let requestLine = "GET / HTTP/1.1\r\nHost: h\r\n"
    private static let responseLine = "HTTP/1.1 403 No\r\n"

    private static func controls(_ shape: String, _ text: @escaping @Sendable (Int) -> String) -> GrowthRow {
        GrowthRow("messages with controls: \(shape)", limit: 256 * 1024) { bytes in
            let item: any WebSocketExtension = KaazingPingPong()
            guard let parameters = try? parseExtensions(["x; 01010102"]).first?.parameters,
                let url = try? WebSocketURL("ws://h/")
            else { return {} }
            let agreed = NegotiatedExtension(name: item.name, parameters: parameters, layer: .opening)
            let message = WebSocketMessage.text(text(bytes))
            return {
                let stack = ExtensionStack(role: .client, now: now)
                stack.add([agreed], from: [item])
                try? stack.opened(url: url, now: now)
                _ = try? stack.inbound(message, now: now, received: now)
            }
        }
    }

    private static let messages: [GrowthRow] = [
        extendedRequest("different fields", limit: 16 * 1024) { bytes in
            [requestLine + distinct(bytes, separator: "\r\n") { "x\($0 % 90): \(String(repeating: "v", count: 150))" }]
        },
        extendedRequest("in sixteen messages", limit: 16 * 1024) { bytes in
            pieces(requestLine + repeated("x: v\r\n", min(bytes, 500)) + repeated("y", bytes, behind: "z: "), 16)
        },
        extendedRequest("a body in sixteen messages", limit: 64 * 1024) { bytes in
            pieces("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \(bytes)\r\n\r\n" + repeated("y", bytes), 15)
        },
        extendedRequest("extensions", limit: 8 * 1024) { bytes in
            [requestLine + "Sec-WebSocket-Extensions: " + distinct(bytes, separator: ",") + "\r\n\r\n"]
        },
        extendedResponse("different fields", limit: 16 * 1024) { bytes in
            [
                responseLine
                    + distinct(bytes, separator: "\r\n") { "x\($0 % 90): \(String(repeating: "v", count: 150))" }
                    + "\r\n\r\n"
            ]
        },
        extendedResponse("an entity in messages", limit: 64 * 1024) { bytes in
            pieces(responseLine + "Content-Length: \(bytes)\r\n\r\n" + repeated("y", bytes), 15)
        },
        extendedResponse("of the legacy exchange, in messages", legacy: .terminator, limit: 16 * 1024) { bytes in
            pieces(responseLine + repeated("x: v\r\n", min(bytes, 500)) + repeated("y", bytes, behind: "z: "), 16)
        },
        extendedResponse("of the legacy exchange, beginnings of heads", legacy: .terminator, limit: 64 * 1024) {
            bytes in
            [responseLine + "\r\n" + repeated("HTTP/1.1 ", bytes)]
        },
        extendedResponse("a balancer's URL", legacy: .full, limit: 8 * 1024) { bytes in
            ["\u{F0FF}Rws://h/" + repeated("%41a&", bytes)]
        },
        controls("one text") { repeated("a", $0) },
        controls("lines") { repeated("\u{1}\u{1}\u{1}\u{2}\n", $0) },
        controls("one control") { repeated("\u{1}", $0, behind: "\u{1}\u{1}\u{1}\u{2}\u{9}") },
    ]

    private static func tunnel(
        _ shape: String,
        limit: Int,
        piece: Int = .max,
        _ reply: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow("CONNECT: \(shape)", limit: limit) { bytes in
            guard let proxy = try? Proxy("http://joe:pw@p"), let url = try? WebSocketURL("ws://h/") else { return {} }
            let text = Array(reply(bytes).utf8)
            let step = min(piece, max(1, text.count))
            let pieces = stride(from: 0, to: text.count, by: step).map {
                ByteBuffer(bytes: text[$0..<min(text.count, $0 + step)])
            }
            return {
                guard var tunnel = try? Tunnel(through: proxy, to: url) else { return }
                _ = tunnel.start()
                for piece in pieces { _ = tunnel.receive(piece) }
            }
        }
    }

    private static let tunnels: [GrowthRow] = [
        tunnel("a reply, byte by byte", limit: 32 * 1024, piece: 1) { bytes in
            "HTTP/1.1 200 OK\r\n"
                + distinct(bytes, separator: "\r\n") { "x\($0): \(String(repeating: "v", count: 150))" }
        },
        tunnel("a 407 and its entity, byte by byte", limit: 32 * 1024, piece: 1) { bytes in
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=a\r\nContent-Length: \(bytes)\r\n\r\n"
                + repeated("a", bytes)
        },
        tunnel("a 407 and its entity in chunks, byte by byte", limit: 32 * 1024, piece: 1) { bytes in
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + repeated("1\r\nx\r\n", bytes)
        },
        tunnel("informational responses", limit: 2048) { repeated("HTTP/1.1 100 Go\r\n\r\n", $0) },
        tunnel("a refusal and its reason", limit: 8 * 1024) { bytes in
            "HTTP/1.1 502 " + repeated("?a=%41", bytes) + "\r\n\r\n"
        },
    ]
}
