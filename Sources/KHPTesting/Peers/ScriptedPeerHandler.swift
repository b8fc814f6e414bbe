public import NIOCore

/// Puts a ``ScriptedPeer`` on a channel, as its only handler.
///
/// ```swift
/// let transcript = try Transcript(Self.transcript, name: "closed market")
/// let group = MultiThreadedEventLoopGroup.singleton
/// let listener = try await ServerBootstrap(group: group)
///     .childChannelInitializer { channel in
///         let loop = channel.eventLoop
///         return loop.makeCompletedFuture {
///             let peer = ScriptedPeer(transcript, as: .server)
///             let handler = ScriptedPeerHandler(peer, eventLoop: loop)
///             try channel.pipeline.syncOperations.addHandler(handler)
///         }
///     }
///     .bind(host: "127.0.0.1", port: 0).get()
/// ```
public final class ScriptedPeerHandler: ChannelInboundHandler {
    /// Bytes.
    public typealias InboundIn = ByteBuffer
    /// Bytes.
    public typealias OutboundOut = ByteBuffer

    /// Succeeds once the other side has done all that the script has of it and the channel is closed; fails with a
    /// ``TranscriptError`` where it left the script.
    public let finished: EventLoopFuture<Void>

    private let promise: EventLoopPromise<Void>
    private var peer: ScriptedPeer
    private var failure: (any Error)?
    private var hasBegun = false

    /// A handler for one channel of this event loop.
    public init(_ peer: ScriptedPeer, eventLoop: any EventLoop) {
        self.peer = peer
        self.promise = eventLoop.makePromise()
        self.finished = self.promise.futureResult
    }

    /// Begins, if the channel is active already.
    public func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { self.begin(context) }
    }

    /// Begins.
    public func channelActive(context: ChannelHandlerContext) {
        self.begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard !self.hasBegun else { return }
        self.hasBegun = true
        self.write(self.peer.start(), context)
    }

    /// Plays the script on. Bytes behind the script's end end the stream.
    public func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard self.failure == nil else { return }
        if self.peer.isFinished {
            // The script is over, and so is the conversation.
            context.close(promise: nil)
            return
        }
        do {
            self.write(try self.peer.receive(self.unwrapInboundIn(data)), context)
        } catch {
            self.failure = error
            context.close(promise: nil)
        }
    }

    /// The other side is gone, or the script ended the stream.
    public func channelInactive(context: ChannelHandlerContext) {
        do {
            if self.failure == nil { _ = try self.peer.receiveEnd() }
            if let failure { self.promise.fail(failure) } else { self.promise.succeed() }
        } catch {
            self.promise.fail(error)
        }
        context.fireChannelInactive()
    }

    /// A broken connection ends like any other; what it left unsaid is told.
    public func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func write(_ outputs: [ScriptedPeer.Output], _ context: ChannelHandlerContext) {
        for output in outputs {
            switch output {
            case .send(let bytes): context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
            case .end: context.close(promise: nil)
            }
        }
    }
}
