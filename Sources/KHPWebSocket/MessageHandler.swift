// The synchronous way to take messages: on the event loop, for programs that need the last microsecond.

public import KHPProtocol
public import NIOCore

/// Takes the messages of one connection on its event loop, without a task or a queue in between.
///
/// Every call comes on the connection's event loop and must return quickly. A peer that does not read what is sent to
/// it is not read from either, so a handler that answers each message stays within the send buffer's marks; see
/// ``readsFromCongestedPeer``.
public protocol MessageHandler: AnyObject {
    /// `true` to have messages of a peer that does not read what is sent to it, for a handler that hands them on rather than
    /// answers them. Then it must itself stop sending while ``EventLoopSocket/isWritable`` is `false`. `false` unless said
    /// otherwise.
    var readsFromCongestedPeer: Bool { get }
    /// The socket is open.
    func opened(_ socket: EventLoopSocket)
    /// A whole message arrived.
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket)
    /// A piece of a message arrived; only with ``MessageDelivery/chunks``.
    func received(_ chunk: MessageChunk, on socket: EventLoopSocket)
    /// A pong answered a ping of ``EventLoopSocket/ping(_:)``, or of the socket's own keep-alive.
    func pongReceived(_ payload: ByteBuffer, after roundTrip: Duration, on socket: EventLoopSocket)
    /// ``EventLoopSocket/isWritable`` has changed.
    func writabilityChanged(on socket: EventLoopSocket)
    /// The socket has closed; nothing more will be called.
    func closed(_ info: CloseInfo)
}

extension MessageHandler {
    /// `false`.
    public var readsFromCongestedPeer: Bool { false }
    /// Does nothing.
    public func opened(_ socket: EventLoopSocket) {}
    /// Does nothing.
    public func received(_ chunk: MessageChunk, on socket: EventLoopSocket) {}
    /// Does nothing.
    public func pongReceived(_ payload: ByteBuffer, after roundTrip: Duration, on socket: EventLoopSocket) {}
    /// Does nothing.
    public func writabilityChanged(on socket: EventLoopSocket) {}
    /// Does nothing.
    public func closed(_ info: CloseInfo) {}
}

/// A message as it arrived, without a copy.
public struct ReceivedMessage: Sendable {
    /// Text or binary.
    public var kind: MessageKind
    /// The payload; valid UTF-8 where `kind` is text.
    public var bytes: ByteBuffer

    package init(kind: MessageKind, bytes: ByteBuffer) {
        self.kind = kind
        self.bytes = bytes
    }

    /// The message as a ``WebSocketMessage``, the type of the asynchronous API. Copies text into a string.
    public var message: WebSocketMessage {
        switch self.kind {
        case .text: .text(String(buffer: self.bytes))
        case .binary: .binary(self.bytes)
        }
    }
}

/// A socket seen from its event loop. Never let it leave that loop.
public struct EventLoopSocket {
    let handler: ConnectionHandler

    package init(_ handler: ConnectionHandler) {
        self.handler = handler
    }

    /// Queues a message. All messages of one turn of the event loop leave in one write.
    /// - Throws: ``WebSocketError`` when the socket is closed or an extension refuses the message.
    public func send(_ message: WebSocketMessage) throws(WebSocketError) {
        try self.handler.sendMessage(message)
    }

    /// Queues a message from its bytes. Text must be valid UTF-8: the peer closes otherwise.
    /// - Throws: ``WebSocketError`` when the socket is closed or an extension refuses the message.
    public func send(_ kind: MessageKind, _ bytes: ByteBuffer) throws(WebSocketError) {
        try self.handler.sendMessage(kind, bytes)
    }

    /// Queues a message with options, such as not to compress it.
    /// - Throws: ``WebSocketError`` when the socket is closed or an extension refuses the message.
    public func send(_ message: WebSocketMessage, options: SendOptions) throws(WebSocketError) {
        try self.handler.sendMessage(message, options: options)
    }

