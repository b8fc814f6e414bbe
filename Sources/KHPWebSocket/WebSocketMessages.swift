// Received messages as asynchronous sequences.

public import KHPProtocol
public import NIOCore

/// The messages of a socket, in order, with back-pressure; see ``WebSocket/messages``.
public struct WebSocketMessages: AsyncSequence, Sendable {
    /// A whole message.
    public typealias Element = WebSocketMessage
    /// How the connection ended where it did not end cleanly, and ``WebSocketError/Code/cancelled`` for a cancelled task.
    public typealias Failure = WebSocketError

    @usableFromInline package let socket: WebSocket

    init(socket: WebSocket) {
        self.socket = socket
    }

    /// Begins to take messages; one consumer at a time.
    @inlinable
    public func makeAsyncIterator() -> Iterator { Iterator(socket: self.socket) }

    /// Takes messages one by one.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let socket: WebSocket

        @usableFromInline
        init(socket: WebSocket) {
            self.socket = socket
        }

        /// The next message, or `nil` after a clean close.
        /// - Throws: the error that ended the connection, ``WebSocketError/Code/cancelled``, or
        ///   ``WebSocketError/Code/invalidArgument`` while another task waits for a message.
        @inlinable
        nonisolated(nonsending) public mutating func next() async throws(WebSocketError) -> WebSocketMessage? {
            try await self.next(isolation: #isolation)
        }

        /// The next message, or `nil` after a clean close.
        ///
        /// Inlinable, so that a message that is there already costs a loop over the sequence no asynchronous call; and
        /// not isolated to its parameter, where each call would look up the executor twice: it stays where its caller is.
        @inlinable
        @inline(__always)
        nonisolated(nonsending) public mutating func next(
            isolation actor: (any Actor)?
        ) async throws(WebSocketError) -> WebSocketMessage? {
            if let message = self.socket.takeMessage() { return message }
            if let gate = self.socket.gate(), let message = await gate.pass() { return message }
            return try self.socket.message(of: await self.socket.waitForMessage())
        }
    }
}

/// The pieces of the messages of a socket, in order, with back-pressure; see ``WebSocket/chunks``.
public struct WebSocketChunks: AsyncSequence, Sendable {
    /// A piece of a message.
    public typealias Element = MessageChunk
    /// As for ``WebSocketMessages``.
    public typealias Failure = WebSocketError

    let socket: WebSocket

    /// Begins to take pieces; one consumer at a time.
    public func makeAsyncIterator() -> Iterator { Iterator(socket: self.socket) }

    /// Takes pieces one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: WebSocket

        /// The next piece, or `nil` after a clean close. A whole message, where one was assembled, is one piece.
        /// - Throws: the error that ended the connection, ``WebSocketError/Code/cancelled``, or
        ///   ``WebSocketError/Code/invalidArgument`` while another task waits for a message.
        nonisolated(nonsending) public mutating func next() async throws(WebSocketError) -> MessageChunk? {
            let piece = self.socket.takeItem()
            let next = if let piece { piece } else { try await self.socket.waitForItem() }
            self.socket.inbox.forgetPart()
            return next
        }

        /// The next piece, or `nil` after a clean close.
        nonisolated(nonsending) public mutating func next(
            isolation actor: (any Actor)?
        ) async throws(WebSocketError) -> MessageChunk? {
            try await self.next()
        }
    }
}

/// Writes one message in pieces; see ``WebSocket/stream(_:options:_:)``.
public struct MessageStream: Sendable {
    let socket: WebSocket
    let kind: MessageKind
    let message: StreamedMessage

    /// Sends a piece; waits while the peer does not keep up. What throws has not been sent.
    /// - Throws: ``WebSocketError`` when the socket is closing or closed, or the message has ended, and
    ///   `CancellationError` when the task is cancelled while it waits.
    nonisolated(nonsending) public func write(_ bytes: ByteBuffer) async throws {
        let piece = MessageChunk(kind: self.kind, bytes: bytes, isFirst: false, isLast: false)
        try await self.socket.sendChunk(piece, of: self.message)
    }
}

/// One message that is sent in pieces, to tell those of another from its own.
package final class StreamedMessage: Sendable {
    package init() {}
}
