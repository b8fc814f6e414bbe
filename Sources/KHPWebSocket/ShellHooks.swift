// The places at which tests watch the shell and let an operation fail. No configuration of a user's has any.

package import NIOCore

package final class ShellHooks: Sendable {
    package typealias Prepare = @Sendable (any Channel) throws -> Void

    /// Called with each channel on its event loop, before a handler of ours is there. A channel for which it throws cannot
    /// be set up.
    package let prepare: Prepare?
    /// Dials an address in place of the ``Dialer``.
    package let dial: (@Sendable (SocketAddress, any EventLoop) async throws -> Dialled)?
    /// Called where TLS is made for a connection: a client's context, and the handler of either end. That for which it throws
    /// cannot be made.
    package let makesTLS: @Sendable () throws -> Void
    /// Called on the event loop before a client looks at its peer's certificate, which waits for it.
    package let verifies: (@Sendable (any Channel) -> EventLoopFuture<Void>)?
    /// Called with each stream that a client has opened, on its event loop, once its handlers are there.
    package let takesStream: @Sendable (any Channel) -> Void
    /// Called where a task is started for a closure of the application.
    package let taskStarts: @Sendable () -> Void
    /// Awaited by such a task before it calls the closure.
    package let taskBegins: @Sendable () async -> Void
    /// Called by such a task after the closure.
    package let taskEnds: @Sendable () -> Void

    package init(
        prepare: Prepare? = nil,
        dial: (@Sendable (SocketAddress, any EventLoop) async throws -> Dialled)? = nil,
        makesTLS: @escaping @Sendable () throws -> Void = {},
        verifies: (@Sendable (any Channel) -> EventLoopFuture<Void>)? = nil,
        takesStream: @escaping @Sendable (any Channel) -> Void = { _ in },
        taskStarts: @escaping @Sendable () -> Void = {},
        taskBegins: @escaping @Sendable () async -> Void = {},
        taskEnds: @escaping @Sendable () -> Void = {}
    ) {
        self.prepare = prepare
        self.dial = dial
        self.makesTLS = makesTLS
        self.verifies = verifies
        self.takesStream = takesStream
        self.taskStarts = taskStarts
        self.taskBegins = taskBegins
        self.taskEnds = taskEnds
    }
}
