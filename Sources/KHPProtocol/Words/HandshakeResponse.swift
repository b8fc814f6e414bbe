public import HTTPTypes
public import NIOCore

/// An HTTP response that a handshake got, in the opening handshake or inside the WebSocket.
public struct HandshakeResponse: Sendable, CustomStringConvertible {
    /// The largest ``entity`` that is kept, in bytes. A longer one is cut.
    public static let maximumEntityBytes = 65536

    /// The status code, 100…999.
    public var status: Int
    /// The reason phrase as sent; often empty.
    public var reason: String
    /// The header fields, with each byte of their values: those of old servers may be ISO-8859-1, which
    /// `withUnsafeBytesOfValue` of a field gives as it came and `value` with U+FFFD in its place.
    public var fields: HTTPFields
    /// The content, at most ``maximumEntityBytes`` of it. A refusal's explanation for people (KHP-E20).
    public var entity: ByteBuffer

    /// A response made of these parts.
    public init(status: Int, reason: String, fields: HTTPFields = [:], entity: ByteBuffer = ByteBuffer()) {
        self.status = status
        self.reason = reason
        self.fields = fields
        self.entity = entity
    }

    package init(head: ResponseHead, entity: ByteBuffer = ByteBuffer()) {
        self.init(status: head.status, reason: head.reason, fields: head.fields.httpFields, entity: entity)
    }

    /// The status line without the version, such as "403 Forbidden". Neither fields nor content: they may hold secrets.
    public var description: String {
        self.reason.isEmpty ? String(self.status) : "\(self.status) \(self.reason)"
    }
}

extension HandshakeResponse: CustomReflectable {
    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["status": self.description]) }
}
