// The parts of the client that `khp connect` converses through. A test has a socket and a clock of its own.

import KHPClient
import NIOCore

/// An open socket, as a conversation uses it.
protocol ConversationSocket: Sendable {
    associatedtype Messages: AsyncSequence & Sendable where Messages.Element == WebSocketMessage

    var negotiated: HandshakeSummary { get }
    /// The messages that come, until the socket has closed.
    var messages: Messages { get }
    /// `true` when messages that came behind our close were dropped, since nobody took them.
    var hasLostMessages: Bool { get }

    nonisolated(nonsending) func send(_ message: WebSocketMessage) async throws
    /// - Returns: the time until the pong.
    nonisolated(nonsending) func ping(_ payload: ByteBuffer?) async throws -> Duration
    /// - Returns: how it ended.
    @discardableResult
    nonisolated(nonsending) func close(code: WebSocketCloseCode, reason: String) async throws -> CloseInfo
    /// Waits until it has closed, whoever closes it.
    nonisolated(nonsending) func closed() async throws(CancellationError) -> CloseInfo
}

extension ConversationSocket {
    @discardableResult
    nonisolated(nonsending) func close() async throws -> CloseInfo {
        try await self.close(code: .normalClosure, reason: "")
    }
}

extension WebSocket: ConversationSocket {}

/// Where open sockets come from.
protocol SocketSource: Sendable {
    associatedtype Socket: ConversationSocket

    /// True where a failed connect may have asked for the extended handshake in vain.
    var offersExtendedHandshake: Bool { get }

    /// Connects, and runs the body with the socket.
    nonisolated(nonsending) func withConnection(
        to url: String,
        subprotocols: [String],
        _ body: (Socket) async throws -> Void
    ) async throws

    /// The same again and again, as the policy allows, until the body returns and the socket closed well.
    nonisolated(nonsending) func withReconnection(
        to url: String,
        subprotocols: [String],
        policy: ReconnectPolicy,
        _ body: (Socket) async throws -> Void
    ) async throws
}

/// The library's client as a source of sockets.
struct ClientSockets: SocketSource {
    let client: WebSocketClient

    var offersExtendedHandshake: Bool { self.client.configuration.extended.policy == .preferred }

    nonisolated(nonsending) func withConnection(
        to url: String,
        subprotocols: [String],
        _ body: (WebSocket) async throws -> Void
    ) async throws {
        try await self.client.withConnection(to: url, subprotocols: subprotocols, body)
    }

    nonisolated(nonsending) func withReconnection(
        to url: String,
        subprotocols: [String],
        policy: ReconnectPolicy,
        _ body: (WebSocket) async throws -> Void
    ) async throws {
        try await self.client.withReconnection(to: url, subprotocols: subprotocols, policy: policy, body)
    }
}

/// The time that a command waits in.
struct CommandTime: Sendable {
    /// The time since some beginning.
    let now: @Sendable () -> Duration
    /// Waits until then.
    let sleep: @Sendable (_ until: Duration) async throws -> Void

    /// The time of the machine.
    static let real = CommandTime.starting(at: .now)

    private static func starting(at start: ContinuousClock.Instant) -> CommandTime {
        CommandTime(
            now: { ContinuousClock.now - start },
            sleep: { try await Task.sleep(until: start + $0, clock: .continuous) }
        )
    }
}
