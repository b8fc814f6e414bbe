// A value that an endpoint makes for one handshake, on its way to the handler or back.

import KHPProtocol
import KHPWebSocket
import Synchronization

/// Holds the value by what can be done with it: run the handler, and let go of it once.
final class HandshakeContext: Sendable {
    /// The endpoint's application, with the value.
    enum Use: Sendable {
        case task(Endpoint.RunWithRequest)
        case handler(@Sendable (HandshakeRequest) -> any MessageHandler)
    }

    let use: Use
    /// The endpoint's answer to the handshake, with the value; `nil` where it has none of its own.
    let respond: (@Sendable (HandshakeRequest) async throws -> HandshakeResponse)?
    private let letGo: @Sendable () async -> Void
    private let isHeld = Mutex(true)

    init<Value: Sendable>(
        _ value: Value,
        _ use: Use,
        respond: (@Sendable (HandshakeRequest, Value) async throws -> HandshakeResponse)?,
        release: @escaping @Sendable (Value) async -> Void
    ) {
        self.use = use
        if let respond { self.respond = { try await respond($0, value) } } else { self.respond = nil }
        self.letGo = { await release(value) }
    }

    /// `true` for a value that is let go of with the channel: a handler on the event loop is told of the end before that,
    /// and no task has an end to wait for.
    var lastsAsLongAsChannel: Bool {
        if case .handler = self.use { true } else { false }
    }

    /// Lets go of the value, unless that has been done.
    /// - Returns: `true` for the call that has done it.
    func release() async -> Bool {
        let isFirst = self.isHeld.withLock { isHeld in
            defer { isHeld = false }
            return isHeld
        }
        if isFirst { await self.letGo() }
        return isFirst
    }
}
