// HTTP/2 to a server: offered in TLS, and a WebSocket is opened on a stream once the server has said that it takes one
// (RFC 8441 section 3).

public import KHPClient
package import KHPProtocol
package import KHPWebSocket
package import NIOCore
import NIOHPACK
import NIOHTTP2

extension WebSocketClient {
    /// The use of HTTP/2 for opening handshakes (RFC 8441), set in ``Configuration/http2``.
    public struct HTTP2: Sendable, Hashable {
        /// The connections that use HTTP/2.
        public enum Use: String, Sendable, Hashable, CaseIterable {
            /// HTTP/1.1 alone.
            case off
            /// HTTP/2 where the server chooses it in TLS and takes WebSockets there (RFC 8441); otherwise HTTP/1.1, if need
            /// be on a second connection. HTTP/1.1 is also used where the server asks for it (HTTP_1_1_REQUIRED), refuses
            /// the stream, has no room for one or leaves the connection before it has taken one (RFC 9113 section 8.7).
            case preferred
            /// HTTP/2, or the connect fails with ``KHPProtocol/WebSocketError/Code/openingInvalid``; for ws, which has no
            /// TLS, and for dialects before RFC 6455, with ``KHPProtocol/WebSocketError/Code/invalidArgument``. A stream
            /// that the server does not take is asked for once more, on another connection; then the connect fails with
            /// ``KHPProtocol/WebSocketError/Code/connectFailed``.
            case required
        }

        /// The connections that use HTTP/2.
        public var use: Use
        /// `true` to open WebSockets on a connection that the client has already, as far as the server allows streams on
        /// one (SETTINGS_MAX_CONCURRENT_STREAMS); one more is dialled beyond. While one is dialled, others wait for it.
        ///
        /// Shared is a connection to the same host and port, at an address that the host has now, through the same proxy
        /// with the same credentials, with the same certificate of the client's; never one through a proxy that has asked
        /// for a login. It belongs to the client value and its copies. One that the server leaves (GOAWAY) takes no
        /// more, and neither does one on which an opening was not answered within `timeouts.opening`, or within what was
        /// left of `timeouts.total`; the WebSockets that are open on it stay. A stream that is lost on it before any
        /// answer is asked for again, on a connection of its own, and so is one that was not answered in time where
        /// `timeouts.total` leaves any.
        public var sharesConnections = false
        /// How long a shared connection stays without a WebSocket.
        public var idleTime: Duration = .seconds(30)

        /// HTTP/2 in this use.
        public init(_ use: Use, sharesConnections: Bool = false) {
            self.use = use
            self.sharesConnections = sharesConnections
        }

        /// HTTP/1.1 alone.
        public static var off: HTTP2 { HTTP2(.off) }
        /// HTTP/2 where the server offers it for WebSockets.
        public static var preferred: HTTP2 { HTTP2(.preferred) }
        /// HTTP/2 or nothing.
        public static var required: HTTP2 { HTTP2(.required) }
    }
}

extension WebSocketClient.Configuration {
    /// HTTP/2 for the opening handshake; off by default.
    ///
    /// It costs one wait for the server's settings before the request can be sent. Each WebSocket has a connection of its
    /// own, unless ``WebSocketClient/HTTP2/sharesConnections`` is set. Redirects, challenges, extensions and the extended
    /// handshake are as over HTTP/1.1; each hop chooses anew.
    ///
    /// Observers are shown the request and its answer as HTTP/1.1 would have them, without a key.
    public var http2: WebSocketClient.HTTP2 {
        get { self.streams as? WebSocketClient.HTTP2 ?? .off }
        set { self.streams = newValue }
    }
}

extension WebSocketClient.HTTP2: ClientStreamProtocol {
    package var name: String { "h2" }

    package var isOffered: Bool { self.use != .off }

    package var isRequired: Bool { self.use == .required }

    package func open(
        on channel: any Channel,
        limits: Limits,
        within patience: TimeAmount,
        sharing share: (@Sendable (any StreamConnection) -> Void)?,
        _ makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
    ) -> EventLoopFuture<Bool> {
        let settled = channel.eventLoop.makePromise(of: Bool.self)
        let idleTime = share == nil ? TimeAmount.zero : TimeAmount(self.idleTime)
        let life = ConnectionLife(.init(first: patience.adding(.seconds(1)), next: idleTime))
        let watch = SettingsWatch(settled, life, within: patience)
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
            try pipeline.addHandler(GoAwayHandler(isClient: true))
            try pipeline.addHandler(frames)
            try pipeline.addHandler(life)
            try pipeline.addHandler(watch)
            let multiplexer = try frames.syncMultiplexer()
            let bound = NIOLoopBound(life, eventLoop: channel.eventLoop)
            let connection = ClientStreamConnection(channel, multiplexer, bound)
            return settled.futureResult.flatMap { takesWebSockets in
                guard takesWebSockets else { return channel.eventLoop.makeSucceededFuture(false) }
                share?(connection)
                return connection.open(makeHandler).flatMapThrowing { isOpen in
                    if isOpen { return true }
                    var error = WebSocketError(.connectFailed, "The server takes no stream on its HTTP/2 connection.")
                    error.streamRefusal = .unprocessed
                    throw error
                }
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
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.openingHead.headBytes),
            HTTP2Setting(parameter: .initialWindowSize, value: Self.window),
        ]
        connection.targetWindowSize = Self.window
        return connection
    }

    private func streams(_ limits: Limits) -> NIOHTTP2Handler.StreamConfiguration {
        var streams = NIOHTTP2Handler.StreamConfiguration()
        streams.targetWindowSize = Self.window
        streams.setWriteMarks(limits)
        return streams
    }

    /// Bytes that a server may send before the application takes them.
    private static let window = 256 * 1024
}

/// Waits for the server's first SETTINGS, which tell if it takes WebSockets (RFC 8441 section 3), and notes the most streams
/// that it allows in any.
private final class SettingsWatch: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame

    private var settled: EventLoopPromise<Bool>?
    private let life: ConnectionLife
    private let patience: TimeAmount
    private var limit: Scheduled<Void>?

    init(_ settled: EventLoopPromise<Bool>, _ life: ConnectionLife, within patience: TimeAmount) {
        self.settled = settled
        self.life = life
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

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .settings(.settings(let settings)) = self.unwrapInboundIn(data).payload else { return }
        if let most = settings.last(where: { $0.parameter == .maxConcurrentStreams })?.value {
            self.life.mostStreams = most
        }
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
