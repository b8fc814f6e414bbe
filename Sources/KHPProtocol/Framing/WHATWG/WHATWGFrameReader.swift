// The frames of the WHATWG text of September 2010, from bytes to messages (W10-8).
//
//     type   8 bytes of length, the highest first   payload
//     0xFF   n                                      text
//     0x00   0                                      the closing frame (D2: this one, and not 0xFF with length 0)
//     other                                         an error: reported and passed over by a client, the end for a server

import NIOCore

struct WHATWGFrameReader: Sendable {
    /// `true` when frames of other types are skipped.
    let survivesErrors: Bool

    private var state = State.header
    private var message: PartialMessage

    private enum State {
        case header
        case payload(remaining: Int)
    }

    private static let headerBytes = 9

    /// - Parameter repairsText: `true` to mend text that is no UTF-8.
    init(survivesErrors: Bool, repairsText: Bool) {
        self.survivesErrors = survivesErrors
        self.message = PartialMessage(repairsText: repairsText)
    }

    /// As ``MessageReader/unfinishedMessage``.
    var unfinishedMessage: UInt64? {
        if case .header = self.state { nil } else { self.message.begun }
    }

    /// Bytes held of an unfinished message.
    var retainedBytes: Int { self.message.retainedBytes }

    /// Lets go of an unfinished message.
    mutating func forgetMessage() { self.message.forget() }

    /// The next event in `input`, or `nil` for more. A header stays in `input` until it is complete.
    mutating func next(_ input: inout ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent? {
        while true {
            switch self.state {
            case .header:
                guard let type: UInt8 = input.getInteger(at: input.readerIndex) else { return nil }
                guard type == 0xFF || type == 0x00 || self.survivesErrors else { throw Self.unknown }
                guard let length: UInt64 = input.getInteger(at: input.readerIndex + 1) else { return nil }
                input.moveReaderIndex(forwardBy: Self.headerBytes)
                if type == 0x00, length == 0 { return .close(code: nil, reason: "") }
                guard type == 0xFF || self.survivesErrors else { throw Self.unknown }
                // W10-10: compared as it is, so that no length can overflow.
                guard length <= UInt64(max(limit, 0)) else { throw .tooBig(limit: limit) }
                self.message.begin(isDropped: type != 0xFF)
                self.state = type != 0xFF && length == 0 ? .header : .payload(remaining: Int(length))
                if type != 0xFF { return .dropped }
            case .payload(let remaining):
                let (rest, payload) = self.message.take(remaining, from: &input)
                self.state = rest > 0 ? .payload(remaining: rest) : .header
                if rest > 0 { return nil }
                if let payload { return try self.message.text(payload, limit: limit) }
            }
        }
    }

    /// The violation of any other type (W10-8).
    private static var unknown: FrameViolation { .violation("frame of a type that the dialect does not know") }
}
