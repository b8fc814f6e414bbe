// The 101 of the dialects before RFC 6455, read byte by byte as their texts have it (H69-2, H69-3, W10-3). Any other
// response is ordinary HTTP and read as such.

import NIOCore

/// The first bytes of a server, as a client of an old dialect reads them.
enum HixieResponse {
    /// More bytes are needed.
    case incomplete
    /// A response other than 101.
    case ordinary
    /// The head of a 101 in this many bytes.
    case switching(ResponseHead, length: Int)

    /// Why the connection fails.
    struct Invalid: Error {
        var what: String
        init(_ what: String) { self.what = what }
    }

    /// H69-2: 44 bytes.
    private static let statusLine: StaticString = "HTTP/1.1 101 Web Socket Protocol Handshake\r\n"
    /// H69-2: the next 41 bytes.
    private static let invariant: StaticString = "Upgrade: WebSocket\r\nConnection: Upgrade\r\n"

    /// Reads a 101 as it comes in. The bytes stay where they are until it is complete, and none of them is looked at
    /// twice.
    struct Reader {
        private enum Stage {
            case statusLine
            case invariant
            case fields
        }

        private let isInvariant: Bool
        private let limits: HeadLimits
        private var stage = Stage.statusLine
        private var head = ResponseHead(status: 101, reason: "")
        /// Where the line begins that is not complete yet.
        private var line = 0
        /// Where the name of its field ends.
        private var colon: Int?
        /// How far it was looked through.
        private var position = 0

        init(isInvariant: Bool, limits: HeadLimits) {
            self.isInvariant = isInvariant
            self.limits = limits
        }

        /// Goes on with all bytes so far, from the first one on. It makes no difference how they were cut, and it fails
        /// at the first byte after which no continuation could be valid.
        mutating func read(_ bytes: UnsafeRawBufferPointer) throws(Invalid) -> HixieResponse {
            switch self.stage {
            case .statusLine:
                guard let end = bytes[self.position...].firstIndex(of: Bytes.lineFeed) else {
                    self.position = bytes.count
                    guard bytes.count <= self.limits.lineBytes else { throw Invalid("its first line is too long") }
                    return .incomplete
                }
                guard try self.isSwitching(UnsafeRawBufferPointer(rebasing: bytes[...end])) else { return .ordinary }
                self.begin(end + 1)
                self.stage = self.isInvariant ? .invariant : .fields
                return try self.read(bytes)
            case .invariant:
                let rest = UnsafeRawBufferPointer(rebasing: bytes[self.line...])
                guard HixieResponse.starts(rest, with: HixieResponse.invariant) else {
                    throw Invalid("its Upgrade and Connection are not the ones that \(Dialect.hixie75) requires")
                }
                guard rest.count >= HixieResponse.invariant.utf8CodeUnitCount else { return .incomplete }
                self.head.fields.append("Upgrade", "WebSocket")
                self.head.fields.append("Connection", "Upgrade")
                self.begin(self.line + HixieResponse.invariant.utf8CodeUnitCount)
                self.stage = .fields
                return try self.read(bytes)
            case .fields:
                return try self.fields(bytes)
            }
        }

        private mutating func begin(_ start: Int) {
            self.line = start
            self.position = start
            self.colon = nil
        }

        /// Returns `true` for the status line of a 101. Any other response is ordinary HTTP.
        private mutating func isSwitching(_ line: UnsafeRawBufferPointer) throws(Invalid) -> Bool {
            let end = line.count - 1
            guard line.count >= 7, line.firstIndex(of: Bytes.carriageReturn) == end - 1,
                let space = line.firstIndex(of: Bytes.space),
                let second = line[(space + 1)...].firstIndex(of: Bytes.space)
            else { throw Invalid("its first line is no status line") }
            guard line[(space + 1)..<second].elementsEqual("101".utf8) else { return false }
            guard second < end - 1 else { throw Invalid("its first line is no status line") }
            self.head.reason = FieldText.readable(UnsafeRawBufferPointer(rebasing: line[(second + 1)..<(end - 1)]))
            let required = HixieResponse.statusLine
            let isRequired = line.count == required.utf8CodeUnitCount && HixieResponse.starts(line, with: required)
            guard !self.isInvariant || isRequired else {
                throw Invalid("its first line is not the one that \(Dialect.hixie75) requires")
            }
            return true
        }

        /// The fields up to the empty line: a name up to the colon, one space that may be missing, a value up to CR LF;
        /// a stray CR or LF fails (H69-3). Names compare in lower case, as all names here do.
        private mutating func fields(_ bytes: UnsafeRawBufferPointer) throws(Invalid) -> HixieResponse {
            while true {
                if self.position == self.line {
                    guard self.line < bytes.count else { return try self.incomplete(bytes) }
                    if bytes[self.line] == Bytes.carriageReturn {
                        guard self.line + 1 < bytes.count else { return try self.incomplete(bytes) }
                        guard bytes[self.line + 1] == Bytes.lineFeed else { throw Invalid("it has a stray CR") }
                        guard self.line + 2 <= self.limits.headBytes else { throw Invalid("its header is too large") }
                        return .switching(self.head, length: self.line + 2)
                    }
                    guard self.head.fields.count < self.limits.fieldCount + 2 else {
                        throw Invalid("it has too many fields")
                    }
                }
                if self.colon == nil {
                    guard try self.find(Bytes.colon, in: bytes) else { return try self.incomplete(bytes) }
                    guard self.position > self.line else { throw Invalid("it has a field without a name") }
                    self.colon = self.position
                    self.position += 1
                }
                guard let colon, try self.find(Bytes.carriageReturn, in: bytes), self.position + 1 < bytes.count else {
                    return try self.incomplete(bytes)
                }
                guard bytes[self.position + 1] == Bytes.lineFeed else { throw Invalid("it has a stray CR") }
                let start = bytes[colon + 1] == Bytes.space ? colon + 2 : colon + 1
                self.head.fields.append(
                    String(decoding: bytes[self.line..<colon], as: UTF8.self),
                    FieldText.string(UnsafeRawBufferPointer(rebasing: bytes[start..<self.position]))
                )
                self.begin(self.position + 2)
            }
        }

        /// Goes on to this byte, if it is there yet; a CR or LF before it fails.
        private mutating func find(_ end: UInt8, in bytes: UnsafeRawBufferPointer) throws(Invalid) -> Bool {
            while self.position < bytes.count {
                let byte = bytes[self.position]
                if byte == end { return true }
                guard byte != Bytes.carriageReturn, byte != Bytes.lineFeed else {
                    throw Invalid("it has a stray CR or LF")
                }
                self.position += 1
            }
            return false
        }

        private func incomplete(_ bytes: UnsafeRawBufferPointer) throws(Invalid) -> HixieResponse {
            guard bytes.count <= self.limits.headBytes else { throw Invalid("its header is too large") }
            return .incomplete
        }
    }

    /// True where `bytes` begin with `text`, as far as there are any.
    private static func starts(_ bytes: UnsafeRawBufferPointer, with text: StaticString) -> Bool {
        let text = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return bytes.prefix(text.count).elementsEqual(text.prefix(bytes.count))
    }
}
