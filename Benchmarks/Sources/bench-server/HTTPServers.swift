// Ordinary HTTP, on our port and on a bare NIOHTTP1: a line at /, a mebibyte in pieces at /large, and the count of the bytes
// that were sent at /upload.

import HTTPTypes
import KHPServer
import NIOCore
import NIOHTTP1
import NIOPosix

private enum Pages {
    static let line = "hello, hello!\n"
    static let piece = ByteBuffer(repeating: 0x78, count: 64 * 1024)
    static let pieces = 16
}

func serveKHPHTTP(port: Int, on group: MultiThreadedEventLoopGroup) {
    serve(port, on: group) { configuration in
        configuration.httpLimits.bodyBytes = nil
        configuration.httpLimits.exchanges = 20_000
        configuration.serveHTTP = { exchange in
            switch exchange.request.path {
            case "/large":
                try await exchange.respond(.init(status: .ok)) { writer in
                    for _ in 0..<Pages.pieces { try await writer.write(Pages.piece) }
                }
            case "/upload":
                var count = 0
                for try await piece in exchange.body { count += piece.readableBytes }
                try await exchange.respond(.init(status: .ok), "\(count)\n")
            default:
                try await exchange.respond(.init(status: .ok), Pages.line)
            }
        }
    } endpoints: {
        Endpoint("/socket") { (_: WebSocket) in }
    }
}

func serveNIOHTTP(port: Int, on group: MultiThreadedEventLoopGroup) throws -> SocketAddress? {
    try bootstrap(on: group)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                try channel.pipeline.syncOperations.addHandler(NIOPages())
            }
        }
        .bind(host: "127.0.0.1", port: port).wait().localAddress
}

private final class NIOPages: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private var path = ""
    private var isKept = true
    private var received = 0
    private var piecesLeft = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head):
            self.path = head.uri
            self.isKept = head.isKeepAlive
            self.received = 0
        case .body(let bytes):
            self.received += bytes.readableBytes
        case .end:
            self.answer(context)
        }
    }

    private func answer(_ context: ChannelHandlerContext) {
        if self.path == "/large" {
            self.write(head: ["transfer-encoding": "chunked"], context)
            self.piecesLeft = Pages.pieces
            return self.writeMore(context)
        }
        let text = ByteBuffer(string: self.path == "/upload" ? "\(self.received)\n" : Pages.line)
        self.write(head: ["content-length": "\(text.readableBytes)"], context)
        context.write(self.wrapOutboundOut(.body(.byteBuffer(text))), promise: nil)
        self.end(context)
    }

    /// As much as there is room for.
    private func writeMore(_ context: ChannelHandlerContext) {
        while self.piecesLeft > 0, context.channel.isWritable {
            self.piecesLeft -= 1
            // A flush can make room, and come back here.
            let isLast = self.piecesLeft == 0
            context.writeAndFlush(self.wrapOutboundOut(.body(.byteBuffer(Pages.piece))), promise: nil)
            if isLast { self.end(context) }
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { self.writeMore(context) }

    private func write(head fields: HTTPHeaders, _ context: ChannelHandlerContext) {
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: fields)
        context.write(self.wrapOutboundOut(.head(head)), promise: nil)
    }

    private func end(_ context: ChannelHandlerContext) {
        let done = context.eventLoop.makePromise(of: Void.self)
        if !self.isKept {
            let channel = context.channel
            done.futureResult.whenComplete { _ in channel.close(promise: nil) }
        }
        context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: done)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
