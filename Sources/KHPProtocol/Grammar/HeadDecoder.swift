package import NIOCore

/// Collects the bytes of one head, over as many reads as it takes. A head that lies in one buffer is scanned in place
/// and sliced out of it; otherwise the bytes are kept, never more than ``HeadLimits/headBytes``.
private struct HeadCollector {
    private(set) var scanner: HeadScanner
    private var kept = ByteBuffer()
    private var failure: HeadError?

    init(kind: HeadScanner.Kind, limits: HeadLimits) {
        self.scanner = HeadScanner(kind: kind, limits: limits)
    }

    var isEmpty: Bool { self.kept.readableBytes == 0 }

    var heldBytes: Int { self.kept.storageCapacity }

    /// The head's bytes once they are complete; the bytes behind them stay in `buffer`.
    /// - Parameter read: is called with them, to read more of the start line than its offsets.
    @inline(__always)
    mutating func collect(
        _ buffer: inout ByteBuffer,
        _ read: (UnsafeRawBufferPointer, StartLine) -> Void
    ) throws(HeadError) -> ByteBuffer? {
        if let failure { throw failure }
        guard buffer.readableBytes > 0 else { return nil }
        let isFirst = self.kept.readableBytes == 0
        let previous = self.kept.readableBytes
        if !isFirst {
            let room = max(self.scanner.limits.headBytes - previous, 0)
            if let more = buffer.getSlice(at: buffer.readerIndex, length: min(room, buffer.readableBytes)) {
                self.kept.writeImmutableBuffer(more)
            }
        }
        let progress =
            isFirst
            ? buffer.withUnsafeReadableBytes { Self.scan($0, with: &self.scanner, read) }
            : self.kept.withUnsafeReadableBytes { Self.scan($0, with: &self.scanner, read) }
        switch progress {
        case .complete(let length):
            let head: ByteBuffer?
            if isFirst {
                head = buffer.readSlice(length: length)
            } else {
                buffer.moveReaderIndex(forwardBy: length - previous)
                head = self.kept.getSlice(at: self.kept.readerIndex, length: length)
            }
            return try self.scanner.hasFolds ? self.unfold(head) : head
        case .failed(let error):
            self.failure = error
            // The bytes behind them are in `buffer` still.
            self.kept.moveWriterIndex(to: self.kept.readerIndex + previous)
            throw error
        case .needsMore:
            if isFirst {
                self.kept.writeBytes(buffer.readableBytesView)
            }
            buffer.moveReaderIndex(to: buffer.writerIndex)
            return nil
        }
    }

    @inline(__always)
    private static func scan(
        _ bytes: UnsafeRawBufferPointer,
        with scanner: inout HeadScanner,
        _ read: (UnsafeRawBufferPointer, StartLine) -> Void
    ) -> HeadScanner.Progress {
        let progress = scanner.scan(bytes)
        if case .complete = progress { read(bytes, scanner.start) }
        return progress
    }

    /// The head without its folds, read anew: a field is no longer than a line may be, however it was folded (D30).
    private mutating func unfold(_ head: ByteBuffer?) throws(HeadError) -> ByteBuffer? {
        guard let head else { return nil }
        let bytes = ByteBuffer(bytes: head.withUnsafeReadableBytes { HeadScanner.unfolded($0) })
        self.scanner = HeadScanner(kind: self.scanner.kind, limits: self.scanner.limits)
        if case .failed(let error) = bytes.withUnsafeReadableBytes({ self.scanner.scan($0) }) {
            self.failure = error
            self.kept = ByteBuffer()
            throw error
        }
        return bytes
    }

    mutating func takeFields(of head: ByteBuffer) -> HeadFields {
        HeadFields(storage: head, entries: self.scanner.takeEntries(), known: self.scanner.known)
    }

    /// The bytes that were taken for a head that failed.
    mutating func takeKept() -> ByteBuffer {
        defer { self.kept = ByteBuffer() }
        return self.kept
    }

    mutating func reset() {
        self = HeadCollector(kind: self.scanner.kind, limits: self.scanner.limits)
    }
}

/// Reads request heads, on the wire and inside messages (RFC 9112, KHP-E2).
package struct RequestHeadDecoder {
    private var collector: HeadCollector

    package init(limits: HeadLimits) {
        self.collector = HeadCollector(kind: .request, limits: limits)
    }

    /// `true` until the first byte of a head has been taken.
    package var isEmpty: Bool { self.collector.isEmpty }

    /// Bytes of memory for the part of a head that has come.
    var heldBytes: Int { self.collector.heldBytes }

    /// Takes a head from `buffer`, through its blank line, and leaves the bytes behind it. `nil` when it took
    /// everything and needs more. After an error it stays failed; after a head it is ready for the next.
    package mutating func decode(_ buffer: inout ByteBuffer) throws(HeadError) -> RequestHead? {
        var method = ""
        var target = ""
        let collected = try self.collector.collect(&buffer) { head, start in
            method = Self.method(UnsafeRawBufferPointer(rebasing: head[..<start.methodEnd]))
            target = String(
                decoding: UnsafeRawBufferPointer(rebasing: head[(start.methodEnd + 1)..<start.targetEnd]),
                as: UTF8.self
            )
        }
        guard let bytes = collected else { return nil }
        let minorVersion = self.collector.scanner.start.minorVersion
        let fields = self.collector.takeFields(of: bytes)
        self.collector.reset()
        return RequestHead(method: method, target: target, minorVersion: minorVersion, fields: fields)
    }

    /// The bytes that were taken of a head that cannot be read, after its error; those behind them were left where they
    /// are.
    package mutating func takeUndecoded() -> ByteBuffer { self.collector.takeKept() }

    @inline(__always)
    private static func method(_ bytes: UnsafeRawBufferPointer) -> String {
        // Of nearly every request, and so not made anew for each.
        let isGet = bytes.count == 3 && bytes[0] == 0x47 && bytes[1] == 0x45 && bytes[2] == 0x54
        return isGet ? "GET" : String(decoding: bytes, as: UTF8.self)
    }

    /// Returns `true` when a request line with a registered method in capitals can begin with `prefix` (D19). An empty
    /// prefix can.
    package static func canBeginRequest(_ prefix: some Collection<UInt8>) -> Bool {
        Method.canBeginRequest(prefix)
    }
}

/// Reads response heads, on the wire and inside messages (RFC 9112, KHP-E2).
package struct ResponseHeadDecoder {
    private var collector: HeadCollector

    package init(limits: HeadLimits) {
        self.collector = HeadCollector(kind: .response, limits: limits)
    }

    /// `true` until the first byte of a head has been taken.
    package var isEmpty: Bool { self.collector.isEmpty }

    /// As ``RequestHeadDecoder/heldBytes``.
    var heldBytes: Int { self.collector.heldBytes }

    /// As ``RequestHeadDecoder/decode(_:)``.
    package mutating func decode(_ buffer: inout ByteBuffer) throws(HeadError) -> ResponseHead? {
        var reason = ""
        let collected = try self.collector.collect(&buffer) { head, start in
            reason = FieldText.readable(UnsafeRawBufferPointer(rebasing: head[start.reasonStart..<start.reasonEnd]))
        }
        guard let bytes = collected else { return nil }
        let start = self.collector.scanner.start
        let fields = self.collector.takeFields(of: bytes)
        self.collector.reset()
        return ResponseHead(status: start.status, reason: reason, minorVersion: start.minorVersion, fields: fields)
    }
}
