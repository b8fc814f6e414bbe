// A server of HTTP/2 that takes WebSockets, sends short texts back, and leaves its connections or refuses their streams when
// a test wants it to.

import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport

final class LeavingServer: Sendable {
    /// How a server treats the streams of a connection behind the first.
    enum Manner: Sendable {
        case answers
        /// With RST_STREAM and REFUSED_STREAM.
        case refuses
        /// It says nothing to them, as one that hangs.
        case keepsSilent
    }

    private let manner: Manner
    private let channels = Mutex<[any Channel]>([])

    init(_ manner: Manner) { self.manner = manner }

    /// The connections that came.
    var connections: Int { self.channels.withLock { $0.count } }

    /// Says GOAWAY on all of them.
    func leave() async throws {
        for channel in self.channels.withLock({ $0 }) {
            let frame = HTTP2Frame.FramePayload.goAway(lastStreamID: 1, errorCode: .noError, opaqueData: nil)
            try await channel.writeAndFlush(HTTP2Frame(streamID: .rootStream, payload: frame))
        }
    }

    func run(_ body: (_ url: String) async throws -> Void) async throws {
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
                    let manner = self.manner
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(NIOSSLServerHandler(context: context))
                    try pipeline.addHandler(
                        NIOHTTP2Handler(
                            mode: .server,
                            eventLoop: channel.eventLoop,
                            connectionConfiguration: configuration,
                            streamConfiguration: .init()
                        ) { stream in
                            stream.eventLoop.makeCompletedFuture {
                                try stream.pipeline.syncOperations.addHandler(Echo(manner))
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

        init(_ manner: Manner) { self.manner = manner }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch self.unwrapInboundIn(data) {
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
                guard case .byteBuffer(let bytes) = data.data, bytes.readableBytes >= 6 else { return }
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
