// One question to an admin address, and the answer of it or of a proxy on the way: the end of a pipeline of HTTP/1.1.

import NIOCore
import NIOHTTP1

/// Takes one whole answer (RFC 9112 section 8): a script acts on it, so one that is cut is none.
final class AdminAnswerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let most: Int
    private var head: HTTPResponseHead?
    private var content = ByteBuffer()
    private var isLost = false
    /// `nil` before the question, and at an address that is not asked.
    private var promise: EventLoopPromise<AdminClient.Answer>?
    private var context: ChannelHandlerContext?

    /// - Parameter most: the most bytes of content.
    init(most: Int) {
        self.most = most
    }

    /// Sends a request without content. The promise fails with ``AdminClient/Failure/noAnswer`` where what comes is none,
    /// and with the connection's error where nothing comes.
    func ask(_ request: HTTPRequestHead, _ promise: EventLoopPromise<AdminClient.Answer>) {
        guard let context = self.context else { return promise.fail(AdminClient.Failure.noAnswer) }
        self.promise = promise
        context.write(self.wrapOutboundOut(.head(request))).cascadeFailure(to: promise)
        context.writeAndFlush(self.wrapOutboundOut(.end(nil))).cascadeFailure(to: promise)
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        self.fail(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head):
            guard (200...599).contains(head.status.code), head.isReadable else { return self.fail(context) }
            self.head = head
        case .body(var part):
            guard self.content.readableBytes + part.readableBytes <= self.most else { return self.fail(context) }
            self.content.writeBuffer(&part)
        case .end:
            guard let head = self.head, !self.isLost || head.tellsItsEnd else { return self.fail(context) }
            self.promise?.succeed(
                AdminClient.Answer(status: Int(head.status.code), body: String(buffer: self.content))
            )
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.isLost = true
        // Before the answer it tells why there is none; after one that is whole, a peer may end as it likes.
        if self.head == nil, !(error is HTTPParserError) { self.promise?.fail(error) }
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { self.fail(context) }

    private func fail(_ context: ChannelHandlerContext) {
        self.promise?.fail(AdminClient.Failure.noAnswer)
        context.close(promise: nil)
    }
}

extension HTTPResponseHead {
    private var codings: [String] { self.headers[canonicalForm: "Transfer-Encoding"].map { $0.lowercased() } }

    /// `false` for content under a coding beside chunks.
    fileprivate var isReadable: Bool { self.codings.isEmpty || self.codings == ["chunked"] }

    /// `false` where the connection's end is the content's (RFC 9112 section 6.3).
    fileprivate var tellsItsEnd: Bool {
        [204, 304].contains(self.status.code) || !self.codings.isEmpty || self.headers.contains(name: "Content-Length")
    }
}
