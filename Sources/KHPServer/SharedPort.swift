// Another framework's HTTP on the same port, for the connections of that port.

import NIOCore

/// The other framework's side of one connection. Unchecked: its variables are used on the connection's event loop only.
final class SharedPort: @unchecked Sendable {
    /// Sets up the other framework's pipeline. Called on the event loop.
    let setUp: @Sendable (any Channel) -> EventLoopFuture<Void>
    /// The requests that are checked for an endpoint: each, or the first only.
    let sharing: WebSocketMount.Sharing
    let security: ServerState.Security
    /// Called once the request of the connection is an endpoint's.
    let isOwn: @Sendable () -> Void

    // The channel's settings before this library has changed them.
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

    /// Keeps the settings of the channel that this library changes.
    func note(_ channel: any Channel) {
        self.allowsHalfClosure = try? channel.syncOptions?.getOption(.allowRemoteHalfClosure)
        self.waterMark = try? channel.syncOptions?.getOption(.writeBufferWaterMark)
    }

    /// Restores the settings of the channel.
    func restore(_ channel: any Channel) {
        if let allowsHalfClosure {
            try? channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: allowsHalfClosure)
        }
        if let waterMark { try? channel.syncOptions?.setOption(.writeBufferWaterMark, value: waterMark) }
    }

    /// `true` where the channel, by its own settings, closes at the end of the peer's stream.
    var closesWithInput: Bool { self.allowsHalfClosure == false }
}
