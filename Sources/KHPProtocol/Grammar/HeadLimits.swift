/// How much of a message head a peer may send before we stop reading it (threats A1, E2, A16).
package struct HeadLimits: Sendable, Hashable {
    /// The longest line without its CRLF: the start line, and each field line.
    package var lineBytes: Int
    /// The whole head with its blank line.
    package var headBytes: Int
    /// The number of fields.
    package var fieldCount: Int

    package init(lineBytes: Int = 8192, headBytes: Int = 32768, fieldCount: Int = 100) {
        // So that a place in the bytes and a bound can always be added.
        self.lineBytes = min(max(lineBytes, 16), Int(Int32.max))
        self.headBytes = min(max(headBytes, 32), Int(Int32.max))
        self.fieldCount = min(max(fieldCount, 1), Int(Int32.max))
    }

    /// A head on the wire.
    package static let opening = HeadLimits()
    /// A head inside WebSocket messages.
    package static let extended = HeadLimits(headBytes: 16384)
}

/// Why bytes are not the head of an HTTP/1.1 message that we accept.
package enum HeadError: Error, Equatable, Sendable {
    /// A breach of RFC 9112; names the rule and the line.
    case malformed(String)
    /// A line is longer than ``HeadLimits/lineBytes``.
    case lineTooLong(isStartLine: Bool)
    case headTooLarge
    case tooManyFields
    /// A version that is neither HTTP/1.1 nor HTTP/1.0, as it was sent.
    case unsupportedVersion(String)

    /// The status of a server's answer.
    package var status: Int {
        switch self {
        case .malformed: 400
        case .lineTooLong(let isStartLine): isStartLine ? 414 : 431
        case .headTooLarge, .tooManyFields: 431
        case .unsupportedVersion: 505
        }
    }

    /// One sentence without a final stop. Repeats no text of the peer that could hold a credential.
    package var message: String {
        switch self {
        case .malformed(let what): what
        case .lineTooLong(let isStartLine): isStartLine ? "the first line is too long" : "a header field is too long"
        case .headTooLarge: "the header is too large"
        case .tooManyFields: "there are too many header fields"
        case .unsupportedVersion(let version): "\(version) is not supported, only HTTP/1.1 is"
        }
    }
}
