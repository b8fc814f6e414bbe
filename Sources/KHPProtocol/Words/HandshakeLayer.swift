// The two handshakes of one connection.

/// The handshake in which something is said or negotiated.
public enum HandshakeLayer: String, Sendable, Hashable {
    /// The opening handshake, HTTP on the wire.
    case opening
    /// The extended handshake, HTTP inside WebSocket messages.
    case extended
}
