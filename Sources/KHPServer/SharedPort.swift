// Somebody else's HTTP behind the same port, as the connections see it.

import NIOCore

/// One for each connection. Unchecked: what changes is touched on the connection's event loop only.
final class SharedPort: @unchecked Sendable {
    /// Sets their pipeline up. On the event loop.
    let setUp: @Sendable (any Channel) -> EventLoopFuture<Void>
    /// Looked at again before each request, or before the first only.
    let sharing: WebSocketMount.Sharing
    let security: ServerState.Security
    /// Called once the request of the connection is an endpoint's.
    let isOwn: @Sendable () -> Void

    /// The channel as it was before we had it.
    private var allowsHalfClosure: Bool?
    private var waterMark: ChannelOptions.Types.WriteBufferWaterMark?

    init(
        _ sharing: WebSocketMount.Sharing,
        _ security: ServerState.Security,
        setUp: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>,
        isOwn: @escaping @Sendable () -> Void
    ) {
        self.sharing = sharing
        self.security = security
        self.setUp = setUp
        self.isOwn = isOwn
    }

    /// Keeps the settings that we change.
    func note(_ channel: any Channel) {
        self.allowsHalfClosure = try? channel.syncOptions?.getOption(.allowRemoteHalfClosure)
        self.waterMark = try? channel.syncOptions?.getOption(.writeBufferWaterMark)
    }

    /// Gives them back.
    func restore(_ channel: any Channel) {
        if let allowsHalfClosure {
            try? channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: allowsHalfClosure)
        }
        if let waterMark { try? channel.syncOptions?.setOption(.writeBufferWaterMark, value: waterMark) }
    }

    /// `true` where the end of the peer's stream would have closed the connection without us.
    var closesWithInput: Bool { self.allowsHalfClosure == false }
}
