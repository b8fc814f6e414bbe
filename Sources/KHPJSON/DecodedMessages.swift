// Received messages as values.

import KHPProtocol
public import KHPWebSocket

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension WebSocketMessages {
    /// The messages as values, read as JSON, in order, with back-pressure.
    /// - Parameters:
    ///   - type: the type of the values.
    ///   - decoder: how they are read. Nothing may change it while the sequence is in use.
    ///   - undecodable: the answer to a message that does not fit.
    public func decoded<Value: Decodable>(
        as type: Value.Type,
        decoder: JSONDecoder = JSONDecoder(),
        undecodable: DecodedMessages<Value>.Undecodable = .close
    ) -> DecodedMessages<Value> {
        DecodedMessages(messages: self, decoder: decoder, undecodable: undecodable)
    }
}

/// The messages of a socket as values; see `decoded(as:decoder:undecodable:)`.
public struct DecodedMessages<Value: Decodable>: AsyncSequence, Sendable {
    /// The answer to a message that is not the JSON that the application takes.
    public enum Undecodable: Sendable, Hashable {
        /// Closes the socket, with 1007 ("data within a message that was not consistent with the type of the message",
        /// RFC 6455 section 7.4.1) or, for a binary message, 1003, and ends the sequence with the code `closed` and that
        /// close code.
        case close
        /// Drops the message and goes on to the next.
        case skip
        /// Throws ``UndecodableMessage``. The socket stays open: another loop goes on with the next message.
        case fail
    }

    /// The value of a message.
    public typealias Element = Value
    /// As for `WebSocketMessages`; also ``UndecodableMessage``, where ``Undecodable/fail`` asks for it.
    public typealias Failure = any Error

    let messages: WebSocketMessages
    let decoder: JSONDecoder
    let undecodable: Undecodable

    /// Begins to take messages; one consumer at a time.
    public func makeAsyncIterator() -> Iterator {
        Iterator(messages: self.messages, decoder: self.decoder, undecodable: self.undecodable)
    }

    /// Takes values one by one.
    public struct Iterator: AsyncIteratorProtocol {
        let messages: WebSocketMessages
        let decoder: JSONDecoder
        let undecodable: Undecodable

        /// The next value, or `nil` after a clean close.
        nonisolated(nonsending) public mutating func next() async throws -> Value? {
            var messages = self.messages.makeAsyncIterator()
            while let message = try await messages.next() {
                do throws(UndecodableMessage) {
                    return try UndecodableMessage.decode(Value.self, of: message, self.decoder)
                } catch {
                    switch self.undecodable {
                    case .skip: continue
                    case .fail: throw error
                    case .close: throw self.messages.refuse(error)
                    }
                }
            }
            return nil
        }

        /// The next value, or `nil` after a clean close.
        nonisolated(nonsending) public mutating func next(isolation actor: (any Actor)?) async throws -> Value? {
            try await self.next()
        }
    }
}

extension WebSocketMessages {
    /// Closes the socket because of such a message, and returns the error for its reader.
    fileprivate func refuse(_ undecodable: UndecodableMessage) -> WebSocketError {
        let isBinary = undecodable.cause == nil
        return self.socket.refuse(
            isBinary ? .unsupportedData : .invalidPayload,
            reason: isBinary ? "binary messages are not taken here" : "not the JSON that is taken here",
            "\(undecodable.description.dropLast()), so the socket was closed."
        )
    }
}
