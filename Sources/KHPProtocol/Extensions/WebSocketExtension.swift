// What an extension is to this stack: something that is negotiated by name and may then transform whole messages.

/// The handshake in which something was negotiated.
public enum HandshakeLayer: String, Sendable, Hashable {
    /// The opening handshake, HTTP on the wire.
    case opening
    /// The extended handshake, HTTP inside WebSocket messages.
    case extended
}

/// An extension that can be negotiated in either handshake (RFC 6455 section 9; KHP-E5, KHP-E10).
///
/// One value describes what this end asks for or supports; it is shared by all connections and keeps no state of any of
/// them. State lives in the ``MessageTransform`` that ``makeTransform(role:parameters:)`` makes for one connection.
///
/// ```swift
/// struct Trimming: WebSocketExtension {
///     let name = "x-trim"
///     func accept(_ offer: ExtensionParameters) -> ExtensionParameters? { offer.isEmpty ? offer : nil }
/// }
/// ```
public protocol WebSocketExtension: Sendable {
    /// The name in Sec-WebSocket-Extensions, an HTTP token.
    var name: String { get }

    /// Client: the parameters to ask with. By default none.
    func offer() -> ExtensionParameters

    /// Server: the parameters to answer an offer with, or `nil` to decline it. By default accepts without parameters.
    func accept(_ offer: ExtensionParameters) -> ExtensionParameters?

    /// Client: whether the server's answer can be worked with; `false` fails the handshake (KHP-E14). By default `true`.
    func judge(_ answer: ExtensionParameters) -> Bool

    /// Makes what handles one connection's messages; `nil` when nothing is to be done to them, the default.
    ///
    /// - Parameters:
    ///   - role: the end that this is for.
    ///   - parameters: the parameters of the server's answer.
    func makeTransform(role: ConnectionRole, parameters: ExtensionParameters) -> (any MessageTransform)?
}

extension WebSocketExtension {
    /// Asks without parameters.
    public func offer() -> ExtensionParameters { ExtensionParameters() }

    /// Accepts every offer, without parameters.
    public func accept(_ offer: ExtensionParameters) -> ExtensionParameters? { ExtensionParameters() }

    /// Takes every answer.
    public func judge(_ answer: ExtensionParameters) -> Bool { true }

    /// Does nothing to messages.
    public func makeTransform(role: ConnectionRole, parameters: ExtensionParameters) -> (any MessageTransform)? { nil }
}

/// What a negotiated extension does to the messages of one connection. Called on the connection's event loop only.
///
/// An error thrown here fails the connection with close code 1011.
public protocol MessageTransform {
    /// Turns a received message into what the application gets; `nil` swallows it.
    mutating func inbound(_ message: WebSocketMessage) throws -> WebSocketMessage?

    /// Turns the application's message into what is sent; `nil` swallows it.
    mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage?
}

/// An extension that is offered or accepted by name and reported as negotiated, and does nothing to messages.
///
/// For extensions whose effect the application itself brings about.
public struct NamedExtension: WebSocketExtension, Hashable {
    /// The extension's name.
    public let name: String

    /// What is asked for (client) or answered (server).
    public let parameters: ExtensionParameters

    /// Creates an extension that offers, or answers with, fixed parameters.
    public init(_ name: String, parameters: ExtensionParameters = ExtensionParameters()) {
        self.name = name
        self.parameters = parameters
    }

    /// The fixed parameters.
    public func offer() -> ExtensionParameters { parameters }

    /// The fixed parameters, whatever was asked for.
    public func accept(_ offer: ExtensionParameters) -> ExtensionParameters? { parameters }
}

/// An extension that both ends agreed on.
public struct NegotiatedExtension: Sendable, Hashable, CustomStringConvertible {
    /// The extension's name.
    public let name: String

    /// The parameters of the server's answer.
    public let parameters: ExtensionParameters

    /// The handshake that it was negotiated in.
    public let layer: HandshakeLayer

    /// Creates the record of an agreement.
    public init(name: String, parameters: ExtensionParameters = ExtensionParameters(), layer: HandshakeLayer) {
        self.name = name
        self.parameters = parameters
        self.layer = layer
    }

    /// The agreement in header form: `x-example; level=1`.
    public var description: String {
        parameters.isEmpty ? name : "\(name); \(parameters)"
    }
}

extension [NegotiatedExtension] {
    /// The transforms of what was negotiated, in the order of negotiation: outbound messages pass them in this order,
    /// inbound ones in the reverse.
    package func transforms(from extensions: [any WebSocketExtension], role: ConnectionRole) -> [any MessageTransform] {
        compactMap { negotiated in
            extensions.first { $0.name == negotiated.name }?
                .makeTransform(role: role, parameters: negotiated.parameters)
        }
    }
}
