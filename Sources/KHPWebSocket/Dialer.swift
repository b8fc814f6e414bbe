// Outgoing connections: TCP to an address. No byte is sent until the connection is taken.

package import KHPProtocol
package import NIOCore
package import NIOPosix
import Synchronization

package enum Dialer {
    /// The name of the handler for TLS to the server, where TLS to a proxy may stand before it.
    static let tlsName = "tls"
    /// The name of the tap's handler.
    static let tapName = "tap"

    /// Makes the handler that watches the bytes of a connection above TLS; `nil` when nobody watches.
    package typealias Tap = @Sendable (any Channel) -> (any ChannelHandler & RemovableChannelHandler)

    /// Connects to one address. A task that is cancelled does not wait for a peer that answers nothing.
    package static func dial(
        _ address: SocketAddress,
        until deadline: NIODeadline,
        limits: Limits,
        liveness: SocketLiveness,
        prepare: ShellHooks.Prepare? = nil,
        on eventLoop: any EventLoop
    ) async throws -> Dialled {
        var bootstrap = self.bootstrap(deadline, limits, eventLoop)
        // A Unix domain socket has neither TCP_NODELAY nor TCP's keep-alive.
        if address.ipAddress != nil {
            bootstrap = bootstrap.channelOption(.tcpOption(.tcp_nodelay), value: 1).noticingVanishedPeers(liveness)
        }
        return try await self.dial(bootstrap, prepare, on: eventLoop) { $0.connect(to: address) }
    }

    /// Connects to a socket of a virtual machine, or of its host.
    package static func dial(
        _ address: VsockAddress,
        until deadline: NIODeadline,
        limits: Limits,
        prepare: ShellHooks.Prepare? = nil,
        on eventLoop: any EventLoop
    ) async throws -> Dialled {
        try await self.dial(self.bootstrap(deadline, limits, eventLoop), prepare, on: eventLoop) {
            $0.connect(to: address)
        }
    }

    private static func dial(
        _ bootstrap: ClientBootstrap,
        _ prepare: ShellHooks.Prepare?,
        on eventLoop: any EventLoop,
        _ connect: (ClientBootstrap) -> EventLoopFuture<any Channel>
    ) async throws -> Dialled {
        let dialling = Dialling()
        let holder = NIOLoopBoundBox.makeEmptyBox(valueType: HoldingHandler.self, eventLoop: eventLoop)
        let prepared = bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try dialling.set(channel)
                try prepare?(channel)
                let handler = HoldingHandler()
                try channel.pipeline.syncOperations.addHandler(handler)
                holder.value = handler
            }
        }
        let channel = try await withTaskCancellationHandler {
            try await connect(prepared).get()
        } onCancel: {
            dialling.cancel()
        }
        return Dialled(channel: channel, holder: holder)
    }

    private static func bootstrap(
        _ deadline: NIODeadline,
        _ limits: Limits,
        _ eventLoop: any EventLoop
    ) -> ClientBootstrap {
        let marks = limits.writeMarks
        return ClientBootstrap(group: eventLoop)
            .connectTimeout(max(.milliseconds(1), deadline - .now()))
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            .channelOption(.writeBufferWaterMark, value: .init(low: marks.low, high: marks.high))
    }
}

/// The channel that is being connected, so that it can be given up meanwhile.
private final class Dialling: Sendable {
    private let state = Mutex<(channel: (any Channel)?, isCancelled: Bool)>((nil, false))

    func set(_ channel: any Channel) throws {
        let isCancelled = self.state.withLock { state in
            state.channel = channel
            return state.isCancelled
        }
        if isCancelled { throw CancellationError() }
    }

    func cancel() {
        let channel = self.state.withLock { state in
            state.isCancelled = true
            return state.channel
        }
        channel?.close(promise: nil)
    }
}
