// HTTP/2 to a server: offered in TLS, and a WebSocket is opened on a stream once the server has said that it takes one
// (RFC 8441 section 3).

public import KHPClient
import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOHPACK
import NIOHTTP2

extension WebSocketClient {
    /// The use of HTTP/2, as ``Configuration/http2`` has it.
    public enum HTTP2: String, Sendable, Hashable, CaseIterable {
        /// HTTP/1.1 alone.
        case off
        /// HTTP/2 where the server chooses it in TLS and takes WebSockets there (RFC 8441); otherwise HTTP/1.1, if need be on
        /// a second connection.
        case preferred
        /// HTTP/2, or the connect fails with ``KHPProtocol/WebSocketError/Code/openingInvalid``; for ws, which has no TLS,
        /// and for dialects before RFC 6455, with ``KHPProtocol/WebSocketError/Code/invalidArgument``.
        case required
    }
}

extension WebSocketClient.Configuration {
    /// HTTP/2 for the opening handshake; off by default.
    ///
    /// It costs one wait for the server's settings before the request can be sent. Each WebSocket has a connection of its
    /// own. Redirects, challenges, extensions and the extended handshake are as over HTTP/1.1; each hop chooses anew.
    /// Observers are shown the request and its answer as HTTP/1.1 would have them, without a key.
    public var http2: WebSocketClient.HTTP2 {
        get { (self.streams as? OfferedHTTP2).map { $0.isRequired ? .required : .preferred } ?? .off }
        set { self.streams = newValue == .off ? nil : OfferedHTTP2(isRequired: newValue == .required) }
    }
}

struct OfferedHTTP2: ClientStreamProtocol {
    let isRequired: Bool

    var name: String { "h2" }

    func open(
        on channel: any Channel,
        limits: Limits,
        within patience: TimeAmount,
        _ makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
    ) -> EventLoopFuture<Bool> {
        let settled = channel.eventLoop.makePromise(of: Bool.self)
        let watch = SettingsWatch(settled, within: patience)
        let life = ConnectionLife(.init(first: patience + .seconds(1), next: .zero))
        let spy = GoAwaySpy { context in
            let channel = context.channel
            context.eventLoop.execute { channel.close(promise: nil) }
        }
        let frames = NIOHTTP2Handler(
            mode: .client,
            eventLoop: channel.eventLoop,
            connectionConfiguration: self.connection(limits),
            streamConfiguration: self.streams(limits),
            streamDelegate: StreamCount(life: NIOLoopBound(life, eventLoop: channel.eventLoop))
        ) { stream in
            // A server's own streams are refused by the settings.
            stream.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
        }
        do {
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(spy)
            try pipeline.addHandler(frames)
            try pipeline.addHandler(life)
            try pipeline.addHandler(watch)
            let multiplexer = try frames.syncMultiplexer()
            return settled.futureResult.flatMap { takesWebSockets in
                guard takesWebSockets else { return channel.eventLoop.makeSucceededFuture(false) }
                return multiplexer.createStreamChannel { stream in
                    stream.eventLoop.makeCompletedFuture {
                        let pipeline = stream.pipeline.syncOperations
                        try pipeline.addHandler(StreamHandler(AskedExchange(), isServer: false))
                        try pipeline.addHandler(try makeHandler(stream), name: "khp")
                    }
                }.map { _ in true }
            }
        } catch {
            settled.fail(error)
            return settled.futureResult
        }
    }

    private func connection(_ limits: Limits) -> NIOHTTP2Handler.ConnectionConfiguration {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.headBytes),
            HTTP2Setting(parameter: .initialWindowSize, value: Self.window),
        ]
        connection.targetWindowSize = Self.window
        return connection
    }

    private func streams(_ limits: Limits) -> NIOHTTP2Handler.StreamConfiguration {
        var streams = NIOHTTP2Handler.StreamConfiguration()
        streams.targetWindowSize = Self.window
        streams.outboundBufferSizeHighWatermark = limits.sendBufferHighMark
        streams.outboundBufferSizeLowWatermark = limits.sendBufferLowMark
        return streams
    }

    /// Bytes that a server may send before the application takes them.
    private static let window = 256 * 1024
}

/// Waits for the server's first settings, which say if it takes WebSockets.
private final class SettingsWatch: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private var settled: EventLoopPromise<Bool>?
    private let patience: TimeAmount
    private var limit: Scheduled<Void>?

    init(_ settled: EventLoopPromise<Bool>, within patience: TimeAmount) {
        self.settled = settled
        self.patience = patience
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        self.limit = context.eventLoop.scheduleTask(in: self.patience) {
            bound.value.settle(
                .failure(WebSocketError(.timeout, "The server did not send its HTTP/2 settings in time."))
            )
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.lose() }

    func channelInactive(context: ChannelHandlerContext) {
        self.lose()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.settle(.failure(error))
        context.fireErrorCaught(error)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .settings(.settings(let settings)) = self.unwrapInboundIn(data).payload else { return }
        self.settle(.success(settings.contains { $0.parameter == .enableConnectProtocol && $0.value == 1 }))
    }

    private func lose() {
        self.settle(
            .failure(
                WebSocketError(.closedDuringHandshake, "The server closed the connection before its HTTP/2 settings.")
            )
        )
    }

    private func settle(_ result: Result<Bool, any Error>) {
        self.limit?.cancel()
        self.limit = nil
        guard let settled = self.settled.take() else { return }
        settled.completeWith(result)
    }
}
