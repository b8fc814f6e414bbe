// A value that an endpoint makes for one handshake, on its way to the handler or back.

import KHPProtocol
import KHPWebSocket
import Synchronization

/// Holds the value by what can be done with it: run the handler, and let go of it once.
final class HandshakeContext: Sendable {
    /// Runs the endpoint's handler with the value.
    let run: @Sendable (WebSocket, HandshakeRequest) async throws -> Void
    private let letGo: @Sendable () async -> Void
    private let isHeld = Mutex(true)

    init(
        run: @escaping @Sendable (WebSocket, HandshakeRequest) async throws -> Void,
        release: @escaping @Sendable () async -> Void
    ) {
        self.run = run
        self.letGo = release
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
