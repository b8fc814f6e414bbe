/// How a WebSocket ended: RFC 6455 section 7.1.5 (code), 7.1.6 (reason) and whether the end was clean.
public struct CloseInfo: Sendable {
    /// The side that began to close.
    public enum Initiator: String, Sendable {
        /// This side: the application, or the library when a limit, a deadline or a violation made it close.
        case local
        /// The other side.
        case peer
    }

    /// The close code that counts: the peer's when it sent one; ours where this side failed the connection over a
    /// violation, a limit or a deadline; 1006 where the stream ended without the peer's close frame, also when it left
    /// ours unanswered. `nil` when the peer's close frame held no code, and in dialects without codes.
    public var code: WebSocketCloseCode?
    /// The reason that came with the code; at most 123 bytes of UTF-8, possibly empty, and empty with 1006.
    public var reason: String
    /// `true` when both close frames were seen before the stream ended; in ``Dialect/hixie75``, which has no close
    /// frames, when the stream ended in good order.
    public var clean: Bool
    /// The side that began to close.
    public var initiator: Initiator
    /// The violation, timeout or loss that ended the connection. `nil` after a clean close.
    public var error: WebSocketError?

    /// Creates a description of an end.
    public init(
        code: WebSocketCloseCode?,
        reason: String,
        clean: Bool,
        initiator: Initiator,
        error: WebSocketError? = nil
    ) {
        self.code = code
        self.reason = reason
        self.clean = clean
        self.initiator = initiator
        self.error = error
    }
}

extension CloseInfo: CustomStringConvertible {
    /// As people read it: `1000 "done", clean, by the peer`.
    public var description: String {
        let code = self.code.map(\.description) ?? "no code"
        let reason = self.reason.isEmpty ? "" : " \(quoted(self.reason))"
        let initiator = self.initiator == .local ? "us" : "the peer"
        return "\(code)\(reason), \(self.clean ? "clean" : "not clean"), by \(initiator)"
    }
}
