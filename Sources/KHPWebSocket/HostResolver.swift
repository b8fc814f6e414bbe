// Names to addresses, off the event loops, until the caller gives up. All addresses are returned, in the system's order
// of preference.

package import NIOCore

package enum HostResolver {
    package typealias Failure = HostNames.Failure
    package typealias LookUp = HostNames.LookUp

    /// Resolves a host name or an address literal. The system's resolver cannot be stopped, but it is not waited for
    /// after `deadline` or a cancellation.
    package static func resolve(
        _ host: String,
        port: Int,
        until deadline: NIODeadline,
        on eventLoop: any EventLoop,
        by names: HostNames = .system
    ) async throws -> [SocketAddress] {
        if let literal = try? SocketAddress(ipAddress: host, port: port) { return [literal] }
        let wait = names.ask(host, port: port, on: eventLoop)
        let timer = eventLoop.scheduleTask(deadline: deadline) { names.giveUp(wait, Failure.timedOut) }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await wait.addresses.get()
        } onCancel: {
            names.giveUp(wait, CancellationError())
        }
    }
}
