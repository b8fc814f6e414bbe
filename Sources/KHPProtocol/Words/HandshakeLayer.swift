// The exchanges of HTTP messages on the way to an open socket.

/// The exchange in which something is said or negotiated.
public enum HandshakeLayer: String, Sendable, Hashable, CustomStringConvertible {
    /// The request for a tunnel through a proxy: CONNECT, and a 407 to it.
    case proxy
    /// The opening handshake, HTTP on the wire.
    case opening
    /// The extended handshake, HTTP inside WebSocket messages.
    case extended

    /// The layer's name.
    public var description: String { self.rawValue }
}

extension WebSocketError.Phase {
    /// The stage in which a layer's messages pass.
    package init(_ layer: HandshakeLayer) {
        switch layer {
        case .proxy: self = .connect
        case .opening: self = .opening
        case .extended: self = .extended
        }
    }
}
