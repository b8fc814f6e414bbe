import NIOCore

/// Finds the lines of a message head, strictly as RFC 9112 has them, in one pass and without allocating per field.
///
/// Every step depends on the bytes seen so far only, never on how they were cut into reads: the outcome is the same for
/// every split. Offsets count from the first byte of the head. Both decoders share it; the start line is theirs.
struct HeadScanner {
    enum Kind { case request, response }

    enum Progress {
        case needsMore
        /// The head ends before this offset.
        case complete(Int)
        case failed(HeadError)
    }

    private enum State {
        case startLine, startLineFeed, fieldStart, name, value, valueFeed, finalFeed
    }

    let kind: Kind
    let limits: HeadLimits
    private(set) var start = StartLine()
    private(set) var entries: [HeadFields.Entry] = []
    private var state = State.startLine
    private var position = 0
    private var lineStart = 0
    private var lineNumber = 1
    private var nameEnd = 0
    /// Set while the line goes on with the field of the line before.
    private var isContinuation = false
    /// Set once some line did: then the head has to be read again without its folds.
    private(set) var hasFolds = false
    private var singletons = Singletons()

    init(kind: Kind, limits: HeadLimits) {
        self.kind = kind
        self.limits = limits
    }

    mutating func takeEntries() -> [HeadFields.Entry] {
        var taken: [HeadFields.Entry] = []
        swap(&taken, &entries)
        return taken
    }

    /// Goes on where the last call stopped. `bytes` holds the head from its first byte on, and perhaps what follows.
    mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Progress {
        let end = min(bytes.count, limits.headBytes)
        guard let base = bytes.baseAddress else { return .needsMore }
        while position < end {
            switch state {
            case .startLine, .value:
                let limit = lineStart + limits.lineBytes
                position = Self.endOfText(base, from: position, to: min(end, limit))
                guard position < end else { break }
                let byte = bytes[position]
                if byte != Bytes.carriageReturn {
                    if position == limit { return .failed(.lineTooLong(isStartLine: state == .startLine)) }
                    return .failed(malformed("\(Bytes.shown(byte)) is not allowed"))
                }
                if position == lineStart { return .failed(malformed("the first line is empty")) }
                state = state == .startLine ? .startLineFeed : .valueFeed
                position += 1

            case .name:
                let limit = lineStart + limits.lineBytes
                position = Token.end(in: bytes, from: position, to: min(end, limit))
                guard position < end else { break }
                if position == limit { return .failed(.lineTooLong(isStartLine: false)) }
                let byte = bytes[position]
                guard byte == Bytes.colon, position > lineStart else {
                    return .failed(malformed("\(Bytes.shown(byte)) is not allowed in a field name"))
                }
                nameEnd = position
                state = .value
                position += 1

            case .startLineFeed:
                guard bytes[position] == Bytes.lineFeed else { return .failed(bareReturn()) }
                let line = UnsafeRawBufferPointer(rebasing: bytes[lineStart..<(position - 1)])
                if let error = kind == .request ? start.parseRequest(line) : start.parseStatus(line) {
                    return .failed(error)
                }
                nextLine()

            case .fieldStart:
                switch bytes[position] {
                case Bytes.carriageReturn:
                    state = .finalFeed
                    position += 1
                case Bytes.space, Bytes.tab:
                    // RFC 9112 section 5.2: a request's is refused, a response's is read (D30).
                    guard kind == .response, !entries.isEmpty else {
                        return .failed(malformed("a line that continues a field is not allowed"))
                    }
                    isContinuation = true
                    hasFolds = true
                    state = .value
                default:
                    isContinuation = false
                    if entries.count >= limits.fieldCount { return .failed(.tooManyFields) }
                    state = .name
                }

            case .valueFeed:
                guard bytes[position] == Bytes.lineFeed else { return .failed(bareReturn()) }
                if !isContinuation, let error = addField(bytes, valueEnd: position - 1) { return .failed(error) }
                nextLine()

            case .finalFeed:
                guard bytes[position] == Bytes.lineFeed else { return .failed(bareReturn()) }
                position += 1
                return .complete(position)
            }
        }
        // The head is not complete, so it cannot end within its limit any more.
        return position >= limits.headBytes ? .failed(.headTooLarge) : .needsMore
    }

