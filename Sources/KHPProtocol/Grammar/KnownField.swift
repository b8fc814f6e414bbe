// The fields that the handshakes look up. Each name is told apart once, when its line is read: a comparison of names at
// each look-up costs more than reading the head, and most heads lack most of the fields.

/// A field of the handshakes. ``other`` stands for all that are looked up by their names, or not at all.
package enum KnownField: UInt8, Sendable {
    case other
    case host, expect, origin, cookie, upgrade, location, connection, contentType, authorization, contentLength
    case transferEncoding, key, accept, version, subprotocol, extensions
    /// Sec-WebSocket-Key1 or Sec-WebSocket-Key2, of dialects before RFC 6455.
    case numberedKey

    /// The field of that name, which is a token.
    @inline(__always)
    init(_ name: UnsafeRawBufferPointer) {
        guard let (field, spelling) = Self.candidate(name) else {
            self = .other
            return
        }
        let expected = UnsafeRawBufferPointer(start: spelling.utf8Start, count: spelling.utf8CodeUnitCount)
        let compared = field == .numberedKey ? UnsafeRawBufferPointer(rebasing: name.dropLast()) : name
        self = Self.isSame(compared, expected) ? field : .other
    }

    /// The only field that the name can be, by its length and, where several are as long, by its first letter.
    @inline(__always)
    private static func candidate(_ name: UnsafeRawBufferPointer) -> (KnownField, StaticString)? {
        switch name.count {
        case 4: (.host, "host")
        case 6:
            switch name[0] | 0x20 {
            case 0x65: (.expect, "expect")
            case 0x6F: (.origin, "origin")
            default: (.cookie, "cookie")
            }
        case 7: (.upgrade, "upgrade")
        case 8: (.location, "location")
        case 10: (.connection, "connection")
        case 12: (.contentType, "content-type")
        case 13: (.authorization, "authorization")
        case 14: (.contentLength, "content-length")
        case 17: name[0] | 0x20 == 0x74 ? (.transferEncoding, "transfer-encoding") : (.key, "sec-websocket-key")
        // Whatever the number: this is its name without it.
        case 18: (.numberedKey, "sec-websocket-key")
        case 20: (.accept, "sec-websocket-accept")
        case 21: (.version, "sec-websocket-version")
        case 22: (.subprotocol, "sec-websocket-protocol")
        case 24: (.extensions, "sec-websocket-extensions")
        default: nil
        }
    }

    /// Equality without regard to case, of a token and letters in lower case with hyphens. No other byte of a token
    /// becomes one of them by the bit that tells the cases apart.
    @inline(__always)
    private static func isSame(_ token: UnsafeRawBufferPointer, _ expected: UnsafeRawBufferPointer) -> Bool {
        guard token.count == expected.count, let left = token.baseAddress, let right = expected.baseAddress else {
            return false
        }
        let count = token.count
        guard count >= 8 else {
            // Four bytes and, overlapping them, the last four.
            guard count >= 4 else { return false }
            return isSame(left, right, at: 0, as: UInt32.self) && isSame(left, right, at: count - 4, as: UInt32.self)
        }
        var index = 0
        while index < count - 8 {
            guard isSame(left, right, at: index, as: UInt64.self) else { return false }
            index += 8
        }
        return isSame(left, right, at: count - 8, as: UInt64.self)
    }

    @inline(__always)
    private static func isSame<Word: FixedWidthInteger>(
        _ token: UnsafeRawPointer,
        _ expected: UnsafeRawPointer,
        at offset: Int,
        as type: Word.Type
    ) -> Bool {
        let blanks = Word.max / 0xFF * 0x20
        let word = token.loadUnaligned(fromByteOffset: offset, as: type) | blanks
        return word == expected.loadUnaligned(fromByteOffset: offset, as: type)
    }

    /// `true` for a field that may be there only once; a second one has been a way to smuggle (threats A3, A9, A12).
    @inline(__always)
    func isSingle(inRequest isRequest: Bool) -> Bool {
        switch self {
        case .host, .origin, .contentType, .authorization, .contentLength, .key, .accept: true
        // Several of these in a response are one where they mean the same (D32).
        case .location, .version: isRequest
        default: false
        }
    }
}

/// A set of them: the fields that a head has.
package struct KnownFields: OptionSet, Sendable {
    package let rawValue: UInt32

    static let host = KnownFields(.host)
    static let expect = KnownFields(.expect)
    static let contentLength = KnownFields(.contentLength)
    static let transferEncoding = KnownFields(.transferEncoding)
    static let subprotocol = KnownFields(.subprotocol)
    static let extensions = KnownFields(.extensions)
    static let accept = KnownFields(.accept)
    static let authorization = KnownFields(.authorization)
    static let upgrade = KnownFields(.upgrade)
    static let connection = KnownFields(.connection)
    static let numberedKey = KnownFields(.numberedKey)
    /// Sec-WebSocket-Protocol is there more than once, which is a list in a request and nonsense in a response.
    static let repeatedSubprotocol = KnownFields(rawValue: 1 << 31)

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    init(_ field: KnownField) {
        self.rawValue = 1 << UInt32(field.rawValue)
    }

    init(in fields: HeadFields) {
        self = fields.known
    }

    /// Adds a field that a head has once more.
    @inline(__always)
    mutating func add(_ field: KnownField) {
        if field == .subprotocol, self.contains(.subprotocol) { self.insert(.repeatedSubprotocol) }
        self.insert(KnownFields(field))
    }
}