    /// Queues a ping (RFC 6455 section 5.5.2); ``MessageHandler/pongReceived(_:after:on:)`` tells of its pong.
    /// - Parameter payload: at most 125 bytes; by default a number that no other ping of this socket has.
    /// - Throws: ``WebSocketError`` when the socket is closed, ``WebSocketError/Code/invalidArgument`` for a longer
    ///   payload and in the dialects before RFC 6455, which have no pings.
    public func ping(_ payload: ByteBuffer? = nil) throws(WebSocketError) {
        try self.handler.sendPing(payload)
    }

    /// Queues an unsolicited pong (RFC 6455 section 5.5.3).
    /// - Throws: as ``ping(_:)``.
    public func pong(_ payload: ByteBuffer = ByteBuffer()) throws(WebSocketError) {
        try self.handler.sendPong(payload)
    }

    /// Begins the closing handshake, or answers the peer's close frame where that has come (RFC 6455 section 7.1.2). Has no
    /// effect on a socket that has closed.
    ///
    /// Messages that are under way still arrive, but none after a close with 1008. ``MessageHandler/closed(_:)`` reports the
    /// end.
    /// - Parameters:
    ///   - code: 1000 to 1014 without the reserved ones, or 3000 to 4999. For any other code the close frame is sent empty.
    ///   - reason: at most 123 bytes of UTF-8; the rest is cut off.
    public func close(code: WebSocketCloseCode = .normalClosure, reason: String = "") {
        self.handler.close(code: code, reason: reason)
    }

    /// Server: asks the client to prove anew who it is, where it has agreed on an extension that can ask, such as
    /// ``KHPProtocol/KaazingHTTPRevalidate``. The client then makes an HTTP request for the path, with credentials; where it
    /// has proved something, ``endSession(at:)`` says how long that holds.
    ///
    /// - Parameter path: begins with one slash; visible ASCII. A client appends `&.krn=` and a number, so a query belongs to
    ///   it. Nobody else should know it.
    /// - Returns: `false` where the client has not agreed on such an extension.
    /// - Throws: ``WebSocketError`` when the socket is closed, ``WebSocketError/Code/invalidArgument`` for another path.
    public func askToRevalidate(path: String) throws(WebSocketError) -> Bool { try self.handler.askToRevalidate(path) }

    /// Server: closes the socket with 1008 at `deadline`, as the end of a principal's proof does. Replaces every such end that
    /// was set before; `nil` removes it.
    public func endSession(at deadline: NIODeadline?) { self.handler.moveSessionEnd(to: deadline) }

    /// `false` while more waits to be sent than the high-water mark of the send buffer.
    public var isWritable: Bool { self.handler.isWritable }

    /// `true` once this side has begun to close, for whatever reason, or has answered the peer's close frame: nothing can be
    /// sent any more, and ``close(code:reason:)`` has no effect.
    public var isClosing: Bool { self.handler.hasEnded || self.handler.connection.isClosing }

    /// Bytes of messages that were sent and have not been handed to the network; as ``WebSocket/bufferedAmount``.
    public var bufferedAmount: Int { self.handler.bufferedAmount }

    /// Takes no messages until ``resumeReading()``: what the peer sends stays in the network, so that the peer has to wait.
    /// At most one more read is kept. Its close frame waits with its messages, its end is noticed where the connection
    /// breaks. Messages that were read already are handed over when the socket ends. Once this side closes, it is read on for
    /// the peer's close frame: as many messages as the inbound queue's bytes may hold are handed over, and others dropped.
    public func pauseReading() { self.handler.pauseReadingByHandler() }

    /// True once messages were dropped that came after this side had begun to close: those after a close with 1008, and those
    /// that find a pause and no room within the inbound queue's bytes. As ``WebSocket/hasLostMessages``; to be looked at when
    /// the socket has closed.
    public var hasLostMessages: Bool { self.handler.reading.hasLost }

    /// Takes messages again.
    public func resumeReading() { self.handler.resumeReading() }
}
