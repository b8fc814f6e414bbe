// Which fields of the handshakes a head has, found in one pass: most heads lack most of them, and a look-up for each
// costs more than reading the head.

struct KnownFields: OptionSet {
    let rawValue: UInt16

    static let host = KnownFields(rawValue: 1)
    static let expect = KnownFields(rawValue: 2)
    static let contentLength = KnownFields(rawValue: 4)
    static let transferEncoding = KnownFields(rawValue: 8)
    static let subprotocol = KnownFields(rawValue: 16)
    static let extensions = KnownFields(rawValue: 32)
    static let accept = KnownFields(rawValue: 64)
    static let authorization = KnownFields(rawValue: 128)
    /// Sec-WebSocket-Protocol is there more than once, which is a list in a request and nonsense in a response.
    static let repeatedSubprotocol = KnownFields(rawValue: 256)
    /// Sec-WebSocket-Key1 or Sec-WebSocket-Key2, of dialects before RFC 6455.
    static let numberedKey = KnownFields(rawValue: 512)

    static let upgrade = KnownFields(rawValue: 1024)
    static let connection = KnownFields(rawValue: 2048)

    init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    init(in fields: HeadFields) {
        var found: KnownFields = []
        fields.forEachField { name, _ in
            guard let (field, spelling) = Self.candidate(ofLength: name.count) else { return }
            let expected = UnsafeRawBufferPointer(start: spelling.utf8Start, count: spelling.utf8CodeUnitCount)
            let compared = field == .numberedKey ? UnsafeRawBufferPointer(rebasing: name.dropLast()) : name
            guard Bytes.equalIgnoringCase(compared, expected) else { return }
            if field == .subprotocol, found.contains(field) { found.insert(.repeatedSubprotocol) }
            found.insert(field)
        }
        self = found
    }

    /// No two of the names have the same length.
    @inline(__always)
    private static func candidate(ofLength length: Int) -> (KnownFields, StaticString)? {
        switch length {
        case 4: (.host, "Host")
        case 6: (.expect, "Expect")
        case 7: (.upgrade, "Upgrade")
        case 10: (.connection, "Connection")
        case 13: (.authorization, "Authorization")
        case 14: (.contentLength, "Content-Length")
        case 17: (.transferEncoding, "Transfer-Encoding")
        // Whatever the number: this is its name without it.
        case 18: (.numberedKey, "Sec-WebSocket-Key")
        case 20: (.accept, "Sec-WebSocket-Accept")
        case 22: (.subprotocol, "Sec-WebSocket-Protocol")
        case 24: (.extensions, "Sec-WebSocket-Extensions")
        default: nil
        }
    }
}
