// The protocol of an application-class extension: it sees whole messages, may send messages of its own, and may wait.

public import NIOCore

/// The work of a negotiated extension on the messages of one connection. Called on the connection's event loop only.
///
/// Two methods are enough for an extension that changes messages. One that speaks with its peer, as Kaazing's
/// extensions do, uses the forms with a ``ExtensionScope``: through it messages of the extension's own are sent, pings
/// too, and a time is set at which ``deadlineReached(_:)`` is called.
///
/// Its life is the connection's: it is made when both ends have agreed on it, hears of the open socket by
/// ``opened(_:)`` and of the end by ``closed()``, and is let go right after. Where the opening handshake agreed on it
/// and the extended one then refuses or redirects, there is an end and nothing before it.
///
/// An error thrown here fails the connection: with the close code of a ``WebSocketError`` that has one, otherwise with
/// 1011. Only where a message is refused that was to be sent, and no other extension has had a hand in it, does the
/// socket stay open. Whoever sends gets the error in any case; what is no ``WebSocketError`` becomes one of the code
/// ``WebSocketError/Code/extensionFailed``.
///
/// While an extension has a hand in messages they are whole: one that is sent in pieces is collected, up to the message
/// limit, and received ones are delivered in one piece. What an extension makes of a received message counts against
/// the limit as well; more closes with 1009.
public protocol MessageTransform {
    /// Turns a received message into the application's; `nil` swallows it.
    mutating func inbound(_ message: WebSocketMessage) throws -> WebSocketMessage?

    /// Turns the application's message into the one that is sent; `nil` swallows it.
    mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage?

    /// `true` when it looks at messages at all; always the same. One that does not, since it only watches the time,
    /// leaves them free to be delivered and sent in chunks. By default `true`.
    var handlesMessages: Bool { get }

    /// The socket is open.
    mutating func opened(_ scope: inout ExtensionScope) throws

    /// As ``inbound(_:)``, which it calls by default.
    mutating func inbound(_ message: WebSocketMessage, _ scope: inout ExtensionScope) throws -> WebSocketMessage?

    /// As ``outbound(_:)``, which it calls by default.
    mutating func outbound(_ message: WebSocketMessage, _ scope: inout ExtensionScope) throws -> WebSocketMessage?

    /// The time has come that was set as ``ExtensionScope/deadline``.
    mutating func deadlineReached(_ scope: inout ExtensionScope) throws

    /// Another extension wants the peer to be pinged: sends a ping in its own way and returns `true`. By default
    /// returns `false`, and a ping frame is sent.
    mutating func sendPing(_ scope: inout ExtensionScope) throws -> Bool

    /// A server's application wants the client to prove anew who it is, by an HTTP request for this path: asks it to, in
    /// its own way, and returns `true`. By default returns `false`. An error thrown here fails nothing.
    mutating func askToRevalidate(_ path: String, _ scope: inout ExtensionScope) throws -> Bool

    /// The socket has closed: nothing more will be called.
    mutating func closed()
}

extension MessageTransform {
    /// Lets the message through.
    public mutating func inbound(_ message: WebSocketMessage) throws -> WebSocketMessage? { message }

    /// Lets the message through.
    public mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage? { message }

    /// It does.
    public var handlesMessages: Bool { true }

    /// Does nothing.
    public mutating func opened(_ scope: inout ExtensionScope) throws {}

    /// Calls ``inbound(_:)``.
    public mutating func inbound(
        _ message: WebSocketMessage,
        _ scope: inout ExtensionScope
    ) throws -> WebSocketMessage? { try self.inbound(message) }

    /// Calls ``outbound(_:)``.
    public mutating func outbound(
        _ message: WebSocketMessage,
        _ scope: inout ExtensionScope
    ) throws -> WebSocketMessage? { try self.outbound(message) }

    /// Does nothing.
    public mutating func deadlineReached(_ scope: inout ExtensionScope) throws {}

    /// Leaves it to a ping frame.
    public mutating func sendPing(_ scope: inout ExtensionScope) throws -> Bool { false }

    /// Has no way to.
    public mutating func askToRevalidate(_ path: String, _ scope: inout ExtensionScope) throws -> Bool { false }

    /// Does nothing.
    public mutating func closed() {}
}

/// The connection as an extension sees it while one of its hooks runs.
public struct ExtensionScope {
    enum Command {
        case send(WebSocketMessage)
        case ping
        case control
        case pong(WebSocketMessage)
        case close(WebSocketCloseCode, String)
    }

    /// Which end of the connection this is.
    public let role: Role
    /// Where the socket was opened.
    public let url: WebSocketURL
    /// The time, on the clock of ``deadline``.
    public let now: NIODeadline
    /// When something last came from the peer. While reading is paused because the application does not keep up, that
    /// counts as if something came.
    public let lastReceived: NIODeadline
    /// When a message or a ping was last sent.
    public let lastSent: NIODeadline
    /// When to be called by ``MessageTransform/deadlineReached(_:)``; `nil` never. Stays until it is changed or
    /// reached. A time that has passed when `deadlineReached` sets it comes a millisecond later.
    public var deadline: NIODeadline?

    var commands: [Command] = []

    init(
        role: Role,
        url: WebSocketURL,
        now: NIODeadline,
        lastReceived: NIODeadline,
        lastSent: NIODeadline,
        deadline: NIODeadline?
    ) {
        self.role = role
        self.url = url
        self.now = now
        self.lastReceived = lastReceived
        self.lastSent = lastSent
        self.deadline = deadline
    }

    /// Sends a message of the extension's own, ahead of what the hook returns. Only the extensions nearer to the wire
    /// see it. While the application sends a message in pieces, which an extension that does not handle messages lets
    /// it do, up to 64 messages wait for the end of that.
    public mutating func send(_ message: WebSocketMessage) {
        self.commands.append(.send(message))
    }

    /// Sends a ping: in the way of another extension where one has its own, otherwise as a frame without payload.
    public mutating func ping() {
        self.commands.append(.ping)
    }

    /// A control message of the peer's has come. It counts as a control frame does: too many fail the connection (threat B9).
    mutating func countControlMessage() {
        self.commands.append(.control)
    }

    /// Answers a ping of the peer's with a message: once all that was said before has left, and of several the newest
    /// alone, as pong frames go out (threat B9).
    mutating func answerPing(with message: WebSocketMessage) {
        self.commands.append(.pong(message))
    }

    /// Begins the closing handshake.
    public mutating func close(code: WebSocketCloseCode = .normalClosure, reason: String = "") {
        self.commands.append(.close(code, reason))
    }
}
