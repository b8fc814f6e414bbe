// The face of an extension: it is negotiated by name and may then transform messages, whole or in pieces.

/// An extension that can be negotiated in either handshake (RFC 6455 section 9).
///
/// One value describes what this end asks for or supports; it is shared by all connections and keeps no state of any of
/// them. State lives in the ``MessageTransform`` or ``FrameTransform`` that is made for one connection; what an offer
/// or an answer holds of one connection alone, in the value that ``forConnection(_:)`` makes.
///
/// Everything but the name has a default, with which both ends agree on exactly what ``offer()`` says. This is a whole
/// extension:
///
/// ```swift
/// struct Trimming: WebSocketExtension {
///     let name = "x-trim"
///
///     func makeTransform(
///         role: Role,
///         parameters: ExtensionParameters
///     ) -> (any MessageTransform)? { Trim() }
///
///     struct Trim: MessageTransform {
///         func outbound(_ message: WebSocketMessage) -> WebSocketMessage? {
///             guard case .text(let text) = message else { return message }
///             return .text(String(text.drop { $0.isWhitespace }))
///         }
///     }
/// }
/// ```
///
/// There are two classes. Application-class extensions have a ``MessageTransform`` and see whole messages. Those that
/// claim ``reservedBits`` have a ``FrameTransform`` and see pieces. Whatever the order of negotiation, messages pass
/// the first class on the side of the application and the second on the side of the wire; and what the extended
/// handshake negotiated lies above what the opening did.
public protocol WebSocketExtension: Sendable {
    /// The name in Sec-WebSocket-Extensions, an HTTP token.
    var name: String { get }

    /// The handshakes in which it may be negotiated. By default both: a client then asks in the opening and, where that
    /// did not negotiate it, again in the extended handshake (KHP-E5).
    var layers: Set<HandshakeLayer> { get }

    /// The reserved bits that it claims on the first frame of a message. Two extensions in force never claim the same:
    /// a server declines the second, a client fails an answer that holds both. By default none.
    var reservedBits: ReservedBits { get }

    /// The value that one connection negotiates with, made before anything is asked or answered: for an extension whose
    /// parameters hold something of that connection alone, such as half of a key. By default this one.
    ///
    /// A client that is redirected, or connects again, makes one for each connection. It has the same name, layers and
    /// bits as this one.
    func forConnection(_ role: Role) -> any WebSocketExtension

    /// Client: the parameters to ask with. By default none.
    func offer() -> ExtensionParameters

    /// Client: alternatives to ask with, most preferred first (RFC 6455 section 9.1). By default the one of
    /// ``offer()``. The same whenever it is asked of one value.
    func offers() -> [ExtensionParameters]

    /// Server: the parameters to answer an offer with, or `nil` to decline it. By default accepts, unchanged, what a
    /// client with this value would ask for, and declines everything else.
    func accept(_ offer: ExtensionParameters) -> ExtensionParameters?

    /// Server: what becomes of an offer. By default what ``accept(_:)`` says. Offers with a parameter given twice are
    /// declined without asking. An answer whose parameters are no tokens refuses the handshake with 500.
    func choose(_ offer: ExtensionParameters) -> ExtensionChoice

    /// Client: whether the server's answer can be worked with; `false` fails the handshake (KHP-E14). By default
    /// whether it is one of ``offers()``, unchanged.
    func judge(_ answer: ExtensionParameters) -> Bool

    /// Makes what handles one connection's messages; `nil` when nothing is to be done to them, the default.
    ///
    /// - Parameters:
    ///   - role: the end that this is for.
    ///   - parameters: the parameters of the server's answer.
    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)?

    /// Makes what handles one connection's messages in pieces, for an extension with ``reservedBits``; by default
    /// `nil`.
    ///
    /// - Parameters:
    ///   - role: the end that this is for.
    ///   - parameters: the parameters of the server's answer.
    func makeFrameTransform(role: Role, parameters: ExtensionParameters) -> (any FrameTransform)?
}

/// A server's decision on one offer.
public enum ExtensionChoice: Sendable, Equatable {
    /// Answers with these parameters.
    case accept(ExtensionParameters)
    /// Passes it over; another offer of the same name may still be accepted.
    case decline
    /// Refuses the whole handshake with 400 and this sentence: for an offer that the two can only misunderstand each
    /// other about.
    case fail(String)
}

extension WebSocketExtension {
    /// Either handshake.
    public var layers: Set<HandshakeLayer> { [.opening, .extended] }

    /// None.
    public var reservedBits: ReservedBits { [] }

    /// This one.
    public func forConnection(_ role: Role) -> any WebSocketExtension { self }

    /// Asks without parameters.
    public func offer() -> ExtensionParameters { ExtensionParameters() }

    /// One offer, as ``offer()`` has it.
    public func offers() -> [ExtensionParameters] { [self.offer()] }

    /// Accepts what it would offer itself.
    public func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
        self.offers().contains(offer) ? offer : nil
    }

    /// Asks ``accept(_:)``.
    public func choose(_ offer: ExtensionParameters) -> ExtensionChoice {
        self.accept(offer).map { .accept($0) } ?? .decline
    }

    /// Takes what it has offered.
    public func judge(_ answer: ExtensionParameters) -> Bool { self.offers().contains(answer) }

    /// Does nothing to messages.
    public func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? { nil }

    /// Does nothing to frames.
    public func makeFrameTransform(
        role: Role,
        parameters: ExtensionParameters
    ) -> (any FrameTransform)? { nil }
}

/// An extension that is offered or accepted by name and reported as negotiated, and does nothing to messages.
///
/// For extensions whose effect the application itself brings about.
public struct NamedExtension: WebSocketExtension, Hashable {
    /// The extension's name.
    public let name: String

    /// The parameters in the request (client) or in the answer (server).
    public let parameters: ExtensionParameters

    /// Creates an extension that offers, or answers with, fixed parameters.
    public init(_ name: String, parameters: ExtensionParameters = ExtensionParameters()) {
        self.name = name
        self.parameters = parameters
    }

    /// The fixed parameters.
    public func offer() -> ExtensionParameters { self.parameters }

    /// The fixed parameters, whatever was asked for.
    public func accept(_ offer: ExtensionParameters) -> ExtensionParameters? { self.parameters }

    /// Takes every answer: what it means is the application's to know.
    public func judge(_ answer: ExtensionParameters) -> Bool { true }
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
        self.parameters.isEmpty ? self.name : "\(self.name); \(self.parameters)"
    }
}