    /// A head with each fold in it as one blank: what stands around the line's end goes with it (RFC 9112 section 5.2).
    static func unfolded(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            guard bytes[index] == Bytes.carriageReturn, index + 2 < bytes.count, Bytes.isWhitespace(bytes[index + 2])
            else {
                output.append(bytes[index])
                index += 1
                continue
            }
            while let last = output.last, Bytes.isWhitespace(last) { output.removeLast() }
            output.append(Bytes.space)
            index += 2
            while index < bytes.count, Bytes.isWhitespace(bytes[index]) { index += 1 }
        }
        return output
    }

    private mutating func nextLine() {
        position += 1
        lineStart = position
        lineNumber += 1
        state = .fieldStart
    }

    private mutating func addField(_ bytes: UnsafeRawBufferPointer, valueEnd: Int) -> HeadError? {
        var start = nameEnd + 1
        var end = valueEnd
        while start < end, Bytes.isWhitespace(bytes[start]) { start += 1 }
        while end > start, Bytes.isWhitespace(bytes[end - 1]) { end -= 1 }
        let name = UnsafeRawBufferPointer(rebasing: bytes[lineStart..<nameEnd])
        if !singletons.admit(name, isRequest: kind == .request) {
            return malformed("\(String(decoding: name, as: UTF8.self)) is there twice")
        }
        if entries.isEmpty { entries.reserveCapacity(16) }
        entries.append(.init(nameStart: lineStart, nameEnd: nameEnd, valueStart: start, valueEnd: end))
        return nil
    }

    private func malformed(_ what: String) -> HeadError {
        .malformed("\(what) (line \(lineNumber))")
    }

    private func bareReturn() -> HeadError {
        malformed("a carriage return without a line feed is not allowed")
    }

    /// The first offset whose byte is no HTAB, SP, VCHAR or obs-text; eight bytes at a time.
    @inline(__always)
    static func endOfText(_ base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var index = start
        while end - index >= 8 {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let delete = word ^ (ones &* 0x7F)
            // The top bit of each byte below 0x20, and of each that is 0x7F; exact up to the first such byte.
            let hits = (((word &- ones &* 0x20) & ~word) | ((delete &- ones) & ~delete)) & tops
            if hits == 0 {
                index += 8
                continue
            }
            index += hits.trailingZeroBitCount >> 3
            if base.load(fromByteOffset: index, as: UInt8.self) != Bytes.tab { return index }
            index += 1
        }
        while index < end {
            let byte = base.load(fromByteOffset: index, as: UInt8.self)
            if (byte < 0x20 && byte != Bytes.tab) || byte == 0x7F { return index }
            index += 1
        }
        return index
    }
}

/// The fields that may be there only once; a second one has been a way to smuggle (threats A3, A9, A12).
private struct Singletons {
    private var seen: UInt16 = 0

    /// False when `name` was seen before and must be single.
    @inline(__always)
    mutating func admit(_ name: UnsafeRawBufferPointer, isRequest: Bool) -> Bool {
        let candidate: (bit: UInt16, name: StaticString)
        switch name.count {
        case 4: candidate = (1, "Host")
        case 6: candidate = (2, "Origin")
        // Several in a response are one where they mean the same (D32).
        case 8 where isRequest: candidate = (4, "Location")
        case 12: candidate = (8, "Content-Type")
        case 13: candidate = (16, "Authorization")
        case 14: candidate = (32, "Content-Length")
        case 17: candidate = (64, "Sec-WebSocket-Key")
        case 20: candidate = (128, "Sec-WebSocket-Accept")
        case 21 where isRequest: candidate = (256, "Sec-WebSocket-Version")
        default: return true
        }
        let expected = UnsafeRawBufferPointer(start: candidate.name.utf8Start, count: candidate.name.utf8CodeUnitCount)
        guard Bytes.equalIgnoringCase(name, expected) else { return true }
        guard seen & candidate.bit == 0 else { return false }
        seen |= candidate.bit
        return true
    }
}
