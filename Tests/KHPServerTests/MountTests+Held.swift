// Bytes that the mount holds back from another server's HTTP: they come to it when nothing of ours can come any more.

import KHPServer
import NIOCore
import TestSupport
import Testing

extension MountTests {
    /// Changes the protocol with 101, and echoes whatever comes behind; acts when a read is complete, as channels of async
    /// code do.
    private final class Switching: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private var received = ByteBuffer()
        private var hasSwitched = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
        }

        func channelReadComplete(context: ChannelHandlerContext) {
            guard self.hasSwitched || String(buffer: self.received).hasSuffix("\r\n\r\n") else { return }
            let answer = self.hasSwitched ? self.received : ByteBuffer(string: MountTests.switched)
            self.hasSwitched = true
            self.received.clear()
            context.writeAndFlush(self.wrapOutboundOut(answer), promise: nil)
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
        }
    }

    private static let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n"

    @Test(
        "what came behind a request for another protocol is the other server's, and so is the end",
        .timeLimit(.minutes(1))
    )
    func otherProtocol() async throws {
        let request = "GET /other HTTP/1.1\r\nHost: h\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n"
        try await Self.withMount(http: { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Switching())
                return "theirs"
            }
        }) { mounted in
            let client = try await RawClient.connect(mounted.port)
            try await client.send(request + "glued")
            let first = Self.switched + "glued"
            let count = first.utf8.count
            #expect(try await String(buffer: client.take { $0.readableBytes >= count ? count : nil }) == first)
            try await client.send("more")
            #expect(try await String(buffer: client.take { $0.readableBytes >= 4 ? 4 : nil }) == "more")
            try await client.endOutput()
            #expect(try await client.receiveAll().readableBytes == 0)
        }
    }
}
