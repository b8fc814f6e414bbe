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
    private(set) var known: KnownFields = []

    init(kind: Kind, limits: HeadLimits) {
        self.kind = kind
        self.limits = limits
    }

    mutating func takeEntries() -> [HeadFields.Entry] {
        var taken: [HeadFields.Entry] = []
        swap(&taken, &self.entries)
        return taken
    }

    /// Goes on where the last call stopped. `bytes` begins with the head's first byte, and may go on behind the head.
    mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Progress {
        let end = min(bytes.count, self.limits.headBytes)
        guard let base = bytes.baseAddress else { return .needsMore }
        while self.position < end {
            switch self.state {
            case .startLine, .value:
                let limit = self.lineStart + self.limits.lineBytes
                self.position = Self.endOfText(base, from: self.position, to: min(end, limit))
                guard self.position < end else { break }
                let byte = bytes[self.position]
                if byte != Bytes.carriageReturn {
                    if self.position == limit { return .failed(.lineTooLong(isStartLine: self.state == .startLine)) }
                    return .failed(self.malformed("\(Bytes.shown(byte)) is not allowed"))
                }
                if self.position == self.lineStart { return .failed(self.malformed("the first line is empty")) }
                self.state = self.state == .startLine ? .startLineFeed : .valueFeed
                self.position += 1

            case .name:
                let limit = self.lineStart + self.limits.lineBytes
                self.position = Token.end(in: bytes, from: self.position, to: min(end, limit))
                guard self.position < end else { break }
                if self.position == limit { return .failed(.lineTooLong(isStartLine: false)) }
                let byte = bytes[self.position]
                guard byte == Bytes.colon, self.position > self.lineStart else {
                    return .failed(self.malformed("\(Bytes.shown(byte)) is not allowed in a field name"))
                }
                self.nameEnd = self.position
                self.state = .value
                self.position += 1

            case .startLineFeed:
                guard bytes[self.position] == Bytes.lineFeed else { return .failed(self.bareReturn()) }
                let line = UnsafeRawBufferPointer(rebasing: bytes[self.lineStart..<(self.position - 1)])
                if let error = self.kind == .request ? self.start.parseRequest(line) : self.start.parseStatus(line) {
                    return .failed(error)
                }
                self.nextLine()

            case .fieldStart:
                switch bytes[self.position] {
                case Bytes.carriageReturn:
                    self.state = .finalFeed
                    self.position += 1
                case Bytes.space, Bytes.tab:
                    // RFC 9112 section 5.2: a request's is refused, a response's is read (D30).
                    guard self.kind == .response, !self.entries.isEmpty else {
                        return .failed(self.malformed("a line that continues a field is not allowed"))
                    }
                    self.isContinuation = true
                    self.hasFolds = true
                    self.state = .value
                default:
                    self.isContinuation = false
                    let start = self.position
                    if let error = self.takeWholeLines(bytes, base, end: end) { return .failed(error) }
                    // Behind those that it took, the next line begins as this one did.
                    if self.position > start { break }
                    if self.entries.count >= self.limits.fieldCount { return .failed(.tooManyFields) }
                    self.state = .name
                }

            case .valueFeed:
                guard bytes[self.position] == Bytes.lineFeed else { return .failed(self.bareReturn()) }
                if !self.isContinuation, let error = self.addField(base, valueEnd: self.position - 1) {
                    return .failed(error)
                }
                self.nextLine()

            case .finalFeed:
                guard bytes[self.position] == Bytes.lineFeed else { return .failed(self.bareReturn()) }
                self.position += 1
                return .complete(self.position)
            }
        }
        // The head is not complete, so it cannot end within its limit any more.
        return self.position >= self.limits.headBytes ? .failed(.headTooLarge) : .needsMore
    }

    /// Takes field lines that are there as a whole, as most are, up to the first other one.
    private mutating func takeWholeLines(
        _ bytes: UnsafeRawBufferPointer,
        _ base: UnsafeRawPointer,
        end: Int
    ) -> HeadError? {
        while self.entries.count < self.limits.fieldCount {
            let start = self.position
            let limit = min(end, start + self.limits.lineBytes)
            let nameEnd = Token.end(in: bytes, from: start, to: limit)
            guard nameEnd < limit, nameEnd > start, base.load(fromByteOffset: nameEnd, as: UInt8.self) == Bytes.colon
            else { return nil }
            let valueEnd = Self.endOfText(base, from: nameEnd + 1, to: limit)
            guard valueEnd < limit, valueEnd + 1 < end,
                base.load(fromByteOffset: valueEnd, as: UInt8.self) == Bytes.carriageReturn,
                base.load(fromByteOffset: valueEnd + 1, as: UInt8.self) == Bytes.lineFeed
            else { return nil }
            self.nameEnd = nameEnd
            if let error = self.addField(base, valueEnd: valueEnd) { return error }
            self.lineNumber += 1
            self.lineStart = valueEnd + 2
            self.position = self.lineStart
        }
        return nil
    }

    /// A head with each fold replaced by one blank, together with the white space around it (RFC 9112 section 5.2).
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
        self.position += 1
        self.lineStart = self.position
        self.lineNumber += 1
        self.state = .fieldStart
    }

    /// - Parameter base: the head's first byte; the line from `lineStart` to `valueEnd` has been read.
    @inline(__always)
    private mutating func addField(_ base: UnsafeRawPointer, valueEnd: Int) -> HeadError? {
        var start = self.nameEnd + 1
        var end = valueEnd
        while start < end, Bytes.isWhitespace(base.load(fromByteOffset: start, as: UInt8.self)) { start += 1 }
        while end > start, Bytes.isWhitespace(base.load(fromByteOffset: end - 1, as: UInt8.self)) { end -= 1 }
        let field = KnownField(base + self.lineStart, count: self.nameEnd - self.lineStart)
        if field != .other {
            if self.known.contains(KnownFields(field)), field.isSingle(inRequest: self.kind == .request) {
                let name = UnsafeRawBufferPointer(start: base + self.lineStart, count: self.nameEnd - self.lineStart)
                return self.malformed("\(String(decoding: name, as: UTF8.self)) is there twice")
            }
            self.known.add(field)
        }
        if self.entries.isEmpty { self.entries.reserveCapacity(16) }
        self.entries.append(
            .init(field, nameStart: self.lineStart, nameEnd: self.nameEnd, valueStart: start, valueEnd: end)
        )
        return nil
    }

    private func malformed(_ what: String) -> HeadError {
        .malformed("\(what) (line \(self.lineNumber))")
    }

    private func bareReturn() -> HeadError {
        self.malformed("a carriage return without a line feed is not allowed")
    }

    /// The first offset with a byte other than HTAB, SP, VCHAR and obs-text. Checks eight bytes at a time.
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
