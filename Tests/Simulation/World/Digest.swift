// A number for bytes that differs when they do: messages are compared and traces are told apart by it.

import KHPProtocol
import NIOCore

struct Digest: Equatable, Hashable, Sendable {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ word: UInt64) {
        let mixed = (self.value ^ word) &* 0x9E37_79B9_7F4A_7C15
        self.value = mixed ^ (mixed >> 29)
    }

    mutating func add(_ buffer: ByteBuffer) {
        buffer.withUnsafeReadableBytes { bytes in
            var at = 0
            while at + 8 <= bytes.count {
                self.add(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                at += 8
            }
            var rest: UInt64 = UInt64(bytes.count)
            while at < bytes.count {
                rest = rest << 8 | UInt64(bytes[at])
                at += 1
            }
            self.add(rest)
        }
    }

    /// A message.
    init(_ kind: MessageKind, _ payload: ByteBuffer) {
        self.add(kind == .text ? 1 : 2)
        self.add(payload)
    }

    init() {}
}

/// The payloads of messages: ASCII that differs from message to message, and compresses.
enum Payloads {
    private static let pattern = ByteBuffer(
        bytes: (0..<1_300_000).map { (index: Int) -> UInt8 in UInt8(0x20 + (index / 7 * 31 + index >> 9) % 0x5F) }
    )

    static func make(_ count: Int, number: Int) -> ByteBuffer {
        self.pattern.getSlice(at: number % 1_000 * 7, length: max(count, 0)) ?? ByteBuffer()
    }
}
