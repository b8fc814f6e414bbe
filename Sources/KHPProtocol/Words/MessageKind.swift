// The two kinds of message.

/// The kind of a message: text or binary (RFC 6455 section 5.6).
public enum MessageKind: String, Sendable, Hashable {
    /// UTF-8 text.
    case text
    /// Any bytes.
    case binary
}
