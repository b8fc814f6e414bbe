// Which wire protocol a connection speaks. A dialect is a value given to one machine, never a subclass of one: the
// extended handshake leaves the opening to it (KHP-O3).

/// A WebSocket wire protocol: how its opening handshake is written and checked, and how its frames look.
public struct Dialect: Sendable, Hashable, CustomStringConvertible {
    /// The dialect's name, as options and diagnostics write it.
    public let name: String

    /// The value of Sec-WebSocket-Version, for dialects that have one.
    package let version: String?

    /// RFC 6455, the protocol of today (Sec-WebSocket-Version 13).
    public static let rfc6455 = Dialect(name: "rfc6455", version: "13")

    /// The dialect's name.
    public var description: String { name }
}
