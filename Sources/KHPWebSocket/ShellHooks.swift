// The places at which tests watch the shell and let an operation fail. No configuration of a user's has any.

package import NIOCore

package final class ShellHooks: Sendable {
    package typealias Prepare = @Sendable (any Channel) throws -> Void

    /// Called with each channel on its event loop, before a handler of ours is there. A channel for which it throws cannot
    /// be set up.
    package let prepare: Prepare?
    /// Dials an address in place of the ``Dialer``.
    package let dial: (@Sendable (SocketAddress, any EventLoop) async throws -> Dialled)?
    /// Called with each stream that a client has opened, on its event loop, once its handlers are there.
    package let takesStream: @Sendable (any Channel) -> Void
    /// Called where a task is started for a closure of the application.
    package let taskStarts: @Sendable () -> Void
    /// The first that such a task waits for.
    package let taskBegins: @Sendable () async -> Void
    /// The last that such a task calls.
    package let taskEnds: @Sendable () -> Void

    package init(
        prepare: Prepare? = nil,
        dial: (@Sendable (SocketAddress, any EventLoop) async throws -> Dialled)? = nil,
        takesStream: @escaping @Sendable (any Channel) -> Void = { _ in },
        taskStarts: @escaping @Sendable () -> Void = {},
        taskBegins: @escaping @Sendable () async -> Void = {},
        taskEnds: @escaping @Sendable () -> Void = {}
    ) {
        self.prepare = prepare
        self.dial = dial
        self.takesStream = takesStream
        self.taskStarts = taskStarts
        self.taskBegins = taskBegins
        self.taskEnds = taskEnds
    }
}
