// The reader of an old dialect, chosen once for a connection and not with every frame.

import NIOCore

enum DialectFrames: Sendable {
    /// RFC 6455: `MessageReader` reads by itself.
    case none
    case hixie(HixieFrameReader)
    case whatwg(WHATWGFrameReader)

    init(_ dialect: Dialect, role: Role, acceptsBinary: Bool) {
        // A client mends invalid UTF-8 and skips unknown frames; a server drops the peer.
        let isLenient = role == .client
        switch dialect.framing {
        case .rfc6455:
            self = .none
        case .hixie:
            self = .hixie(
                HixieFrameReader(
                    closes: dialect.closing == .frames,
                    acceptsBinary: acceptsBinary,
                    repairsText: isLenient
                )
            )
        case .whatwg2010:
            self = .whatwg(WHATWGFrameReader(survivesErrors: isLenient, repairsText: isLenient))
        }
    }

    var unfinishedMessage: UInt64? {
        switch self {
        case .none: nil
        case .hixie(let reader): reader.unfinishedMessage
        case .whatwg(let reader): reader.unfinishedMessage
        }
    }

    var retainedBytes: Int {
        switch self {
        case .none: 0
        case .hixie(let reader): reader.retainedBytes
        case .whatwg(let reader): reader.retainedBytes
        }
    }

    mutating func next(_ input: inout ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent? {
        switch self {
        case .none:
            return nil
        case .hixie(var reader):
            // Taken out while it works, so that its bytes are not copied.
            self = .none
            defer { self = .hixie(reader) }
            return try reader.next(&input, limit: limit)
        case .whatwg(var reader):
            self = .none
            defer { self = .whatwg(reader) }
            return try reader.next(&input, limit: limit)
        }
    }
}
