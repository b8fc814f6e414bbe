// Values as JSON texts (RFC 8259): one value is one text message.

public import KHPProtocol
public import KHPWebSocket

#if canImport(FoundationEssentials)
    public import FoundationEssentials
#else
    public import Foundation
#endif

extension WebSocket {
    /// Sends a value as a text message of JSON. Waits while the peer does not keep up, as ``KHPWebSocket/WebSocket``'s
    /// `send` does.
    /// - Parameters:
    ///   - value: the value.
    ///   - encoder: how it is written.
    /// - Throws: `EncodingError` for a value that cannot be written, of which nothing is sent then; otherwise as `send`
    ///   of a text.
    nonisolated(nonsending) public func send(
        json value: some Encodable,
        encoder: JSONEncoder = JSONEncoder()
    ) async throws {
        try await self.send(String(decoding: encoder.encode(value), as: UTF8.self))
    }

    /// Waits for the next message and reads it as JSON, for those who ask and then wait for the answer.
    /// - Parameters:
    ///   - type: the type of the value.
    ///   - decoder: how it is read.
    /// - Throws: ``UndecodableMessage`` for a message that does not fit, with which the socket goes on; otherwise as
    ///   `receive()`.
    nonisolated(nonsending) public func receive<Value: Decodable>(
        json type: Value.Type,
        decoder: JSONDecoder = JSONDecoder()
    ) async throws -> Value {
        try await UndecodableMessage.decode(type, of: self.receive(), decoder)
    }
}

/// A message that is not the JSON that the application takes.
public struct UndecodableMessage: Error, Sendable, CustomStringConvertible {
    /// The message as it arrived.
    public let message: WebSocketMessage
    /// The decoder's error: usually a `DecodingError`, which tells the place; `nil` for a binary message, since JSON comes
    /// as text.
    public let cause: (any Error)?

    /// The kind of fault, without anything of the message, which may be secret.
    public var description: String {
        self.cause == nil
            ? "A binary message arrived where JSON is taken." : "A message is not the JSON that is taken here."
    }

    /// Reads one message.
    static func decode<Value: Decodable>(
        _ type: Value.Type,
        of message: WebSocketMessage,
        _ decoder: JSONDecoder
    ) throws(UndecodableMessage) -> Value {
        guard case .text(let text) = message else { throw UndecodableMessage(message: message, cause: nil) }
        do {
            return try decoder.decode(type, from: Data(text.utf8))
        } catch {
            throw UndecodableMessage(message: message, cause: error)
        }
    }
}
