// Frames of each dialect, the messages in them, and deflate: the shapes that cost most.

import KHPProtocol
import NIOCore

extension GrowthRow {
    static let frames: [GrowthRow] = rfc6455 + former + inflated + controls

    /// Frames that are read as a connection does it.
    /// - Parameter piece: the bytes of a read.
    private static func frames(
        _ shape: String,
        _ dialect: Dialect = .rfc6455,
        role: Role = .client,
        mode: MessageReader.Mode = .whole,
        limit: Int,
        bound: String? = nil,
        refusal: String? = nil,
        piece: Int = .max,
        _ bytes: @escaping @Sendable (Int) -> [UInt8]
    ) -> GrowthRow {
        GrowthRow("frames of \(dialect): \(shape)", limit: limit, bound: bound, refusal: refusal) { size in
            let content = bytes(size)
            let pieces = stride(from: 0, to: content.count, by: min(piece, max(1, content.count))).map {
                ByteBuffer(bytes: content[$0..<min(content.count, piece == .max ? content.count : $0 + piece)])
            }
            return {
                var reader = FrameCodec(dialect, role: role, mode: mode, agreesOnBinary: true)
                var input = ByteBuffer()
                for piece in pieces {
                    input.writeImmutableBuffer(piece)
                    while try reader.next(&input) != nil {}
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
        frames("one masked text", role: .server, limit: mebibyte) {
            frame(0x81, text($0 & ~3), mask: [1, 2, 3, 4])
        },
        frames("one text in reads of 1 KiB", limit: mebibyte, piece: 1024) { frame(0x81, text($0 & ~3)) },
        frames("one text, byte by byte", limit: 16 * 1024, piece: 1) { frame(0x81, text($0 & ~3)) },
        frames("one streamed text, byte by byte", mode: .streaming, limit: 16 * 1024, piece: 1) {
            frame(0x81, text($0 & ~3))
        },
        frames("empty fragments", limit: 2048) { bytes in
            [0x01, 0] + (1..<max(2, bytes / 2)).flatMap { _ in [0x00, 0] as [UInt8] }
        },
        frames("fragments of 1 KiB", limit: 1020 * 1028) { bytes in
            frame(0x02, Array(repeating: 7, count: 1024))
                + (1..<max(2, bytes / 1028)).flatMap { _ in frame(0x00, Array(repeating: 7, count: 1024)) }
        },
        frames("messages of one byte", limit: 64 * 1024) { bytes in
            (0..<bytes / 3).flatMap { _ in [0x82, 1, 7] as [UInt8] }
        },
        frames("pings", limit: 64 * 1024) { bytes in (0..<bytes / 2).flatMap { _ in [0x89, 0] as [UInt8] } },
        frames("pings between fragments", limit: 3072) { bytes in
            [0x01, 0] + (0..<bytes / 4).flatMap { _ in [0x89, 0, 0x00, 0] as [UInt8] }
        },
        frames("a close reason", limit: 120, bound: "a control frame has 125 bytes at most") {
            frame(0x88, [0x03, 0xE8] + text($0 & ~3))
        },
        frames("lengths of eight bytes", limit: 16 * (65_536 + 10)) { bytes in
            (0..<max(1, bytes / (65_536 + 10))).flatMap { _ in frame(0x82, Array(repeating: 7, count: 65_536)) }
        },
        frames(
            "a length of more bytes than it needs",
            limit: 64 * 1024,
            bound: "the first one is refused",
            refusal: "a length has its shortest form"
        ) { bytes in
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
            frames("binary lengths that begin with zeros", dialect, limit: 64 * 1024) { bytes in
                (0..<bytes / 11).flatMap { _ in [0x80] + Array(repeating: 0x80, count: 8) + [0x01, 0x61] }
            },
            frames(
                "a binary length of zeros",
                dialect,
                limit: 64 * 1024,
                bound: "the tenth byte is refused",
                refusal: "a length has nine bytes at most"
            ) { bytes in
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
        isWhole: Bool = true,
        _ bytes: @escaping @Sendable (Int) -> [UInt8]
    ) -> GrowthRow {
        GrowthRow("deflate: \(shape)", limit: limit) { size in
            let content = bytes(size)
            let step = min(piece, max(1, content.count))
            return {
                let parameters = ExtensionParameters()
                var transform = try accepted(
                    PerMessageDeflate().makeFrameTransform(role: .server, parameters: parameters)
                )
                for start in stride(from: 0, to: content.count, by: step) {
                    let end = min(content.count, start + step)
                    var piece = MessagePiece(
                        .binary,
                        ByteBuffer(bytes: content[start..<end]),
                        reservedBits: .rsv1,
                        isFirst: start == 0,
                        isLast: isWhole && end == content.count
                    )
                    var output = ByteBuffer()
                    var rounds = 0
                    while try !transform.inbound(&piece, into: &output, room: 65_536) {
                        output.clear()
                        rounds += 1
                        try accepted(rounds < 10_000)
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

    /// Bytes that repeat nothing.
    private static func unordered(_ count: Int, _ byte: (UInt8) -> UInt8) -> [UInt8] {
        var state: UInt32 = 1
        return (0..<count).map { _ in
            state = state &* 1_664_525 &+ 1_013_904_223
            return byte(UInt8(state >> 24))
        }
    }

    private static let inflated: [GrowthRow] = [
        deflate("zeros, a thousand for each byte", limit: mebibyte) { compressed(Array(repeating: 0, count: $0)) },
        deflate("bytes without order", limit: mebibyte) { compressed(unordered($0) { $0 }) },
        deflate("empty blocks", limit: 64 * 1024) { bytes in
            // The last one's header, behind which a message leaves out the rest.
            (0..<bytes / 5).flatMap { _ in [0x00, 0x00, 0x00, 0xFF, 0xFF] as [UInt8] } + [0x00]
        },
        deflate("text, byte by byte", limit: 16 * 1024, piece: 1, isWhole: false) { bytes in
            // As many bytes as come, not as many as they stand for.
            Array(compressed(unordered(bytes * 2) { $0 & 0x0F | 0x60 }).prefix(bytes))
        },
    ]

    private static func control(
        _ shape: String,
        bound: String? = nil,
        refusal: String? = nil,
        _ text: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow("messages with controls: \(shape)", limit: 256 * 1024, bound: bound, refusal: refusal) { bytes in
            let item: any WebSocketExtension = KaazingPingPong()
            let parameters = try accepted(try parseExtensions(["x; 01010102"]).first?.parameters)
            let url = try WebSocketURL("ws://h/")
            let agreed = NegotiatedExtension(name: item.name, parameters: parameters, layer: .opening)
            let message = WebSocketMessage.text(text(bytes))
            let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
            return {
                let stack = ExtensionStack(role: .client, now: now)
                stack.add([agreed], from: [item])
                try stack.opened(url: url, now: now)
                _ = try stack.inbound(message, now: now, received: now)
            }
        }
    }

    private static let controls: [GrowthRow] = [
        control("one text", bound: "its first four bytes tell that it is none") { repeated("a", $0) },
        control("lines", refusal: "a ping has two bytes") { repeated("\u{1}\u{1}\u{1}\u{2}\n", $0) },
        control("one control", refusal: "a ping has two bytes") {
            repeated("\u{1}", $0, behind: "\u{1}\u{1}\u{1}\u{2}\u{9}")
        },
    ]
}
