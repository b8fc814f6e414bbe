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
        // Out of here while lines are taken: each of them would be written to memory, and the array asked who holds it.
        var entries = self.takeEntries()
        if entries.isEmpty { entries.reserveCapacity(16) }
        var known = self.known
        var start = self.position
        var repeated: Range<Int>?
        let first = entries.count
        let (fieldCount, lineBytes) = (self.limits.fieldCount, self.limits.lineBytes)
        while entries.count < fieldCount {
            let limit = min(end, start &+ lineBytes)
            let nameEnd = Self.endOfName(base, from: start, to: limit)
            guard nameEnd < limit, nameEnd > start else { break }
            let field = KnownField(base + start, count: nameEnd &- start)
            // The others are told apart by more than their letters.
            if field == .other || field == .numberedKey, Token.end(in: bytes, from: start, to: nameEnd) < nameEnd {
                break
            }
            let lineEnd = Self.endOfText(base, from: nameEnd &+ 1, to: limit)
            guard lineEnd < limit, lineEnd &+ 1 < end,
                base.load(fromByteOffset: lineEnd, as: UInt8.self) == Bytes.carriageReturn,
                base.load(fromByteOffset: lineEnd &+ 1, as: UInt8.self) == Bytes.lineFeed
            else { break }
            if !self.admit(field, to: &known) {
                repeated = start..<nameEnd
                break
            }
            let value = Self.trimmed(base, from: nameEnd &+ 1, to: lineEnd)
            entries.append(
                .init(
                    field,
                    nameStart: start,
                    nameEnd: nameEnd,
                    valueStart: value.lowerBound,
                    valueEnd: value.upperBound
                )
            )
            start = lineEnd &+ 2
        }
        self.lineNumber += entries.count - first
        self.known = known
        self.entries = entries
        self.position = start
        self.lineStart = start
        return repeated.map { self.isThereTwice(UnsafeRawBufferPointer(rebasing: bytes[$0])) }
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
    private mutating func addField(_ base: UnsafeRawPointer, valueEnd: Int) -> HeadError? {
        let field = KnownField(base + self.lineStart, count: self.nameEnd - self.lineStart)
        if !self.admit(field, to: &self.known) {
            return self.isThereTwice(
                UnsafeRawBufferPointer(start: base + self.lineStart, count: self.nameEnd - self.lineStart)
            )
        }
        let value = Self.trimmed(base, from: self.nameEnd + 1, to: valueEnd)
        self.entries.append(
            .init(
                field,
                nameStart: self.lineStart,
                nameEnd: self.nameEnd,
                valueStart: value.lowerBound,
                valueEnd: value.upperBound
            )
        )
        return nil
    }

    /// Adds a field to those that the head has.
    /// - Returns: false for one that is there and may be there only once.
    @inline(__always)
    private func admit(_ field: KnownField, to known: inout KnownFields) -> Bool {
        if field == .other { return true }
        if known.contains(KnownFields(field)), field.isSingle(inRequest: self.kind == .request) { return false }
        known.add(field)
        return true
    }

    /// A value without the white space around it.
    @inline(__always)
    private static func trimmed(_ base: UnsafeRawPointer, from: Int, to: Int) -> Range<Int> {
        var start = from
        var end = to
        while start < end, Bytes.isWhitespace(base.load(fromByteOffset: start, as: UInt8.self)) { start &+= 1 }
        while end > start, Bytes.isWhitespace(base.load(fromByteOffset: end &- 1, as: UInt8.self)) { end &-= 1 }
        return start..<end
    }

    private func isThereTwice(_ name: UnsafeRawBufferPointer) -> HeadError {
        self.malformed("\(String(decoding: name, as: UTF8.self)) is there twice")
    }

    private func malformed(_ what: String) -> HeadError {
        .malformed("\(what) (line \(self.lineNumber))")
    }

    private func bareReturn() -> HeadError {
        self.malformed("a carriage return without a line feed is not allowed")
    }

    /// The offset of the first colon, or `end`. Checks eight bytes at a time.
    @inline(__always)
    private static func endOfName(_ base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var index = start
        while end &- index >= 8 {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let other = word ^ ones &* UInt64(Bytes.colon)
            // The top bit of each byte that is a colon; exact up to the first.
            let hits = (other &- ones) & ~other & tops
            if hits != 0 { return index &+ (hits.trailingZeroBitCount >> 3) }
            index &+= 8
        }
        while index < end, base.load(fromByteOffset: index, as: UInt8.self) != Bytes.colon { index &+= 1 }
        return index
    }

    /// The first offset with a byte other than HTAB, SP, VCHAR and obs-text. Checks eight bytes at a time.
    @inline(__always)
    static func endOfText(_ base: UnsafeRawPointer, from start: Int, to end: Int) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var index = start
        while end &- index >= 8 {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let delete = word ^ (ones &* 0x7F)
            // The top bit of each byte below 0x20, and of each that is 0x7F; exact up to the first such byte.
            let hits = (((word &- ones &* 0x20) & ~word) | ((delete &- ones) & ~delete)) & tops
            if hits == 0 {
                index &+= 8
                continue
            }
            index &+= hits.trailingZeroBitCount >> 3
            if base.load(fromByteOffset: index, as: UInt8.self) != Bytes.tab { return index }
            index &+= 1
        }
        while index < end {
            let byte = base.load(fromByteOffset: index, as: UInt8.self)
            if (byte < 0x20 && byte != Bytes.tab) || byte == 0x7F { return index }
            index &+= 1
        }
        return index
    }
}
