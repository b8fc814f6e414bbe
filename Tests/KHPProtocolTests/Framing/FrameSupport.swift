// Shared by the framing tests: vectors from files, feeding a reader at any cut, seeded randomness.

import Foundation
import KHPProtocol
import NIOCore
import Testing

/// The result of a reader over a stream.
struct ReaderResult: Equatable, CustomStringConvertible {
    var events: [InboundFrameEvent] = []
    var violation: WebSocketCloseCode?

    var description: String { "\(self.events) \(self.violation.map { "failed with \($0)" } ?? "")" }
}

enum FrameSupport {
    static func bytes(hex: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in hex.utf8 {
            let value = digit < 0x3A ? digit &- 0x30 : (digit | 0x20) &- 0x57
            guard let first = high else {
                high = value
                continue
            }
            bytes.append(first << 4 | value)
            high = nil
        }
        return bytes
    }

    /// Everything that `reader` makes of `pieces`, each appended as if it had just arrived.
    static func read(_ pieces: [ArraySlice<UInt8>], with reader: MessageReader) -> ReaderResult {
        var reader = reader
        var input = ByteBuffer()
        var result = ReaderResult()
        for piece in pieces {
            input.writeBytes(piece)
            do {
                while let event = try reader.next(&input) { result.events.append(event) }
            } catch {
                result.violation = error.closeCode
                return result
            }
            input.discardReadBytes()
        }
        return result
    }

    static func read(_ bytes: [UInt8], with reader: MessageReader) -> ReaderResult {
        read([bytes[...]], with: reader)
    }

    /// Chunks joined to messages, so that streaming can be compared with whole messages.
    static func joined(_ result: ReaderResult) -> ReaderResult {
        var joined = ReaderResult(violation: result.violation)
        var open: (kind: MessageKind, payload: ByteBuffer, rsv: UInt8)?
        for event in result.events {
            guard case .chunk(let kind, var payload, let isFirst, let isLast, let rsv) = event else {
                joined.events.append(event)
                continue
            }
            #expect(isFirst == (open == nil))
            if open == nil { open = (kind, ByteBuffer(), rsv) }
            open?.payload.writeBuffer(&payload)
            if isLast, let message = open {
                joined.events.append(.message(kind: message.kind, payload: message.payload, rsv: message.rsv))
                open = nil
            }
        }
        return joined
    }

    static func load<T: Decodable>(_ name: String, as type: T.Type = T.self) throws -> T {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let file = root.appendingPathComponent("Specs/vectors/\(name)")
        return try JSONDecoder().decode(T.self, from: Data(contentsOf: file))
    }

    /// One frame, byte by byte as section 5.2 has it; independent of `FrameWriter`.
    static func frame(
        _ first: UInt8,
        _ payload: [UInt8] = [],
        declared: UInt64? = nil,
        key: [UInt8]? = nil
    ) -> [UInt8] {
        let length = declared ?? UInt64(payload.count)
        let masked: UInt8 = key == nil ? 0 : 0x80
        var frame = [first]
        switch length {
        case 0...125: frame.append(masked | UInt8(length))
        case 126...0xFFFF: frame += [masked | 126, UInt8(length >> 8), UInt8(length & 0xFF)]
        default: frame += [masked | 127] + (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * $0)) }
        }
        if let key { frame += key }
        return frame + payload.enumerated().map { offset, byte in byte ^ (key?[offset % 4] ?? 0) }
    }
}

/// The frame vectors of `Specs/vectors/frames.json`.
struct FrameVector: Decodable, Sendable, CustomTestStringConvertible {
    struct Event: Decodable, Sendable {
        var event: String
        var hex: String?
        var rsv: UInt8?
        var code: UInt16?
        var reason: String?
    }
    struct File: Decodable {
        var vectors: [FrameVector]
    }

    var name: String
    var section: String
    var reader: String
    var hex: String
    var events: [Event]
    var violation: UInt16?
    var allowedReservedBits: UInt8?

    var testDescription: String { "\(self.name) (\(self.section), \(self.reader))" }

    static let all: [FrameVector] = (try? FrameSupport.load("frames.json", as: File.self).vectors) ?? []

    var bytes: [UInt8] { FrameSupport.bytes(hex: self.hex) }

    var expected: ReaderResult {
        ReaderResult(
            events: self.events.map { event in
                let payload = ByteBuffer(bytes: FrameSupport.bytes(hex: event.hex ?? ""))
                return switch event.event {
                case "text": .message(kind: .text, payload: payload, rsv: event.rsv ?? 0)
                case "binary": .message(kind: .binary, payload: payload, rsv: event.rsv ?? 0)
                case "ping": .ping(payload)
                case "pong": .pong(payload)
                default:
                    .close(code: event.code.map { WebSocketCloseCode(rawValue: $0) }, reason: event.reason ?? "")
                }
            },
            violation: self.violation.map { WebSocketCloseCode(rawValue: $0) }
        )
    }

    func makeReader(_ mode: MessageReader.Mode) -> MessageReader {
        var reader = MessageReader(role: reader == "server" ? .server : .client, mode: mode)
        reader.allowedReservedBits = self.allowedReservedBits ?? 0
        return reader
    }
}
