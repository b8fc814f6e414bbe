// A client of HTTP/2 that says what a test wants, and shows what it is told.

package import NIOCore
import NIOHPACK
package import NIOHTTP2
import NIOPosix
import NIOSSL

package struct StreamPeer: Sendable {
    /// One request, and the frames that answer it; they end with the stream.
    package struct Stream: Sendable {
        package let channel: any Channel
        package let frames: AsyncStream<HTTP2Frame.FramePayload>

        package func send(_ bytes: ByteBuffer, endStream: Bool = false) async throws {
            let data = HTTP2Frame.FramePayload.Data(data: .byteBuffer(bytes), endStream: endStream)
            try await self.channel.writeAndFlush(HTTP2Frame.FramePayload.data(data))
        }

        /// The status of the answer, its content up to the end of the stream or of `count` bytes, and how the stream ended
        /// if it did.
        package func answer(count: Int = .max) async -> (status: String?, content: ByteBuffer, isWhole: Bool) {
            var status: String?
            var content = ByteBuffer()
            for await frame in self.frames {
                switch frame {
                case .headers(let head):
                    status = head.headers.first(name: ":status")
                    if head.endStream { return (status, content, true) }
                    if count == 0 { return (status, content, false) }
                case .data(let data):
                    if case .byteBuffer(let bytes) = data.data { content.writeImmutableBuffer(bytes) }
                    if data.endStream { return (status, content, true) }
                    if content.readableBytes >= count { return (status, content, false) }
                default:
                    break
                }
            }
            return (status, content, false)
        }
    }

    package let channel: any Channel
    /// The frames of the connection itself; they end with it.
    package let frames: AsyncStream<HTTP2Frame>
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer

    /// Runs a client around `body`.
    /// - Parameter window: how many bytes the server may send on a stream that nobody reads.
    package static func connected(
        to port: Int,
        window: Int = 65_535,
        body: (StreamPeer) async throws -> Void
    ) async throws {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.certificateVerification = .none
        tls.applicationProtocols = ["h2"]
        let context = try NIOSSLContext(configuration: tls)
        let (frames, continuation) = AsyncStream.makeStream(of: HTTP2Frame.self)
        let (channel, multiplexer) = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    var connection = NIOHTTP2Handler.ConnectionConfiguration()
                    connection.initialSettings.append(HTTP2Setting(parameter: .initialWindowSize, value: window))
                    let handler = NIOHTTP2Handler(
                        mode: .client,
                        eventLoop: channel.eventLoop,
                        connectionConfiguration: connection
                    ) { stream in
                        stream.eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
                    }
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(try NIOSSLClientHandler(context: context, serverHostname: "localhost"))
                    try pipeline.addHandler(handler)
                    try pipeline.addHandler(Collector(continuation) as Collector<HTTP2Frame>)
                    return (channel, try handler.syncMultiplexer())
                }
            }
        defer { channel.close(promise: nil) }
        try await body(StreamPeer(channel: channel, frames: frames, multiplexer: multiplexer))
    }

    /// Waits for the first settings: without them a CONNECT with a protocol cannot be said.
    package func awaitSettings() async {
        for await frame in self.frames {
            if case .settings(.settings) = frame.payload { return }
        }
    }

    /// - Parameter reads: `false` for a stream whose client takes no more than the first window.
    package func ask(_ fields: [(String, String)], endStream: Bool = false, reads: Bool = true) async throws -> Stream {
        let (frames, continuation) = AsyncStream.makeStream(of: HTTP2Frame.FramePayload.self)
        let stream = try await self.multiplexer.createStreamChannel { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandler(Collector(continuation))
            }
        }.get()
        if !reads { try await stream.setOption(.autoRead, value: false).get() }
        let head = HTTP2Frame.FramePayload.Headers(headers: HPACKHeaders(fields), endStream: endStream)
        try await stream.writeAndFlush(HTTP2Frame.FramePayload.headers(head))
        return Stream(channel: stream, frames: frames)
    }

    /// Asks for a WebSocket.
    package func open(_ path: String) async throws -> Stream {
        try await self.ask([
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", path),
            (":authority", "localhost"), ("sec-websocket-version", "13"),
        ])
    }

    /// Asks for something else.
    package func get(_ path: String, method: String = "GET", reads: Bool = true) async throws -> Stream {
        try await self.ask(
            [(":method", method), (":scheme", "https"), (":path", path), (":authority", "localhost")],
            endStream: true,
            reads: reads
        )
    }

    private final class Collector<Frame: Sendable>: ChannelInboundHandler, Sendable {
        typealias InboundIn = Frame
        private let frames: AsyncStream<Frame>.Continuation

        init(_ frames: AsyncStream<Frame>.Continuation) { self.frames = frames }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { self.frames.yield(self.unwrapInboundIn(data)) }
        func channelInactive(context: ChannelHandlerContext) { self.frames.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) {}
    }
}
