// zlib's two streams as raw deflate (RFC 1951). Their memory is given back when it is not needed.

import CZlib
import NIOCore
import Synchronization

/// Why bytes could not be inflated.
enum InflateError: Error {
    /// The bytes are not deflate data.
    case invalid
    /// zlib has no memory.
    case memory
}

/// Inflates. Unchecked: the code that took it out of the pool is the only one to use it.
final class Inflater: @unchecked Sendable {
    let windowBits: Int32
    // On the heap: zlib's own state points back to it.
    private let stream: UnsafeMutablePointer<z_stream>
    /// `true` when a final block has ended and nothing has come behind it.
    private(set) var isBehindFinalBlock = false
    /// `true` when the data could end here, between two blocks. zlib reports this for the last call, and forgets it in
    /// a call that finds nothing to do.
    private(set) var isBetweenBlocks = false

    /// - Parameter windowBits: 9 to 15. About 7 KiB, and once something was inflated the window of 2^windowBits more.
    init(windowBits: Int) throws(InflateError) {
        self.windowBits = Int32(windowBits)
        self.stream = .allocate(capacity: 1)
        self.stream.initialize(to: z_stream())
        guard khp_inflate_init(self.stream, self.windowBits) == Z_OK else {
            // `deinit` cleans up when `init` throws after everything is set up.
            throw .memory
        }
    }

    /// The same state once more.
    init(copying other: Inflater) throws(InflateError) {
        self.windowBits = other.windowBits
        self.isBehindFinalBlock = other.isBehindFinalBlock
        self.isBetweenBlocks = other.isBetweenBlocks
        self.stream = .allocate(capacity: 1)
        self.stream.initialize(to: z_stream())
        guard inflateCopy(self.stream, other.stream) == Z_OK else { throw .memory }
    }

    deinit {
        inflateEnd(self.stream)
        self.stream.deallocate()
    }

    /// Forgets everything.
    func reset() {
        inflateReset(self.stream)
        self.isBehindFinalBlock = false
        self.isBetweenBlocks = false
    }

    /// Inflates until the input is used up or there is no more room.
    ///
    /// - Returns: how many bytes of input were used, and whether everything that they give has been appended.
    func run(
        _ input: UnsafeRawBufferPointer,
        into output: inout ByteBuffer,
        room: Int
    ) throws(InflateError) -> (used: Int, isDone: Bool) {
        var used = 0
        var room = room
        while room > 0 {
            // Text swells to four times its size, more or less; the buffer grows by doubling anyway.
            let guess = max(256, min(room, (input.count - used) * 4))
            let (consumed, produced, wanted, code) = self.step(
                input,
                from: used,
                into: &output,
                atMost: room,
                guess: guess
            )
            used += consumed
            room -= produced
            if consumed > 0 || produced > 0 {
                self.isBehindFinalBlock = false
                self.isBetweenBlocks = self.stream.pointee.data_type & 128 != 0
            }
            switch code {
            case Z_STREAM_END:
                // A final block ends neither the message nor the context (RFC 7692 section 7.2.3.4). Keeping the window
                // costs nothing, however often a peer does this.
                guard inflateResetKeep(self.stream) == Z_OK else { throw .invalid }
                (self.isBehindFinalBlock, self.isBetweenBlocks) = (true, true)
                if used == input.count { return (used, true) }
            case Z_OK, Z_BUF_ERROR:
                // Unused room shows that there is no more to come.
                if used == input.count && produced < wanted { return (used, true) }
                if consumed == 0 && produced == 0 { return (used, true) }
            case Z_MEM_ERROR: throw .memory
            default: throw .invalid
            }
        }
        return (used, false)
    }

    private func step(
        _ input: UnsafeRawBufferPointer,
        from start: Int,
        into output: inout ByteBuffer,
        atMost room: Int,
        guess: Int
    ) -> (consumed: Int, produced: Int, wanted: Int, code: Int32) {
        var consumed = 0
        var wanted = 0
        var code = Z_OK
        let produced = output.writeWithUnsafeMutableBytes(minimumWritableBytes: guess) { target in
            let rest = UnsafeRawBufferPointer(rebasing: input[start...])
            let available = min(rest.count, Int(Int32.max))
            wanted = min(target.count, room, Int(Int32.max))
            // zlib does not write to its input.
            self.stream.pointee.next_in = UnsafeMutablePointer(mutating: rest.bindMemory(to: UInt8.self).baseAddress)
            self.stream.pointee.avail_in = UInt32(available)
            self.stream.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
            self.stream.pointee.avail_out = UInt32(wanted)
            code = inflate(self.stream, Z_SYNC_FLUSH)
            consumed = available - Int(self.stream.pointee.avail_in)
            defer { (self.stream.pointee.next_in, self.stream.pointee.next_out) = (nil, nil) }
            return wanted - Int(self.stream.pointee.avail_out)
        }
        return (consumed, produced, wanted, code)
    }
}

