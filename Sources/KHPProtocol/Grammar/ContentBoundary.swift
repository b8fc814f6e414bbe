// Finds where the content of an HTTP message ends, of content that somebody else reads: all bytes pass, and none is kept
// (RFC 9112 sections 6.3 and 7.1).
//
// Stricter than a reader may be: content whose end could be seen in two ways has none here.

import NIOCore

struct ContentBoundary {
    private enum Mode {
        case length(Int)
        case chunkSize(Int, digits: Int)
        /// Extensions, or the blanks that some write before the end of the line.
        case chunkExtension(Int)
        case chunkSizeFeed(Int)
        case chunkData(Int)
        case chunkReturn, chunkFeed
        case trailerStart, trailer, trailerFeed, lastFeed
        case complete
        case broken
    }

    /// As many bytes of extensions and trailers pass, beside the content.
    private static let framingBytes = 65_536

    private var mode: Mode
    private var framing = 0

    /// The content of a request; `nil` where its end is not certain.
    init?(of head: RequestHead) {
        guard let mode = Self.mode(head.fields, minorVersion: head.minorVersion) else { return nil }
        self.mode = mode == .absent ? .complete : mode.content
    }

    /// The content of a final response; `nil` where it ends with the stream, or its end is not certain.
    /// - Parameter isForHEAD: `true` when HEAD has asked for it.
    init?(of head: ResponseHead, isForHEAD: Bool) {
        if isForHEAD || head.status == 204 || head.status == 304 {
            self.mode = .complete
            return
        }
        guard let mode = Self.mode(head.fields, minorVersion: head.minorVersion), mode != .absent else { return nil }
        self.mode = mode.content
    }

    private enum Framing: Equatable {
        case absent, chunked
        case length(Int)

        var content: Mode {
            switch self {
            case .absent, .length(0): .complete
            case .length(let length): .length(length)
            case .chunked: .chunkSize(0, digits: 0)
            }
        }
    }

    private static func mode(_ fields: HeadFields, minorVersion: Int) -> Framing? {
        let isChunked = fields.contains(.transferEncoding)
        switch fields.contentLength {
        case .invalid:
            return nil
        case .bytes(let length):
            return isChunked ? nil : .length(length)
        case .absent where isChunked:
            guard minorVersion == 1, fields.count(of: "Transfer-Encoding") == 1,
                fields.value(of: "Transfer-Encoding", equalsIgnoringCase: "chunked")
            else { return nil }
            return .chunked
        case .absent:
            return .absent
        }
    }

    var isComplete: Bool { if case .complete = self.mode { true } else { false } }

    /// Goes on over bytes that nobody has to look at, such as those of a file.
    /// - Returns: `true` when all of them are content.
    mutating func skip(count: Int) -> Bool {
        switch self.mode {
        case .length(let left) where count <= left: self.mode = count == left ? .complete : .length(left - count)
        case .chunkData(let left) where count <= left:
            self.mode = count == left ? .chunkReturn : .chunkData(left - count)
        default: return count == 0
        }
        return true
    }

    /// How many of the first bytes of a buffer belong to the content, its framing included; `nil` where that is not
    /// certain any more.
    mutating func take(_ buffer: ByteBuffer) -> Int? {
        buffer.withUnsafeReadableBytes { bytes in
            var index = 0
            while index < bytes.count {
                switch self.mode {
                case .complete: return index
                case .broken: return nil
                case .length, .chunkData: index += self.skipData(bytes.count - index)
                default:
                    self.framing += 1
                    self.mode = self.framing > Self.framingBytes ? .broken : Self.next(self.mode, bytes[index])
                    index += 1
                }
            }
            if case .broken = self.mode { return nil }
            return index
        }
    }

    private mutating func skipData(_ available: Int) -> Int {
        switch self.mode {
        case .length(let left):
            let count = min(left, available)
            self.mode = count == left ? .complete : .length(left - count)
            return count
        case .chunkData(let left):
            let count = min(left, available)
            self.mode = count == left ? .chunkReturn : .chunkData(left - count)
            return count
        default:
            return 0
        }
    }

    private static func next(_ mode: Mode, _ byte: UInt8) -> Mode {
        switch mode {
        case .chunkSize(let size, let digits):
            if let digit = Bytes.hexValue(byte) {
                guard digits < 15 else { return .broken }
                return .chunkSize(size << 4 | Int(digit), digits: digits + 1)
            }
            guard digits > 0 else { return .broken }
            if byte == Bytes.carriageReturn { return .chunkSizeFeed(size) }
            return byte == Bytes.semicolon || Bytes.isWhitespace(byte) ? .chunkExtension(size) : .broken
        case .chunkExtension(let size):
            if byte == Bytes.carriageReturn { return .chunkSizeFeed(size) }
            return byte == Bytes.lineFeed ? .broken : mode
        case .chunkSizeFeed(let size):
            guard byte == Bytes.lineFeed else { return .broken }
            return size == 0 ? .trailerStart : .chunkData(size)
        case .chunkReturn: return byte == Bytes.carriageReturn ? .chunkFeed : .broken
        case .chunkFeed: return byte == Bytes.lineFeed ? .chunkSize(0, digits: 0) : .broken
        case .trailerStart:
            return byte == Bytes.carriageReturn ? .lastFeed : byte == Bytes.lineFeed ? .broken : .trailer
        case .trailer: return byte == Bytes.carriageReturn ? .trailerFeed : byte == Bytes.lineFeed ? .broken : .trailer
        case .trailerFeed: return byte == Bytes.lineFeed ? .trailerStart : .broken
        case .lastFeed: return byte == Bytes.lineFeed ? .complete : .broken
        case .length, .chunkData, .complete, .broken: return mode
        }
    }
}
