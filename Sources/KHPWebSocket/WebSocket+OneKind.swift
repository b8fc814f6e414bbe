// Sockets that carry one kind of message: most applications speak text alone, and have nothing to do with the other kind.

public import KHPProtocol
public import NIOCore

extension WebSocket {
    /// The answer to a message of the kind that the application does not take.
    public enum UnexpectedKind: Sendable, Hashable {
        /// Closes the socket with 1003, "a type of data it cannot accept" (RFC 6455 section 7.4.1), and ends the
        /// sequence with ``WebSocketError/Code/closed`` and that close code.
        case close
        /// Drops the message and goes on to the next.
        case skip
    }

    /// The text messages, in order, with back-pressure, for an application that takes no binary messages: one closes the
    /// socket with 1003. For another answer use ``texts(unexpected:)``; the rest is as for ``messages``.
    public var texts: WebSocketTexts { self.texts(unexpected: .close) }

    /// The binary messages, in order, with back-pressure, for an application that takes no text messages: one closes the
    /// socket with 1003. For another answer use ``binaries(unexpected:)``; the rest is as for ``messages``.
    public var binaries: WebSocketBinaries { self.binaries(unexpected: .close) }

    /// The text messages, with a stated answer to binary ones.
    /// - Parameter unexpected: the answer to a binary message.
    public func texts(unexpected: UnexpectedKind) -> WebSocketTexts {
        WebSocketTexts(socket: self, unexpected: unexpected)
    }

    /// The binary messages, with a stated answer to text ones.
    /// - Parameter unexpected: the answer to a text message.
    public func binaries(unexpected: UnexpectedKind) -> WebSocketBinaries {
        WebSocketBinaries(socket: self, unexpected: unexpected)
    }

    /// Ignores a message of a kind that the application does not take, or closes the socket, as `unexpected` has it.
    fileprivate func meets(_ kind: MessageKind, _ unexpected: UnexpectedKind) throws(WebSocketError) {
        guard unexpected == .close else { return }
        throw self.refuse(
            .unsupportedData,
            reason: "\(kind) messages are not taken here",
            "A \(kind) message arrived where none is taken, so the socket was closed."
        )
    }

    /// Closes the socket because of a message that the application does not take, and returns the error for its reader.
    package func refuse(_ code: WebSocketCloseCode, reason: String, _ message: String) -> WebSocketError {
        self.onEventLoop { $0.close(code: code, reason: reason) }
        return WebSocketError(.closed, message, closeCode: code, phase: .open)
    }
}

/// The text messages of a socket; see ``WebSocket/texts``.
public struct WebSocketTexts: AsyncSequence, Sendable {
    /// The text of a message.
    public typealias Element = String
    /// As for ``WebSocketMessages``; also for a binary message, unless those are skipped.
    public typealias Failure = WebSocketError

    let socket: WebSocket
    let unexpected: WebSocket.UnexpectedKind

    /// Begins to take messages; one consumer at a time.
    public func makeAsyncIterator() -> Iterator { Iterator(socket: self.socket, unexpected: self.unexpected) }

    /// Takes texts one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: WebSocket
        let unexpected: WebSocket.UnexpectedKind

        /// The next text, or `nil` after a clean close.
        /// - Throws: the error that ended the connection, or ``WebSocketError/Code/cancelled``; for a message of the other kind
        ///   as ``WebSocket/UnexpectedKind`` has it.
        nonisolated(nonsending) public mutating func next() async throws(WebSocketError) -> String? {
            while let message = try await self.socket.nextMessage() {
                switch message {
                case .text(let text): return text
                case .binary: try self.socket.meets(.binary, self.unexpected)
                }
            }
            return nil
        }

        /// The next text, or `nil` after a clean close.
        nonisolated(nonsending) public mutating func next(
            isolation actor: (any Actor)?
        ) async throws(WebSocketError) -> String? {
            try await self.next()
        }
    }
}

/// The binary messages of a socket; see ``WebSocket/binaries``.
public struct WebSocketBinaries: AsyncSequence, Sendable {
    /// The payload of a message.
    public typealias Element = ByteBuffer
    /// As for ``WebSocketMessages``; also for a text message, unless those are skipped.
    public typealias Failure = WebSocketError

    let socket: WebSocket
    let unexpected: WebSocket.UnexpectedKind

    /// Begins to take messages; one consumer at a time.
    public func makeAsyncIterator() -> Iterator { Iterator(socket: self.socket, unexpected: self.unexpected) }

    /// Takes payloads one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let socket: WebSocket
        let unexpected: WebSocket.UnexpectedKind

        /// The next payload, or `nil` after a clean close.
        /// - Throws: the error that ended the connection, or ``WebSocketError/Code/cancelled``; for a message of the other kind
        ///   as ``WebSocket/UnexpectedKind`` has it.
        nonisolated(nonsending) public mutating func next() async throws(WebSocketError) -> ByteBuffer? {
            while let message = try await self.socket.nextMessage() {
                switch message {
                case .binary(let bytes): return bytes
                case .text: try self.socket.meets(.text, self.unexpected)
                }
            }
            return nil
        }

        /// The next payload, or `nil` after a clean close.
        nonisolated(nonsending) public mutating func next(
            isolation actor: (any Actor)?
        ) async throws(WebSocketError) -> ByteBuffer? {
            try await self.next()
        }
    }
}
