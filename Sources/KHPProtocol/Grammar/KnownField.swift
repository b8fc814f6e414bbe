// The fields that the handshakes look up. Each name is told apart once, when its line is read: a comparison of names at
// each look-up costs more than reading the head, and most heads lack most of the fields.

/// A field of the handshakes. ``other`` stands for all that are looked up by their names, or not at all.
package enum KnownField: UInt8, Sendable {
    case other
    case host, expect, origin, cookie, upgrade, location, connection, contentType, authorization, contentLength
    case transferEncoding, key, accept, version, subprotocol, extensions
    /// Sec-WebSocket-Key1 or Sec-WebSocket-Key2, of dialects before RFC 6455.
    case numberedKey

    /// The field of that name. For ``numberedKey`` the last byte is not looked at.
    @inline(__always)
    init(_ name: UnsafeRawBufferPointer) {
        guard let base = name.baseAddress else {
            self = .other
            return
        }
        self.init(base, count: name.count)
    }

    /// The same for so many bytes from a pointer on.
    @inline(__always)
    init(_ name: UnsafeRawPointer, count: Int) {
        guard let (field, spelling) = Self.candidate(name, count) else {
            self = .other
            return
        }
        // The name without its number, as no two of these differ in more.
        let length = field == .numberedKey ? count - 1 : count
        self = Self.isSame(name, UnsafeRawPointer(spelling.utf8Start), count: length) ? field : .other
    }

    /// The only field that the name can be, by its length and, where several are as long, by its first letter.
    @inline(__always)
    private static func candidate(_ name: UnsafeRawPointer, _ count: Int) -> (KnownField, StaticString)? {
        func first() -> UInt8 { name.load(as: UInt8.self) | 0x20 }
        switch count {
        case 4: return (.host, "host")
        case 6:
            switch first() {
            case 0x65: return (.expect, "expect")
            case 0x6F: return (.origin, "origin")
            default: return (.cookie, "cookie")
            }
        case 7: return (.upgrade, "upgrade")
        case 8: return (.location, "location")
        case 10: return (.connection, "connection")
        case 12: return (.contentType, "content-type")
        case 13: return (.authorization, "authorization")
        case 14: return (.contentLength, "content-length")
        case 17: return first() == 0x74 ? (.transferEncoding, "transfer-encoding") : (.key, "sec-websocket-key")
        case 18: return (.numberedKey, "sec-websocket-key")
        case 20: return (.accept, "sec-websocket-accept")
        case 21: return (.version, "sec-websocket-version")
        case 22: return (.subprotocol, "sec-websocket-protocol")
        case 24: return (.extensions, "sec-websocket-extensions")
        default: return nil
        }
    }

    /// Equality without regard to case, of any bytes and of at least four letters in lower case with hyphens.
    @inline(__always)
    private static func isSame(_ token: UnsafeRawPointer, _ expected: UnsafeRawPointer, count: Int) -> Bool {
        guard count >= 8 else {
            // Four bytes and, overlapping them, the last four.
            return isSame(token, expected, at: 0, as: UInt32.self)
                && isSame(token, expected, at: count - 4, as: UInt32.self)
        }
        var index = 0
        while index < count - 8 {
            guard isSame(token, expected, at: index, as: UInt64.self) else { return false }
            index += 8
        }
        return isSame(token, expected, at: count - 8, as: UInt64.self)
    }

    @inline(__always)
    private static func isSame<Word: FixedWidthInteger>(
        _ token: UnsafeRawPointer,
        _ expected: UnsafeRawPointer,
        at offset: Int,
        as type: Word.Type
    ) -> Bool {
        let word = expected.loadUnaligned(fromByteOffset: offset, as: type)
        // The bit that tells the cases of a letter apart. A hyphen has none: CR would become one.
        let cases = (word & (Word.max / 0xFF * 0x40)) >> 1
        return token.loadUnaligned(fromByteOffset: offset, as: type) | cases == word
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

    @inline(__always)
    init(_ field: KnownField) {
        self.rawValue = 1 &<< UInt32(field.rawValue)
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
