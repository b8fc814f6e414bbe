// The peers: NIOWebSocket as its documentation shows it, and plain bytes as the floor on SwiftNIO.

import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

func bootstrap(on group: MultiThreadedEventLoopGroup) -> ServerBootstrap {
    ServerBootstrap(group: group)
        .serverChannelOption(.backlog, value: 4096)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
}

// MARK: NIOWebSocket

func serveNIOWebSocket(port: Int, on group: MultiThreadedEventLoopGroup) throws -> SocketAddress? {
    try bootstrap(on: group)
        .childChannelInitializer { channel in
            let upgrader = NIOWebSocketServerUpgrader(
                maxFrameSize: 1 << 20,
                shouldUpgrade: { channel, head in
                    var headers = HTTPHeaders()
                    if offersExtendedHandshake(head) { headers.add(name: "Sec-WebSocket-Protocol", value: khp) }
                    return channel.eventLoop.makeSucceededFuture(headers)
                },
                upgradePipelineHandler: { channel, head in
                    channel.eventLoop.makeCompletedFuture {
                        let echo = WebSocketEcho(isNegotiating: offersExtendedHandshake(head), path: head.uri)
                        try channel.pipeline.syncOperations.addHandler(echo)
                    }
                }
            )
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                    withServerUpgrade: (upgraders: [upgrader], completionHandler: { _ in })
                )
            }
        }
        .bind(host: "127.0.0.1", port: port).wait().localAddress
}

private let khp = "x-kaazing-handshake"

private func offersExtendedHandshake(_ head: HTTPRequestHead) -> Bool {
    head.headers[canonicalForm: "Sec-WebSocket-Protocol"].contains { $0 == khp }
}

private final class WebSocketEcho: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private var isNegotiating: Bool
    private let path: String

    init(isNegotiating: Bool, path: String) {
        self.isNegotiating = isNegotiating
        self.path = path
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = self.unwrapInboundIn(data)
        switch frame.opcode {
        case .text, .binary, .continuation:
            if self.isNegotiating {
                self.negotiate(frame.unmaskedData, context)
            } else {
                let echo = WebSocketFrame(fin: frame.fin, opcode: frame.opcode, data: frame.unmaskedData)
                context.write(self.wrapOutboundOut(echo), promise: nil)
            }
        case .ping:
            let pong = WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)
            context.write(self.wrapOutboundOut(pong), promise: nil)
        case .connectionClose:
            let close = WebSocketFrame(fin: true, opcode: .connectionClose, data: frame.unmaskedData)
            context.writeAndFlush(self.wrapOutboundOut(close), promise: nil)
            context.close(promise: nil)
        default:
            break
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        context.fireChannelReadComplete()
    }

    /// The extended handshake as an application would do it by hand: request line and fields, then 101 or 400.
    private func negotiate(_ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        self.isNegotiating = false
        var status = "400 Bad Request"
        var headers = HTTPHeaders()
        var lines = String(buffer: payload).split(separator: "\r\n", omittingEmptySubsequences: false)[...]
        if let request = lines.popFirst()?.split(separator: " "), request.count == 3, request[0] == "GET",
            request[1] == self.path, request[2] == "HTTP/1.1"
        {
            for line in lines {
                guard let colon = line.firstIndex(of: ":") else { continue }
                let value = line[line.index(after: colon)...].drop { $0 == " " }
                headers.add(name: String(line[..<colon]), value: String(value))
            }
            status = "101 Switching Protocols"
        }
        var answer = "HTTP/1.1 \(status)\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        if let subprotocol = headers[canonicalForm: "Sec-WebSocket-Protocol"].first {
            answer += "Sec-WebSocket-Protocol: \(subprotocol)\r\n"
        }
        answer += "\r\n"
        let frame = WebSocketFrame(fin: true, opcode: .binary, data: ByteBuffer(string: answer))
        context.write(self.wrapOutboundOut(frame), promise: nil)
    }
}

// MARK: Plain TCP

func serveTCPEcho(port: Int, on group: MultiThreadedEventLoopGroup) throws -> SocketAddress? {
    try bootstrap(on: group)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(TCPEcho()) }
        }
        .bind(host: "127.0.0.1", port: port).wait().localAddress
}

private final class TCPEcho: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.write(data, promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        context.fireChannelReadComplete()
    }
}