/// Deflates. Unchecked: the code that took it out of the pool is the only one to use it.
final class Deflater: @unchecked Sendable {
    let settings: Settings
    private let stream: UnsafeMutablePointer<z_stream>

    /// The settings of memory and effort.
    struct Settings: Equatable {
        /// 9 to 15.
        var windowBits: Int32
        /// 1 to 9.
        var memoryLevel: Int32
        /// 1 to 9.
        var level: Int32
    }

    /// Takes 2^(windowBits + 2) + 2^(memoryLevel + 9) bytes.
    init(_ settings: Settings) throws(InflateError) {
        self.settings = settings
        self.stream = .allocate(capacity: 1)
        self.stream.initialize(to: z_stream())
        guard khp_deflate_init(self.stream, settings.level, settings.windowBits, settings.memoryLevel) == Z_OK else {
            throw .memory
        }
    }

    /// The same state once more.
    init(copying other: Deflater) throws(InflateError) {
        self.settings = other.settings
        self.stream = .allocate(capacity: 1)
        self.stream.initialize(to: z_stream())
        guard deflateCopy(self.stream, other.stream) == Z_OK else { throw .memory }
    }

    deinit {
        deflateEnd(self.stream)
        self.stream.deallocate()
    }

    /// Forgets everything.
    func reset() {
        deflateReset(self.stream)
    }

    /// Compresses all of the input, up to a byte boundary: the output ends in an empty stored block (00 00 FF FF).
    func run(_ input: UnsafeRawBufferPointer, into output: inout ByteBuffer) throws(InflateError) {
        var used = 0
        while true {
            var code = Z_OK
            var isFull = false
            let chunk = min(input.count - used, Int(Int32.max))
            let isLast = used + chunk == input.count
            // Text shrinks to a quarter, more or less; the buffer grows by doubling anyway.
            output.writeWithUnsafeMutableBytes(minimumWritableBytes: max(64, chunk / 4)) { target in
                let rest = UnsafeRawBufferPointer(rebasing: input[used..<(used + chunk)])
                let room = min(target.count, Int(Int32.max))
                self.stream.pointee.next_in = UnsafeMutablePointer(
                    mutating: rest.bindMemory(to: UInt8.self).baseAddress
                )
                self.stream.pointee.avail_in = UInt32(chunk)
                self.stream.pointee.next_out = target.bindMemory(to: UInt8.self).baseAddress
                self.stream.pointee.avail_out = UInt32(room)
                code = deflate(self.stream, isLast ? Z_SYNC_FLUSH : Z_NO_FLUSH)
                used += chunk - Int(self.stream.pointee.avail_in)
                isFull = self.stream.pointee.avail_out == 0
                defer { (self.stream.pointee.next_in, self.stream.pointee.next_out) = (nil, nil) }
                return room - Int(self.stream.pointee.avail_out)
            }
            guard code == Z_OK || code == Z_BUF_ERROR else { throw .memory }
            if used == input.count, isLast, !isFull { return }
        }
    }
}

/// Streams that no connection needs now, for the next that does: without context between messages a connection holds
/// none while it is idle. Shared by all connections of one extension value.
final class ZlibPool: Sendable {
    private struct Idle {
        var inflaters: [Inflater] = []
        var deflaters: [Deflater] = []
    }

    /// As many of each kind are kept: about one for each event loop.
    static let kept = 8

    private let idle = Mutex(Idle())

    func inflater(windowBits: Int) throws(InflateError) -> Inflater {
        let known = self.idle.withLock { idle -> Inflater? in
            guard let index = idle.inflaters.lastIndex(where: { $0.windowBits == windowBits }) else { return nil }
            return idle.inflaters.remove(at: index)
        }
        guard let known else { return try Inflater(windowBits: windowBits) }
        return known
    }

    func deflater(_ settings: Deflater.Settings) throws(InflateError) -> Deflater {
        let known = self.idle.withLock { idle -> Deflater? in
            guard let index = idle.deflaters.lastIndex(where: { $0.settings == settings }) else { return nil }
            return idle.deflaters.remove(at: index)
        }
        guard let known else { return try Deflater(settings) }
        return known
    }

    func giveBack(_ inflater: Inflater) {
        inflater.reset()
        self.idle.withLock { if $0.inflaters.count < Self.kept { $0.inflaters.append(inflater) } }
    }

    func giveBack(_ deflater: Deflater) {
        deflater.reset()
        self.idle.withLock { if $0.deflaters.count < Self.kept { $0.deflaters.append(deflater) } }
    }
}

extension ZlibPool: CustomReflectable {
    /// Empty: the values behind the lock change while a configuration is printed.
    var customMirror: Mirror { Mirror(self, children: []) }
}
