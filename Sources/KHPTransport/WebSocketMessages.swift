// Received messages as asynchronous sequences.

public import KHPProtocol
public import NIOCore

/// The messages of a socket, in order, with back-pressure.
public struct WebSocketMessages: AsyncSequence, Sendable {
    /// A whole message.
    public typealias Element = WebSocketMessage

    let socket: WebSocket

    /// Begins to take messages; one consumer at a time.
    public func makeAsyncIterator() -> Iterator { Iterator(socket: self.socket) }

    /// Takes messages one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: WebSocket
        var partial: (kind: MessageKind, bytes: ByteBuffer)?

        init(socket: WebSocket) {
            self.socket = socket
        }

        /// The next message, or `nil` after a clean close.
        nonisolated(nonsending) public mutating func next() async throws -> WebSocketMessage? {
            try await self.next(isolation: #isolation)
        }

        /// The next message, or `nil` after a clean close.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(any Error) -> WebSocketMessage? {
            while true {
                // What is there already is returned without waiting for anything.
                if let item = self.socket.takeItem() {
                    if let message = self.message(in: item) { return message }
                } else {
                    guard let item = try await self.socket.waitForItem() else { return nil }
                    if let message = self.message(in: item) { return message }
                }
            }
        }

        private mutating func message(in item: Inbox.Item) -> WebSocketMessage? {
            switch item {
            case .message(let kind, let payload):
                return ReceivedMessage(kind: kind, bytes: payload).message
            case .chunk(var chunk):
                // A socket configured for chunks still answers here: the pieces are joined up to the limit.
                if var partial = self.partial {
                    partial.bytes.writeBuffer(&chunk.bytes)
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
            var item = self.socket.takeItem()
            if item == nil { item = try await self.socket.waitForItem() }
            return switch item {
            case .chunk(let chunk): chunk
            case .message(let kind, let bytes): MessageChunk(kind: kind, bytes: bytes, isFirst: true, isLast: true)
            case nil: nil
            }
        }

        /// The next piece, or `nil` after a clean close.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(any Error) -> MessageChunk? {
            try await self.next()
        }
    }
}

/// Writes one message in pieces; see ``WebSocket/stream(_:_:)``.
public struct MessageStream: Sendable {
    let socket: WebSocket
    let kind: MessageKind

    /// Sends a piece; waits while the peer does not keep up.
    /// - Throws: ``WebSocketError`` when the socket is closed.
    nonisolated(nonsending) public func write(_ bytes: ByteBuffer) async throws {
        try await self.socket.sendChunk(MessageChunk(kind: self.kind, bytes: bytes, isFirst: false, isLast: false))
    }
}
