// Heads are made of many short strings, and each write to a ByteBuffer has its price. This writes all of them in one.

import NIOCore

/// Copies strings one behind the other into memory of a buffer.
struct TextWriter {
    private let memory: UnsafeMutableRawBufferPointer
    private var count = 0

    private init(memory: UnsafeMutableRawBufferPointer) {
        self.memory = memory
    }

    /// Has `body` write text from the beginning of `memory` on.
    /// - Returns: how many bytes it has written.
    @inline(__always)
    static func write(at memory: UnsafeMutableRawBufferPointer, _ body: (inout TextWriter) -> Void) -> Int {
        var writer = TextWriter(memory: memory)
        body(&writer)
        return writer.count
    }

    @inline(__always)
    mutating func write(_ text: StaticString) {
        self.write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always)
    mutating func write(_ text: String) {
        Bytes.withUTF8(of: text) { self.write($0) }
    }

    /// One field line; the value as the bytes that it stands for.
    @inline(__always)
    mutating func write(_ name: StaticString, _ value: String) {
        self.write(name)
        if Bytes.withUTF8(of: value, { Bytes.isASCII($0) }) {
            self.write(value)
        } else {
            FieldText.bytes(of: value).withUnsafeBytes { self.write($0) }
        }
        self.write("\r\n")
    }

    /// Copies bytes. Nothing is written beyond the memory: the caller's count was wrong then, and the head stays without
    /// its end.
    @inline(__always)
    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count <= self.memory.count - self.count else {
            assertionFailure("the caller reserved too little")
            return
        }
        UnsafeMutableRawBufferPointer(rebasing: self.memory[self.count...]).copyMemory(from: bytes)
        self.count += bytes.count
    }
}

extension ByteBuffer {
    /// Appends the text that `body` writes: at most `capacity` bytes.
    mutating func writeText(capacity: Int, _ body: (inout TextWriter) -> Void) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: capacity) { TextWriter.write(at: $0, body) }
    }
}
