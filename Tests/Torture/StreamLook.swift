// The streams of HTTP/2 and their handlers, which must be gone behind a run as connections must.

import KHPProtocol
import KHPWebSocket
import NIOCore

@testable import KHPClient

/// Stands first on a stream, and looks for the handlers that come to it.
final class StreamLook: ChannelInboundHandler {
    typealias InboundIn = Any

    private let side: Side
    private let watch: Watch

    private init(_ side: Side, _ watch: Watch) {
        self.side = side
        self.watch = watch
    }

    /// Notes a stream and its handlers. On the event loop.
    static func note(_ stream: any Channel, _ side: Side, _ watch: Watch) {
        watch.note(stream, "\(side) stream")
        let look = StreamLook(side, watch)
        watch.note(look, "what stands on a \(side) stream")
        look.lookForHandlers(stream.pipeline)
        try? stream.pipeline.syncOperations.addHandler(look, position: .first)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        self.lookForHandlers(context.pipeline)
    }

    private func lookForHandlers(_ pipeline: ChannelPipeline) {
        for handler in PipelineWalk.handlers(of: pipeline) {
            guard let name = PipelineWalk.ownName(handler), self.watch.isNew(handler) else { continue }
            self.watch.note(handler, "\(self.side) \(name) of a stream")
            (handler as? ConnectionHandler)?.ending.timeouts.flush = .milliseconds(150)
        }
    }
}

/// A client's protocol of streams, of which each stream is noted.
struct WatchedStreams: ClientStreamProtocol {
    let base: any ClientStreamProtocol
    let watch: Watch

    var name: String { self.base.name }
    var isOffered: Bool { self.base.isOffered }
    var isRequired: Bool { self.base.isRequired }
    var sharesConnections: Bool { self.base.sharesConnections }

    func open(
        on channel: any Channel,
        limits: Limits,
        within patience: TimeAmount,
        sharing share: (@Sendable (any StreamConnection) -> Void)?,
        _ makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
    ) -> EventLoopFuture<Bool> {
        let watch = self.watch
        var watched: (@Sendable (any StreamConnection) -> Void)?
        if let share { watched = { share(WatchedConnection(base: $0, watch: watch)) } }
        return self.base.open(on: channel, limits: limits, within: patience, sharing: watched) { stream in
            try Self.note(stream, watch, makeHandler)
        }
    }

    private static func note(
        _ stream: any Channel,
        _ watch: Watch,
        _ makeHandler: @Sendable (any Channel) throws -> ConnectionHandler
    ) throws -> ConnectionHandler {
        let handler = try makeHandler(stream)
        handler.ending.timeouts.flush = .milliseconds(150)
        watch.note(handler, "client ConnectionHandler of a stream")
        StreamLook.note(stream, .client, watch)
        return handler
    }

    private final class WatchedConnection: StreamConnection {
        let base: any StreamConnection
        let watch: Watch

        init(base: any StreamConnection, watch: Watch) {
            self.base = base
            self.watch = watch
        }

        var channel: any Channel { self.base.channel }

        func open(
            _ makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
        ) -> EventLoopFuture<Bool> {
            let watch = self.watch
            return self.base.open { try WatchedStreams.note($0, watch, makeHandler) }
        }

        func retire() { self.base.retire() }
    }
}
