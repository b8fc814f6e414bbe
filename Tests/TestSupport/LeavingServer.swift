// A server of HTTP/2 that takes WebSockets, sends short texts back, and leaves its connections, refuses their streams or
// falls silent when a test wants it to.

import NIOCore
import NIOHPACK
package import NIOHTTP2
import NIOPosix
import NIOSSL
import Synchronization

package final class LeavingServer: Sendable {
    /// How a server treats the streams of a connection behind the first.
    package enum Manner: Sendable {
        case answers
        /// With RST_STREAM and REFUSED_STREAM.
        case refuses
        /// It says nothing to them, as one that hangs.
        case keepsSilent
    }

    /// The last that a client is answered.
    package enum Answers: Sendable {
        /// TLS, which agrees on HTTP/2.
        case tls
        /// The settings of HTTP/2.
        case settings
        /// The request for a WebSocket.
        case requests
        /// Texts and close frames.
        case frames
    }

    private let manner: Manner
    private let answers: Answers
    private let hears: @Sendable (HTTP2Frame.FramePayload) -> Void
    private let channels = Mutex<[any Channel]>([])

    /// - Parameter hears: called with each frame of a stream.
    package init(
        _ manner: Manner = .answers,
        answers: Answers = .frames,
        hears: @escaping @Sendable (HTTP2Frame.FramePayload) -> Void = { _ in }
    ) {
        self.manner = manner
        self.answers = answers
        self.hears = hears
    }

    /// The connections that came.
    package var connections: Int { self.channels.withLock { $0.count } }

    /// Says GOAWAY on all of them.
    package func leave() async throws {
        for channel in self.channels.withLock({ $0 }) {
            let frame = HTTP2Frame.FramePayload.goAway(lastStreamID: 1, errorCode: .noError, opaqueData: nil)
            try await channel.writeAndFlush(HTTP2Frame(streamID: .rootStream, payload: frame))
        }
    }

    package func run(_ body: (_ url: String) async throws -> Void) async throws {
        let certificates = try Certificates.shared.get()
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
        tls.applicationProtocols = ["h2"]
        let context = try NIOSSLContext(configuration: tls)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    self.channels.withLock { $0.append(channel) }
                    var configuration = NIOHTTP2Handler.ConnectionConfiguration()
                    configuration.initialSettings = [HTTP2Setting(parameter: .enableConnectProtocol, value: 1)]
                    let (manner, answers, hears) = (self.manner, self.answers, self.hears)
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(NIOSSLServerHandler(context: context))
                    if case .tls = answers { return }
                    try pipeline.addHandler(
                        NIOHTTP2Handler(
                            mode: .server,
                            eventLoop: channel.eventLoop,
                            connectionConfiguration: configuration,
                            streamConfiguration: .init()
                        ) { stream in
                            stream.eventLoop.makeCompletedFuture {
                                try stream.pipeline.syncOperations.addHandler(Echo(manner, answers, hears))
                            }
                        }
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        defer {
            listener.close(promise: nil)
            for channel in self.channels.withLock({ $0 }) { channel.close(promise: nil) }
        }
        try await body("wss://localhost:\(listener.localAddress?.port ?? 0)/")
    }

    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = HTTP2Frame.FramePayload
        typealias OutboundOut = HTTP2Frame.FramePayload

        private let manner: Manner
        private let answers: Answers
        private let hears: (HTTP2Frame.FramePayload) -> Void

        init(_ manner: Manner, _ answers: Answers, _ hears: @escaping (HTTP2Frame.FramePayload) -> Void) {
            self.manner = manner
            self.answers = answers
            self.hears = hears
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let frame = self.unwrapInboundIn(data)
            self.hears(frame)
            if case .settings = self.answers { return }
            switch frame {
            case .headers:
                let id = try? context.channel.syncOptions?.getOption(HTTP2StreamChannelOptions.streamID)
                let isFirst = id.map { Int($0) } == 1
                switch isFirst ? .answers : self.manner {
                case .answers:
                    let head = HTTP2Frame.FramePayload.Headers(headers: [":status": "200"])
                    context.writeAndFlush(self.wrapOutboundOut(.headers(head)), promise: nil)
                case .refuses:
                    context.writeAndFlush(self.wrapOutboundOut(.rstStream(.refusedStream)), promise: nil)
                case .keepsSilent:
                    break
                }
            case .data(let data):
                guard case .frames = self.answers, case .byteBuffer(let bytes) = data.data, bytes.readableBytes >= 6
                else { return }
                let frame = Array(buffer: bytes)
                let payload = frame[6...].enumerated().map { $1 ^ frame[2 + $0 % 4] }
                let echo = ByteBuffer(bytes: [frame[0], UInt8(payload.count)] + payload)
                let isClose = frame[0] == 0x88
                let content = HTTP2Frame.FramePayload.Data(data: .byteBuffer(echo), endStream: isClose)
                context.writeAndFlush(self.wrapOutboundOut(.data(content)), promise: nil)
            default:
                break
            }
        }
    }
}
