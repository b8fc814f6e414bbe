// The content of an HTTP response on the wire: how long it is and where it ends (RFC 9112 section 6.3). Only refusals
// have one here, so it is kept up to a limit and never streamed.

package import NIOCore

package struct BodyReader {
    private enum Mode {
        case length(Int)
        case untilClose
        case chunkSize
        case chunkData(Int)
        case chunkEnd
        case trailers
        case complete
    }

    /// Bytes of the longest line around chunks.
    private static let lineBytes = 256

    private var mode: Mode
    private let limit: Int
    private var line: [UInt8] = []
    /// Sizes, extensions and trailers of chunks, which count for themselves: as many bytes of them as of content are
    /// read (RFC 9112 section 7.1.1).
    private var framingBytes = 0
    package private(set) var entity = ByteBuffer()

    /// - Throws: the fault of the head's framing fields (threat A3).
    package init(of head: ResponseHead, limit: Int) throws(GrammarError) {
        self.limit = limit
        let isChunked = head.fields.contains(.transferEncoding)
        switch (head.status, head.fields.contentLength) {
        case (100...199, _), (204, _), (304, _):
            self.mode = .complete
        case (_, .invalid):
            throw GrammarError("its Content-Length is not a number", at: 0)
        case (_, .bytes) where isChunked:
            throw GrammarError("it has both Content-Length and Transfer-Encoding", at: 0)
        case (_, .bytes(let length)):
            self.mode = length == 0 ? .complete : .length(length)
        case (_, .absent) where isChunked:
            guard head.fields.value(of: "Transfer-Encoding", equalsIgnoringCase: "chunked"),
                head.fields.count(of: "Transfer-Encoding") == 1
            else { throw GrammarError("its Transfer-Encoding is not chunked", at: 0) }
            self.mode = .chunkSize
        default:
            self.mode = .untilClose
        }
    }

    /// The content of a request, of any length, to be taken out piece by piece; HTTP has nothing against its framing.
    init(of request: RequestHead) {
        self.limit = .max
        switch request.fields.contentLength {
        case .bytes(let length): self.mode = length == 0 ? .complete : .length(length)
        case .absent, .invalid:
            self.mode = request.fields.contains(.transferEncoding) ? .chunkSize : .complete
        }
    }

    /// `true` when the content tells its own end; `false` when it ends with the stream.
    var hasOwnEnd: Bool {
        if case .untilClose = self.mode { false } else { true }
    }

    /// `true` when all of it was read, or as much as is kept. Chunked content of just the limit ends with its last
    /// chunk: it is too long where another one begins.
    var isComplete: Bool {
        switch self.mode {
        case .complete: true
        case .chunkSize, .chunkEnd, .trailers: false
        case .length, .untilClose, .chunkData: self.entity.readableBytes >= self.limit
        }
    }

    /// `true` when all of it was read: the bytes behind it belong to the next message.
    package var isWhole: Bool {
        if case .complete = self.mode { true } else { false }
    }

    /// Bytes of memory for the part of the body that has come.
    var heldBytes: Int { self.line.count + self.entity.storageCapacity }

    /// Takes bytes until the body is complete. A body that is longer than the limit counts as complete there, and is
    /// read no further.
    package mutating func receive(_ input: inout ByteBuffer) throws(GrammarError) {
        while !self.isComplete {
            switch self.mode {
            case .complete:
                return
            case .length(let remaining):
                guard let taken = self.take(remaining, from: &input) else { return }
                self.mode = taken == remaining ? .complete : .length(remaining - taken)
            case .untilClose:
                guard self.take(Int.max, from: &input) != nil else { return }
            case .chunkData(let remaining):
                guard let taken = self.take(remaining, from: &input) else { return }
                self.mode = taken == remaining ? .chunkEnd : .chunkData(remaining - taken)
            case .chunkSize, .chunkEnd, .trailers:
                guard let line = try self.takeLine(&input) else { return }
                try self.advance(with: line)
            }
        }
    }

    /// Takes out what has been read, to be handed on piece by piece: the limit counts what is kept.
    package mutating func takeEntity() -> ByteBuffer {
        defer { self.entity = ByteBuffer() }
        return self.entity
    }

    /// Takes at most `count` bytes and keeps them up to the limit. Returns their number, `nil` when there are none.
    private mutating func take(_ count: Int, from input: inout ByteBuffer) -> Int? {
        let available = min(count, input.readableBytes, self.limit - self.entity.readableBytes)
        guard available > 0, let slice = input.readSlice(length: available) else { return nil }
        if self.isTakenOut, self.entity.readableBytes == 0 {
            self.entity = slice
        } else {
            self.entity.writeImmutableBuffer(slice)
        }
        if self.isTakenOut { self.framingBytes = max(self.framingBytes - 16 * min(available, 1 << 32), 0) }
        return available
    }

    /// Content without a bound, to be handed on piece by piece: it may have more framing with it, the more there is.
    private var isTakenOut: Bool { self.limit == .max }

    private mutating func takeLine(_ input: inout ByteBuffer) throws(GrammarError) -> [UInt8]? {
        let end = input.withUnsafeReadableBytes { $0.firstIndex(of: Bytes.lineFeed) }
        let count = end ?? input.readableBytes
        guard self.line.count + count <= Self.lineBytes else {
            throw GrammarError("a line of its chunked content is too long", at: 0)
        }
        self.framingBytes += count + (end == nil ? 0 : 1)
        // The end of content that has no byte is framing too.
        let most = self.isTakenOut ? 65_536 : max(self.limit, Self.lineBytes)
        guard self.framingBytes <= most else {
            throw GrammarError("its chunks are so small that their sizes take more bytes than content may", at: 0)
        }
        input.withUnsafeReadableBytes {
            self.line.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0.prefix(count)))
        }
        input.moveReaderIndex(forwardBy: count)
        guard end != nil else { return nil }
        input.moveReaderIndex(forwardBy: 1)
        guard self.line.popLast() == Bytes.carriageReturn else {
            throw GrammarError("a line of its chunked content does not end with CR LF", at: 0)
        }
        defer { self.line.removeAll(keepingCapacity: true) }
        return self.line
    }

    private mutating func advance(with line: [UInt8]) throws(GrammarError) {
        switch self.mode {
        case .chunkSize:
            let size = try Self.chunkSize(line)
            self.mode = size == 0 ? .trailers : .chunkData(size)
        case .chunkEnd:
            guard line.isEmpty else { throw GrammarError("a chunk is longer than its size", at: 0) }
            self.mode = .chunkSize
        default:
            if line.isEmpty { self.mode = .complete }
        }
    }

    /// `chunk = chunk-size [ chunk-ext ] CRLF` (RFC 9112 section 7.1): up to sixteen digits, since some servers pad
    /// with zeros. Blanks behind them are not allowed, but servers write them, so they are skipped.
    private static func chunkSize(_ line: [UInt8]) throws(GrammarError) -> Int {
        let digits = line.prefix { Bytes.hexValue($0) != nil }
        let rest = line[digits.endIndex...].drop { Bytes.isWhitespace($0) }
        guard (1...16).contains(digits.count), rest.first ?? Bytes.semicolon == Bytes.semicolon,
            rest.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == Bytes.tab })
        else { throw GrammarError("a chunk size is malformed", at: 0) }
        let size = digits.reduce(UInt64(0)) { $0 << 4 | UInt64(Bytes.hexValue($1) ?? 0) }
        guard let size = Int(exactly: size) else { throw GrammarError("a chunk is too large", at: 0) }
        return size
    }
}
