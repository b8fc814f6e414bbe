// HTTP/2 on a server's port: clients choose it in TLS, and open WebSockets on its streams (RFC 8441).

import KHPProtocol
public import KHPServer
package import NIOCore
import NIOHPACK
import NIOHTTP2

extension WebSocketServer {
    /// The limits of HTTP/2 beside HTTP/1.1, set in ``Configuration/http2``. WebSockets are opened by extended CONNECT
    /// (RFC 8441), and all other requests of the connection are answered as over HTTP/1.1.
    ///
    /// Each stream counts as a connection: among `limits.connections` and `limits.pendingHandshakes`, for the observer,
    /// and in a graceful shutdown. The connection that carries it takes one more of `limits.connections`. Heads, messages
    /// and queues have the server's `limits`; here is what HTTP/2 adds to them.
    public struct HTTP2: Sendable, Hashable {
        /// The most streams of one connection at a time (SETTINGS_MAX_CONCURRENT_STREAMS). One more ends the connection.
        public var streamsPerConnection = 100
        /// Bytes that a client may send on one stream before the application takes them (SETTINGS_INITIAL_WINDOW_SIZE),
        /// 65,535 at least. With ``streamsPerConnection`` it bounds what one connection can make the server hold.
        public var windowBytes = 128 * 1024
        /// The most RST_STREAM frames, and the most errors of single streams, of one connection within ``floodWindow``;
        /// one more ends it with ENHANCE_YOUR_CALM. No more than 65,536.
        public var resets = 200
        /// The most PING, SETTINGS and PRIORITY frames of one connection within ``floodWindow``; one more ends it with
        /// ENHANCE_YOUR_CALM. No more than 65,536.
        public var controlFrames = 200
        /// The time in which ``resets`` and ``controlFrames`` are counted.
        public var floodWindow: Duration = .seconds(30)
        /// The time that a connection may be without a stream. Before the first it is `timeouts.opening`.
        public var idleTime: Duration = .seconds(60)

        /// The defaults.
        public init() {}
    }
}

extension WebSocketServer.Configuration {
    /// HTTP/2 beside HTTP/1.1 for clients that come by TLS and offer `h2`; `nil`, the default, serves HTTP/1.1 alone.
    ///
    /// Means nothing without `tls`: HTTP/2 without TLS is not served. A WebSocket on a stream speaks RFC 6455; the
    /// dialects before it are opened over HTTP/1.1 only. Its opening request is shown, to the application and to observers,
    /// as HTTP/1.1 would have it, without a key.
    public var http2: WebSocketServer.HTTP2? {
        get { self.streams as? WebSocketServer.HTTP2 }
        set { self.streams = newValue }
    }
}

extension WebSocketMount.Configuration {
    /// HTTP/2 for connections that come in by a `WebSocketListener`, as in ``KHPServer/WebSocketServer/Configuration``;
    /// another server's connections are its own to set up.
    public var http2: WebSocketServer.HTTP2? {
        get { self.streams as? WebSocketServer.HTTP2 }
        set { self.streams = newValue }
    }
}

extension WebSocketServer.HTTP2: StreamProtocol {
    package var name: String { "h2" }

    package func setUp(_ channel: any Channel, _ carrier: StreamCarrier) throws {
        let life = ConnectionLife(.init(first: carrier.firstStream, next: TimeAmount(self.idleTime)))
        let frames = NIOHTTP2Handler(
            mode: .server,
            eventLoop: channel.eventLoop,
            connectionConfiguration: self.connection(carrier.limits),
            streamConfiguration: self.streams(carrier.limits),
            streamDelegate: StreamCount(life: NIOLoopBound(life, eventLoop: channel.eventLoop))
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                let handler = StreamHandler(ServerExchange(), isServer: true) { stream, exchange in
                    try carrier.take(stream, opensByConnect: exchange.isConnect)
                }
                try stream.pipeline.syncOperations.addHandler(handler)
            }
        }
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(CarrierGate(stalledWrite: carrier.stalledWrite))
        try pipeline.addHandler(GoAwayHandler(isClient: false))
        try pipeline.addHandler(frames)
        try pipeline.addHandler(life)
    }

    func connection(_ limits: Limits) -> NIOHTTP2Handler.ConnectionConfiguration {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: self.mostStreams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: limits.openingHead.headBytes),
            HTTP2Setting(parameter: .initialWindowSize, value: self.window),
            HTTP2Setting(parameter: .enableConnectProtocol, value: 1),
        ]
        // The window of all streams together: it is given back as soon as bytes have come, so it bounds none of them.
        connection.targetWindowSize = min(4 * self.window, Int(Int32.max))
        connection.controlFrameRateLimit.maximumCount = Self.counted(self.controlFrames)
        connection.controlFrameRateLimit.windowLength = TimeAmount(self.floodWindow)
        connection.maximumBufferedControlFrames = self.waitingFrames
        return connection
    }

    private func streams(_ limits: Limits) -> NIOHTTP2Handler.StreamConfiguration {
        var streams = NIOHTTP2Handler.StreamConfiguration()
        streams.targetWindowSize = self.window
        streams.setWriteMarks(limits)
        streams.streamResetFrameRateLimit.maximumCount = Self.counted(self.resets)
        streams.streamResetFrameRateLimit.windowLength = TimeAmount(self.floodWindow)
        streams.streamErrorRateLimit.maximumCount = Self.counted(self.resets)
        streams.streamErrorRateLimit.windowLength = TimeAmount(self.floodWindow)
        return streams
    }

    /// A limit on a rate, bounded: the library allocates 8 bytes for each event that it allows.
    private static func counted(_ most: Int) -> Int { min(max(most, 0), 65_536) }

    /// ``streamsPerConnection`` within the protocol's bounds.
    private var mostStreams: Int { min(max(self.streamsPerConnection, 1), Int(Int32.max)) }

    /// The most frames other than DATA that wait while the client reads nothing; one more ends the connection. Each stream
    /// that it may have open can need a head, an end and windows, and each frame that it may send an answer: a client that
    /// keeps to its bounds does not come near (threat A19).
    private var waitingFrames: Int {
        min(4 * self.mostStreams + max(Self.counted(self.controlFrames), 200), Int(Int32.max))
    }

    /// ``windowBytes`` within the protocol's bounds (RFC 9113 section 6.9.2; threat A21).
    private var window: Int { min(max(self.windowBytes, 65_535), Int(Int32.max)) }
}
