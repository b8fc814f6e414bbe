// A connected backend on its way from a handshake to the session that opens for it, or back to nobody.

import NIOCore

/// Holds a backend's connection until somebody takes it.
///
/// Sendable, as it goes through the task of a handshake; the side itself is touched on its event loop alone.
package final class BackendLink: Sendable {
    /// The backend, by its URL.
    let backend: String
    /// The subprotocol that a backend of WebSocket has chosen; `nil` where it has chosen none, and for a byte stream.
    let subprotocol: String?
    private let side: NIOLoopBound<any BackendSide>
    private let closed: EventLoopFuture<Void>
    private let isTaken: NIOLoopBoundBox<Bool>

    /// - Parameters:
    ///   - subprotocol: the one that the backend has chosen.
    ///   - closed: succeeds when the connection is gone.
    init(
        _ side: any BackendSide,
        to backend: String,
        speaking subprotocol: String? = nil,
        closed: EventLoopFuture<Void>
    ) {
        self.backend = backend
        self.subprotocol = subprotocol
        self.side = NIOLoopBound(side, eventLoop: closed.eventLoop)
        self.closed = closed
        self.isTaken = NIOLoopBoundBox(false, eventLoop: closed.eventLoop)
    }

    /// The side, for the session that opens; on its event loop.
    func take() -> any BackendSide {
        self.isTaken.value = true
        return self.side.value
    }

    /// Calls `body`, on the event loop, where the connection goes before anybody has taken it.
    package func whenGoneUntaken(_ body: @escaping @Sendable () -> Void) {
        self.closed.whenComplete { _ in
            if !self.isTaken.value { body() }
        }
    }

    /// Lets go of a connection that nobody has taken, and waits for the end of one that somebody has.
    package func release() async {
        self.closed.eventLoop.execute {
            if !self.isTaken.value { self.side.value.reset() }
        }
        try? await self.closed.get()
    }
}
