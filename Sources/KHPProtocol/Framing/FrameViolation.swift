// A peer's violations of framing, as one error that knows its close code.

/// A peer's violation of RFC 6455 framing or of a limit. The connection fails with `closeCode`.
///
/// Our own mistakes never surface as this error, and what the specification says to ignore is ignored silently.
package struct FrameViolation: Error, Sendable, Equatable {
    /// 1002 for the protocol, 1007 for text that is not UTF-8, 1008 for a limit, 1009 for a message too big.
    package var closeCode: WebSocketCloseCode
    /// The fault, short enough for a close frame's reason. Never holds bytes of the peer.
    package var message: String

    package init(closeCode: WebSocketCloseCode, message: String) {
        self.closeCode = closeCode
        self.message = message
    }
}

extension FrameViolation {
    @inline(never)
    static func violation(_ message: String) -> FrameViolation {
        FrameViolation(closeCode: .protocolError, message: message)
    }

    @inline(never)
    static func invalidText() -> FrameViolation {
        FrameViolation(closeCode: .invalidPayload, message: "text is not valid UTF-8")
    }

    @inline(never)
    static func tooBig(limit: Int) -> FrameViolation {
        FrameViolation(closeCode: .messageTooBig, message: "message larger than \(limit) bytes")
    }

    @inline(never)
    static func tooManyFragments(limit: Int) -> FrameViolation {
        FrameViolation(closeCode: .policyViolation, message: "message of more than \(limit) fragments")
    }
}
