// Received messages as asynchronous sequences.

public import KHPProtocol
public import NIOCore

/// The messages of a socket, in order, with back-pressure.
public struct WebSocketMessages: AsyncSequence, Sendable {
    /// A whole message.
    public typealias Element = WebSocketMessage

    @usableFromInline let socket: WebSocket

    init(socket: WebSocket) {
        self.socket = socket
    }

    /// Begins to take messages; one consumer at a time.
    @inlinable
    public func makeAsyncIterator() -> Iterator { Iterator(socket: self.socket) }

    /// Takes messages one by one.
    public struct Iterator: AsyncIteratorProtocol {
        @usableFromInline let socket: WebSocket
        /// The chunks of the message that is arriving, on a socket configured for chunks.
        @usableFromInline var partial: (kind: MessageKind, bytes: ByteBuffer)?

        @usableFromInline
        init(socket: WebSocket) {
            self.socket = socket
        }

        /// The next message, or `nil` after a clean close.
        @inlinable
        nonisolated(nonsending) public mutating func next() async throws -> WebSocketMessage? {
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
        ) async throws(any Error) -> WebSocketMessage? {
            if let message = self.takeMessage() { return message }
            return try await self.waitForMessage()
        }

        @usableFromInline
        mutating func takeMessage() -> WebSocketMessage? {
            while let item = self.socket.takeItem() {
                if let message = self.message(in: item) { return message }
            }
            return nil
        }

        @usableFromInline
        nonisolated(nonsending) mutating func waitForMessage() async throws -> WebSocketMessage? {
            while let item = try await self.socket.waitForItem() {
                if let message = self.message(in: item) ?? self.takeMessage() { return message }
            }
            return nil
        }

        private mutating func message(in item: MessageChunk) -> WebSocketMessage? {
            if item.isFirst && item.isLast { return ReceivedMessage(kind: item.kind, bytes: item.bytes).message }
            return self.join(item)
        }

        /// A socket configured for chunks still answers here: the pieces are joined up to the limit.
        private mutating func join(_ chunk: MessageChunk) -> WebSocketMessage? {
            if var partial = self.partial {
                partial.bytes.writeImmutableBuffer(chunk.bytes)
                self.partial = partial
            } else {
                self.partial = (chunk.kind, chunk.bytes)
            }
            guard chunk.isLast, let whole = self.partial else { return nil }
            self.partial = nil
            return ReceivedMessage(kind: whole.kind, bytes: whole.bytes).message
        }
    }
}

/// The pieces of the messages of a socket, in order, with back-pressure.
public struct WebSocketChunks: AsyncSequence, Sendable {
    /// A piece of a message.
    public typealias Element = MessageChunk

    let socket: WebSocket

    /// Begins to take pieces; one consumer at a time.
    public func makeAsyncIterator() -> Iterator { Iterator(socket: self.socket) }

    /// Takes pieces one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: WebSocket

        /// The next piece, or `nil` after a clean close. A whole message, where one was assembled, is one piece.
        nonisolated(nonsending) public mutating func next() async throws -> MessageChunk? {
            if let piece = self.socket.takeItem() { return piece }
            return try await self.socket.waitForItem()
        }

        /// The next piece, or `nil` after a clean close.
        nonisolated(nonsending) public mutating func next(
            isolation actor: (any Actor)?
        ) async throws(any Error) -> MessageChunk? {
            try await self.next()
        }
    }
}

/// Writes one message in pieces; see ``WebSocket/stream(_:options:_:)``.
public struct MessageStream: Sendable {
    let socket: WebSocket
    let kind: MessageKind

    /// Sends a piece; waits while the peer does not keep up. What throws has not been sent.
    /// - Throws: ``WebSocketError`` when the socket is closing or closed, or the message has ended, and
    ///   `CancellationError` when the task is cancelled while it waits.
    nonisolated(nonsending) public func write(_ bytes: ByteBuffer) async throws {
        try await self.socket.sendChunk(MessageChunk(kind: self.kind, bytes: bytes, isFirst: false, isLast: false))
    }
}
