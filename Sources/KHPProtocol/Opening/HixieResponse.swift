// The 101 of the dialects before RFC 6455, read byte by byte as their texts have it (H69-2, H69-3, W10-3). Any other
// response is ordinary HTTP and read as such.

import NIOCore

/// What the first bytes of a server are to a client of an old dialect.
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

    /// Reads what there is. It looks the same however the bytes were cut, and fails as soon as nothing could mend it.
    static func read(
        _ bytes: UnsafeRawBufferPointer,
        isInvariant: Bool,
        limits: HeadLimits
    ) throws(Invalid) -> HixieResponse {
        guard let end = bytes.firstIndex(of: Bytes.lineFeed) else {
            guard bytes.count <= limits.lineBytes else { throw Invalid("its first line is too long") }
            return .incomplete
        }
        let line = UnsafeRawBufferPointer(rebasing: bytes[...end])
        let spaces = line.indices.filter { line[$0] == Bytes.space }
        guard line.count >= 7, line.firstIndex(of: Bytes.carriageReturn) == end - 1, spaces.count >= 2 else {
            throw Invalid("its first line is no status line")
        }
        let code = line[(spaces[0] + 1)..<spaces[1]]
        guard code.elementsEqual("101".utf8) else { return .ordinary }
        let reason = String(decoding: line[(spaces[1] + 1)..<(end - 1)], as: UTF8.self)
        var head = ResponseHead(status: 101, reason: reason)
        guard isInvariant else { return try fields(bytes, from: end + 1, into: &head, limits) }
        guard line.count == statusLine.utf8CodeUnitCount, starts(line, with: statusLine) else {
            throw Invalid("its first line is not the one that \(Dialect.hixie75) requires")
        }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[(end + 1)...])
        guard starts(rest, with: invariant) else {
            throw Invalid("its Upgrade and Connection are not the ones that \(Dialect.hixie75) requires")
        }
        guard rest.count >= invariant.utf8CodeUnitCount else { return .incomplete }
        head.fields.append("Upgrade", "WebSocket")
        head.fields.append("Connection", "Upgrade")
        return try fields(bytes, from: end + 1 + invariant.utf8CodeUnitCount, into: &head, limits)
    }

    /// Whether `bytes` begin with `text`, as far as there are any.
    private static func starts(_ bytes: UnsafeRawBufferPointer, with text: StaticString) -> Bool {
        let text = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return bytes.prefix(text.count).elementsEqual(text.prefix(bytes.count))
    }

    /// The fields up to the empty line: a name up to the colon, one space that may be missing, a value up to CR LF; a
    /// stray CR or LF fails (H69-3). Names compare in lower case, as all names here do.
    private static func fields(
        _ bytes: UnsafeRawBufferPointer,
        from start: Int,
        into head: inout ResponseHead,
        _ limits: HeadLimits
    ) throws(Invalid) -> HixieResponse {
        var position = start
        while true {
            guard position < bytes.count else { return try incomplete(bytes, limits) }
            if bytes[position] == Bytes.carriageReturn {
                guard position + 1 < bytes.count else { return try incomplete(bytes, limits) }
                guard bytes[position + 1] == Bytes.lineFeed else { throw Invalid("it has a stray CR") }
                guard position + 2 <= limits.headBytes else { throw Invalid("its header is too large") }
                return .switching(head, length: position + 2)
            }
            guard head.fields.count < limits.fieldCount + 2 else { throw Invalid("it has too many fields") }
            guard let colon = try next(bytes, from: position, Bytes.colon) else { return try incomplete(bytes, limits) }
            guard colon > position else { throw Invalid("it has a field without a name") }
            var valueStart = colon + 1
            if valueStart < bytes.count, bytes[valueStart] == Bytes.space { valueStart += 1 }
            guard let valueEnd = try next(bytes, from: valueStart, Bytes.carriageReturn), valueEnd + 1 < bytes.count
            else { return try incomplete(bytes, limits) }
            guard bytes[valueEnd + 1] == Bytes.lineFeed else { throw Invalid("it has a stray CR") }
            head.fields.append(
                String(decoding: bytes[position..<colon], as: UTF8.self),
                String(decoding: bytes[valueStart..<valueEnd], as: UTF8.self)
            )
            position = valueEnd + 2
        }
    }

    /// Where `end` stands, if it is there yet; a CR or LF before it fails.
    private static func next(
        _ bytes: UnsafeRawBufferPointer,
        from start: Int,
        _ end: UInt8
    ) throws(Invalid) -> Int? {
        var position = start
        while position < bytes.count {
            let byte = bytes[position]
            if byte == end { return position }
            guard byte != Bytes.carriageReturn, byte != Bytes.lineFeed else {
                throw Invalid("it has a stray CR or LF")
            }
            position += 1
        }
        return nil
    }

    private static func incomplete(
        _ bytes: UnsafeRawBufferPointer,
        _ limits: HeadLimits
    ) throws(Invalid) -> HixieResponse {
        guard bytes.count <= limits.headBytes else { throw Invalid("its header is too large") }
        return .incomplete
    }
}

extension Limits {
    /// The bounds of the 101 of an old dialect, which holds a handful of fields.
    var hixieHead: HeadLimits {
        HeadLimits(
            lineBytes: lineBytes,
            headBytes: min(headBytes, Fixed.hixieHeadBytes),
            fieldCount: fieldCount
        )
    }
}
