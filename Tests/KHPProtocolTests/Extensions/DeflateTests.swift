// permessage-deflate on the wire, both roles (RFC 7692 sections 6, 7.2; threats C1, C3).

import CZlib
import KHPProtocol
import NIOCore
import TestSupport
import Testing

@Suite("permessage-deflate: messages")
struct DeflateTests {
    private static func peer(
        _ role: Role,
        _ parameters: String = "",
        limits: Limits = Limits(),
        delivery: MessageDelivery = .messages
    ) throws -> WirePeer {
        let element = parameters.isEmpty ? "permessage-deflate" : "permessage-deflate; \(parameters)"
        let peer =
            role == .server
            ? try WirePeer.server([PerMessageDeflate()], offer: element, limits: limits, delivery: delivery)
            : try WirePeer.client([PerMessageDeflate()], answer: element, limits: limits, delivery: delivery)
        try #require(peer.negotiated?.extensions.map(\.name) == ["permessage-deflate"])
        return peer
    }

    /// `bytes` as a compressor without our code makes them: raw deflate, flushed, without the last four bytes.
    private static func deflated(_ bytes: [UInt8], windowBits: Int32 = 15) -> [UInt8] {
        var stream = z_stream()
        #expect(khp_deflate_init(&stream, 9, windowBits, 9) == Z_OK)
        defer { deflateEnd(&stream) }
        var input = bytes
        var output = [UInt8](repeating: 0, count: bytes.count + bytes.count / 100 + 1024)
        let count = input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                #expect(deflate(&stream, Z_SYNC_FLUSH) == Z_OK)
                return output.count - Int(stream.avail_out)
            }
        }
        return Array(output[..<(count - 4)])
    }

    // MARK: Room

    /// The pieces of a message, inflated with no more than `room` bytes at a time.
    private static func inflated(_ pieces: [[UInt8]], room: Int) throws -> [[UInt8]] {
        var transform = try #require(
            PerMessageDeflate().makeFrameTransform(role: .client, parameters: ExtensionParameters())
        )
        return try pieces.enumerated().map { index, bytes in
            var piece = MessagePiece(
                .binary,
                ByteBuffer(bytes: bytes),
                reservedBits: .rsv1,
                isFirst: index == 0,
                isLast: index == pieces.count - 1
            )
            var output = ByteBuffer()
            var isDone = false
            while !isDone {
                let before = output.readableBytes
                isDone = try transform.inbound(&piece, into: &output, room: room)
                #expect(output.readableBytes - before <= room)
            }
            return Array(output.readableBytesView)
        }
    }

    @Test("a message is the same whatever room there is for it at a time", arguments: [0, 1, 2, 3])
    func anyRoom(_ literals: Int) throws {
        // A match of 258 bytes that is cut anywhere, and so at its very end.
        let message = (0..<literals).map { UInt8($0) } + [UInt8](repeating: 7, count: 1 + 2 * 258)
        let deflated = Self.deflated(message)
        for room in 1...600 {
            #expect(try Self.inflated([deflated], room: room) == [message], "\(room)")
        }
        // A stored block whose last bytes are the ones that the sender leaves out. The reader does not ask for their
        // meaning.
        for room in 1...6 {
            #expect(
                try Self.inflated([[0, 5, 0, 0xFA, 0xFF, 0x48]], room: room) == [[0x48, 0, 0, 0xFF, 0xFF]],
                "\(room)"
            )
        }
    }

    @Test("what a fragment gives does not wait for the next one")
    func noDelay() throws {
        let message = [UInt8](repeating: 7, count: 1 + 2 * 258)
        // Flushed, so that all of the message is in the first fragment.
        let fragment = Self.deflated(message) + [0, 0, 0xFF, 0xFF]
        for room in 1...600 {
            #expect(try Self.inflated([fragment, [0]], room: room) == [message, []], "\(room)")
        }
    }

    // MARK: Vectors

    private struct Vectors: Decodable {
        struct Vector: Decodable {
            var section: String
            var what: String
            var messages: [[String]]
            var text: [String]
        }
        var vectors: [Vector]
    }

    @Test(
        "RFC 7692 section 7.2.3",
        arguments: [.client, .server] as [Role],
        [.messages, .chunks] as [MessageDelivery]
    )
    func vectors(role: Role, delivery: MessageDelivery) throws {
        for vector in try FrameSupport.load("deflate.json", as: Vectors.self).vectors {
            for readBytes in [nil, 1, 3] {
                var peer = try Self.peer(role, delivery: delivery)
                for message in vector.messages {
                    let frames = message.enumerated().map { index, hex in
                        let fin: UInt8 = index == message.count - 1 ? 0x80 : 0
                        return WireFrame(fin | (index == 0 ? 0x41 : 0x00), FrameSupport.bytes(hex: hex))
                    }
                    peer.feed(frames, readBytes: readBytes)
                }
                let expected = vector.text.map { WebSocketMessage.text($0) }
                #expect(peer.takeMessages() == expected, "\(vector.section): \(vector.what)")
                #expect(peer.takeFrames().isEmpty, "\(vector.section): \(vector.what)")
            }
        }
    }

    @Test("what we send is what the RFC shows (7.2.3.1, 7.2.3.2)")
    func sentVectors() throws {
        var deflate = PerMessageDeflate()
        deflate.threshold = 0
        var peer = try WirePeer.client([deflate], answer: "permessage-deflate")
        try peer.send(.text("Hello"))
        try peer.send(.text("Hello"))
        try peer.send(.text(""))
        #expect(
            peer.takeFrames() == [
                WireFrame(0xC1, FrameSupport.bytes(hex: "f248cdc9c90700")),
                WireFrame(0xC1, FrameSupport.bytes(hex: "f200110000")), WireFrame(0xC1, [0]),
            ]
        )
    }

    // MARK: Violations

    @Test(
        "invalid data: 1007",
        arguments: [
            // Reserved block type; a stored block whose lengths differ; a distance too far back; data that ends within
            // a block; bytes behind which nothing fits.
            "07", "000500faaf48656c6c6f00", "f200110000", "f248cd", "4bffff", "aaaaaaaaaaaaaaaa",
        ],
        [.client, .server] as [Role]
    )
    func invalidData(hex: String, role: Role) throws {
        for delivery in [MessageDelivery.messages, .chunks] {
            var peer = try Self.peer(role, delivery: delivery)
            peer.feed(WireFrame(0xC1, FrameSupport.bytes(hex: hex)))
            #expect(peer.takeCloseCode() == 1007, "\(hex)")
            // Nothing that comes behind it is delivered.
            peer.feed(WireFrame(0x81, Array("late".utf8)))
            #expect(peer.takeMessages().isEmpty)
            peer.endInput()
            #expect(peer.closed?.error?.closeCode == .invalidPayload)
        }
    }

    @Test("reserved bits where they do not belong: 1002 (threat C3)", arguments: [.client, .server] as [Role])
    func misplacedBits(role: Role) throws {
        let cases: [[WireFrame]] = [
            [WireFrame(0x41, [0xF2]), WireFrame(0xC0, [0x48])],
            [WireFrame(0x01, [0x41]), WireFrame(0xC0, [0x41])],
            [WireFrame(0xC9, [])], [WireFrame(0xCA, [])], [WireFrame(0xC8, [0x03, 0xE8])],
            [WireFrame(0xA1, [])], [WireFrame(0x91, [])], [WireFrame(0xE1, [0])],
        ]
        for frames in cases {
            var peer = try Self.peer(role)
            peer.feed(frames)
            #expect(peer.takeCloseCode() == 1002, "\(frames)")
        }
        // And RSV1 without negotiation.
        var plain = try WirePeer.client([], answer: nil)
        plain.feed(WireFrame(0xC1, [0xF2, 0x00]))
        #expect(plain.takeCloseCode() == 1002)
    }

    @Test("text is validated as it is inflated: 1007 before the message is there")
    func invalidText() throws {
        for delivery in [MessageDelivery.messages, .chunks] {
            var peer = try Self.peer(.server, delivery: delivery)
            peer.feed(WireFrame(0x41, Self.deflated([0x61, 0xC3, 0x28, 0x62] + Array(repeating: 0x63, count: 600))))
            #expect(peer.takeCloseCode() == 1007)
            // Cut within a character, at its end.
            var cut = try Self.peer(.server, delivery: delivery)
            cut.feed(WireFrame(0xC1, Self.deflated(Array("ab\u{20AC}".utf8.dropLast()))))
            #expect(cut.takeCloseCode() == 1007)
        }
    }

    @Test("characters may be cut between frames and between reads")
    func cutText() throws {
        let text = String(repeating: "\u{20AC}\u{1F600}ä", count: 500)
        let bytes = Self.deflated(Array(text.utf8))
        for size in [1, 2, 7] {
            var peer = try Self.peer(.server)
            let pieces = stride(from: 0, to: bytes.count, by: size).map {
                Array(bytes[$0..<min($0 + size, bytes.count)])
            }
            peer.feed(
                pieces.enumerated().map { index, piece in
                    WireFrame((index == 0 ? 0x41 : 0) | (index == pieces.count - 1 ? 0x80 : 0), piece)
                }
            )
            #expect(peer.takeMessages() == [.text(text)])
        }
    }

    // MARK: Limits

    @Test("a bomb ends with 1009 at the limit, in both roles and deliveries (threat C1)")
    func bomb() throws {
        let bytes = Self.deflated([UInt8](repeating: 0, count: 64 << 20))
        #expect(bytes.count < 70_000)
        for role in [Role.client, .server] {
            for delivery in [MessageDelivery.messages, .chunks] {
                var limits = Limits()
                limits.messages.messageBytes = 100_000
                var peer = try Self.peer(role, limits: limits, delivery: delivery)
                peer.feed(WireFrame(0xC2, bytes))
                #expect(peer.takeCloseCode() == 1009)
                #expect(peer.takeMessages().isEmpty)
                peer.endInput()
                #expect(peer.closed?.error?.code == .messageTooBig)
                #expect(peer.closed?.error?.message.contains("100000 bytes") == true)
            }
        }
    }

    @Test("messages up to the limit pass, also those that compression makes larger; one byte more does not")
    func atTheLimit() throws {
        var limits = Limits()
        limits.messages.messageBytes = 5000
        var random = SeededGenerator(seed: 7)
        let noise = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &random) }
        var peer = try Self.peer(.server, limits: limits)
        peer.feed(WireFrame(0xC2, Self.deflated(noise)), readBytes: 100)
        peer.feed(WireFrame(0xC2, Self.deflated([UInt8](repeating: 7, count: 5000))))
        #expect(peer.takeMessages().map(\.byteCount) == [5000, 5000])
        peer.feed(WireFrame(0xC2, Self.deflated([UInt8](repeating: 7, count: 5001))))
        #expect(peer.takeCloseCode() == 1009)
        // A frame that could not hold so little is refused by its header.
        var declared = try Self.peer(.server, limits: limits)
        declared.feed(WireFrame(0xC2, [UInt8](repeating: 0, count: 20_000)), readBytes: 10)
        #expect(declared.takeCloseCode() == 1009)
        declared.endInput()
        #expect(declared.closed?.error?.message.contains("5000 bytes") == true)
    }

    @Test("thousands of final blocks cost no more than their bytes")
    func finalBlocks() throws {
        // "03 00" is an empty final block. Each keeps the window in place; copying it would cost 64 KiB a block.
        var peer = try Self.peer(.server)
        peer.feed(WireFrame(0x42, Self.deflated([UInt8](repeating: 1, count: 40_000)) + [0, 0, 0xFF, 0xFF]))
        let started = ContinuousClock.now
        peer.feed(WireFrame(0x80, Array(repeating: [0x03, 0x00], count: 100_000).flatMap { $0 } + [0]))
        #expect(peer.takeMessages().map(\.byteCount) == [40_000])
        #expect(ContinuousClock.now - started < .seconds(10) * Sanitizer.patience)
    }

    // MARK: Sending

    @Test("small messages and those with the option go out as they are; control frames always do")
    func uncompressed() throws {
        var peer = try Self.peer(.server)
        let large = String(repeating: "a", count: 300)
        try peer.send(.text("small"))
        try peer.send(.text(large), options: .uncompressed)
        try peer.send(.text(large))
        peer.feed(WireFrame(0x89, [UInt8](repeating: 0x61, count: 100)))
        peer.close()
        let frames = peer.takeFrames()
        #expect(frames.map(\.first) == [0x81, 0x81, 0xC1, 0x8A, 0x88])
        #expect(frames[0].payload == Array("small".utf8))
        #expect(frames[1].payload == Array(large.utf8))
        #expect(frames[2].payload.count < 20)
    }

    @Test("what does not shrink is not sent compressed where no context depends on it")
    func noise() throws {
        var random = SeededGenerator(seed: 3)
        let noise = ByteBuffer(bytes: (0..<1000).map { _ in UInt8.random(in: 0...255, using: &random) })
        var peer = try Self.peer(.server, "server_no_context_takeover")
        try peer.send(.binary(noise))
        #expect(peer.takeFrames() == [WireFrame(0x82, Array(noise.readableBytesView))])
    }

    @Test("a streamed message: RSV1 on the first frame alone, each piece readable at once")
    func streamed() throws {
        var peer = try Self.peer(.server)
        let line = String(repeating: "tick ", count: 40)
        try peer.send(MessageChunk(kind: .text, bytes: ByteBuffer(), isFirst: true, isLast: false))
        for _ in 0..<3 {
            try peer.send(MessageChunk(kind: .text, bytes: ByteBuffer(string: line), isFirst: false, isLast: false))
        }
        try peer.send(MessageChunk(kind: .text, bytes: ByteBuffer(), isFirst: false, isLast: true))
        let frames = peer.takeFrames()
        #expect(frames.map(\.first) == [0x41, 0x00, 0x00, 0x80])
        #expect(frames.last?.payload == [0])
        var other = try Self.peer(.client, delivery: .chunks)
        other.feed(Array(frames.prefix(2)))
        #expect(other.takeMessages().isEmpty)
        other.feed(Array(frames.dropFirst(2)))
        #expect(other.takeMessages() == [.text(line + line + line)])
    }

    @Test("what there was no room for comes before further input does")
    func prompt() throws {
        let bytes = Self.deflated([UInt8](repeating: 7, count: 200_000))
        // All that the first `count` bytes mean, in rooms of `room` bytes.
        func inflated(_ count: Int, room: Int) throws -> Int {
            var transform = try #require(PerMessageDeflate().makeFrameTransform(role: .server, parameters: [:]))
            var piece = MessagePiece(.binary, ByteBuffer(bytes: bytes.prefix(count)), isLast: false)
            var output = ByteBuffer()
            while try !transform.inbound(&piece, into: &output, room: room) {}
            return output.readableBytes
        }
        let room = 65_536
        let count = try #require(try (1..<bytes.count).first { try inflated($0, room: 1 << 20) > room })
        #expect(try inflated(count, room: room) == (try inflated(count, room: 1 << 20)))
    }

    @Test("a window of 2^8 is kept to, at every level", arguments: 1...9)
    func smallestWindow(level: Int) throws {
        var deflate = PerMessageDeflate()
        deflate.level = level
        var peer = try WirePeer.server([deflate], offer: "permessage-deflate; server_max_window_bits=8")
        #expect(peer.extensionsField == "permessage-deflate; server_max_window_bits=8")
        var random = SeededGenerator(seed: 11)
        // Matches at all distances up to a kilobyte.
        var bytes: [UInt8] = []
        for _ in 0..<400 {
            let distance = Int.random(in: 1...1024, using: &random)
            if bytes.count > distance {
                bytes += bytes[(bytes.count - distance)...].prefix(20)
            } else {
                bytes += (0..<30).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
        }
        try peer.send(.binary(ByteBuffer(bytes: bytes)))
        let frame = try #require(peer.takeFrames().first)
        #expect(frame.first == 0xC2)
        // zlib's own inflater with a window of 256 bytes, given room byte by byte so that it must look into the window.
        var stream = z_stream()
        #expect(khp_inflate_init(&stream, 8) == Z_OK)
        defer { inflateEnd(&stream) }
        var input = frame.payload + [0, 0, 0xFF, 0xFF]
        var output: [UInt8] = []
        let isValid = input.withUnsafeMutableBufferPointer { input in
            stream.next_in = input.baseAddress
            stream.avail_in = UInt32(input.count)
            while true {
                var byte: UInt8 = 0
                let code = withUnsafeMutablePointer(to: &byte) { target in
                    stream.next_out = target
                    stream.avail_out = 1
                    return inflate(&stream, Z_SYNC_FLUSH)
                }
                if stream.avail_out == 1 { return code == Z_OK || code == Z_BUF_ERROR }
                output.append(byte)
            }
        }
        #expect(isValid)
        #expect(output == bytes)
    }

    @Test("1,000 random messages, whatever was negotiated, cut anywhere, come out as they went in")
    func roundTrips() throws {
        var random = SeededGenerator(seed: 20_261_121)
        var count = 0
        while count < 1000 {
            var parameters: [String] = []
            if Bool.random(using: &random) { parameters.append("server_no_context_takeover") }
            if Bool.random(using: &random) { parameters.append("client_no_context_takeover") }
            let bits = Int.random(in: 8...16, using: &random)
            if bits < 16 { parameters.append("server_max_window_bits=\(bits)") }
            let clientBits = Int.random(in: 8...16, using: &random)
            if clientBits < 16 { parameters.append("client_max_window_bits=\(clientBits)") }
            var deflate = PerMessageDeflate()
            deflate.windowBits = Int.random(in: 8...15, using: &random)
            deflate.memoryLevel = Int.random(in: 1...9, using: &random)
            deflate.level = Int.random(in: 1...9, using: &random)
            deflate.threshold = Int.random(in: 0...100, using: &random)
            var server = try WirePeer.server(
                [deflate],
                offer: (["permessage-deflate"] + parameters).joined(separator: "; "),
                delivery: Bool.random(using: &random) ? .messages : .chunks
            )
            let answer = try #require(server.extensionsField)
            var client = try WirePeer.client([deflate], answer: answer)
            for _ in 0..<20 {
                let message = Self.randomMessage(&random)
                let readBytes = Bool.random(using: &random) ? nil : Int.random(in: 1...500, using: &random)
                try client.send(message)
                server.feed(client.takeFrames(), readBytes: readBytes)
                #expect(server.takeMessages() == [message])
                try server.send(message)
                client.feed(server.takeFrames(), readBytes: readBytes)
                #expect(client.takeMessages() == [message])
                count += 1
            }
            #expect(server.closed == nil && client.closed == nil)
        }
    }

    private static func randomMessage(_ random: inout SeededGenerator) -> WebSocketMessage {
        let size = Int.random(in: 0...12, using: &random) == 0 ? 70_000 : Int.random(in: 0...2000, using: &random)
        switch Int.random(in: 0...2, using: &random) {
        case 0: return .binary(ByteBuffer(bytes: (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }))
        case 1: return .binary(ByteBuffer(bytes: (0..<size).map { _ in UInt8.random(in: 0...3, using: &random) }))
        default:
            let words = ["bid ", "ask ", "€ ", "1.0425 ", "\u{1F600}"]
            return .text((0..<(size / 5)).map { _ in words.randomElement(using: &random) ?? "" }.joined())
        }
    }
}
