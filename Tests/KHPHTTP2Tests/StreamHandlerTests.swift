// The handler that makes a stream a socket, over a channel in memory: what it tells, what it writes, and each of its ends.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import NIOHPACK
import NIOHTTP2
import Testing

@testable import KHPHTTP2

/// A stream in memory. Used on one thread, without an `await` in between.
private final class Stream<Exchange: StreamExchange> {
    /// The handler behind a stream's, and all that it is told.
    final class Told: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        var all: [String] = []

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.all.append(String(buffer: self.unwrapInboundIn(data)))
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) { self.all.append("\(event)") }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            if let refusal = (error as? WebSocketError)?.streamRefusal { return self.all.append("\(refusal)") }
            self.all.append(error is IOError ? "lost" : "\(error)")
        }
    }

    let channel = EmbeddedChannel()
    private let behind = Told()

    init(_ exchange: Exchange, isServer: Bool, begin: StreamHandler<Exchange>.Begin? = nil) throws {
        let pipeline = self.channel.pipeline.syncOperations
        try pipeline.addHandler(StreamHandler(exchange, isServer: isServer, begin: begin))
        try pipeline.addHandler(self.behind)
        try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    /// Closes the channel beneath the handler, which would wait for its peer.
    deinit {
        let pipeline = self.channel.pipeline.syncOperations
        let end = try? pipeline.context(handlerType: StreamHandler<Exchange>.self)
        end?.close(promise: nil)
        self.channel.embeddedEventLoop.run()
        _ = try? self.channel.finish(acceptAlreadyClosed: true)
    }

    func receive(_ fields: [(String, String)], isLast: Bool = false) throws {
        let head = HTTP2Frame.FramePayload.Headers(headers: HPACKHeaders(fields), endStream: isLast)
        try self.channel.writeInbound(HTTP2Frame.FramePayload.headers(head))
    }

    func receive(_ content: String, isLast: Bool = false) throws {
        let data = HTTP2Frame.FramePayload.Data(data: .byteBuffer(ByteBuffer(string: content)), endStream: isLast)
        try self.channel.writeInbound(HTTP2Frame.FramePayload.data(data))
    }

    @discardableResult
    func send(_ text: String) -> EventLoopFuture<Void> { self.channel.writeAndFlush(ByteBuffer(string: text)) }

    /// As the handler behind does where it ends a connection without order.
    func reset() throws { TransportEnd.cut(.stream, try self.context) }

    /// The bytes that have not left, as the handler behind asks for them.
    var unwritten: Int { get throws { TransportEnd.unwrittenBytes(.stream, try self.context) } }

    private var context: ChannelHandlerContext {
        get throws { try self.channel.pipeline.syncOperations.context(handler: self.behind) }
    }

    /// All that the handler behind has been told since the last call.
    func told() -> [String] {
        defer { self.behind.all = [] }
        return self.behind.all
    }

    /// The frames that have been written since the last call.
    func written() throws -> [String] {
        var frames: [String] = []
        while let frame = try self.channel.readOutbound(as: HTTP2Frame.FramePayload.self) {
            switch frame {
            case .headers(let head):
                frames.append("head \(head.headers.first(name: ":status") ?? "")\(head.endStream ? " END" : "")")
            case .data(let data):
                guard case .byteBuffer(let bytes) = data.data else { continue }
                frames.append("data \(String(buffer: bytes))\(data.endStream ? " END" : "")")
            case .rstStream(let code): frames.append("reset \(code.networkCode)")
            default: frames.append("\(frame)")
            }
        }
        return frames
    }
}

extension Stream where Exchange == ServerExchange {
    /// A server's.
    convenience init(begin: StreamHandler<ServerExchange>.Begin? = nil) throws {
        try self.init(ServerExchange(), isServer: true, begin: begin)
    }

    /// A server's whose request has come, and whose response has begun.
    static func answered() throws -> Stream {
        let stream = try Stream()
        try stream.receive(request)
        stream.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        _ = stream.told()
        _ = try stream.written()
        return stream
    }
}

private let request = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "a")]
private let requestText = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
private let asking = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
/// As in RFC 9113 section 7: PROTOCOL_ERROR, NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL.
private let (noError, protocolError, internalError, refused, cancel) =
    ("reset 0", "reset 1", "reset 2", "reset 7", "reset 8")

@Suite("The handler of a stream of HTTP/2") struct StreamHandlerTests {
    private struct Broken: Error {}

    // MARK: Beginning

    @Test("the connection's handler is put in place once, before the first bytes")
    func begins() throws {
        var begun = 0
        let stream = try Stream { _, _ in
            begun += 1
            return true
        }
        try stream.receive(request)
        try stream.receive("abc")
        try stream.receive([("trailer", "x")], isLast: true)
        #expect(begun == 1)
        #expect(stream.told() == [requestText, "3\r\nabc\r\n", "0\r\n\r\n", "inputClosed"])
        #expect(try stream.written() == [])
    }

    @Test("a stream without room, or whose handler cannot be put in place, is reset, and nothing of it is told")
    func notBegun() throws {
        for (begin, code) in [({ _, _ in false }, refused), ({ _, _ in throw Broken() }, internalError)]
            as [(StreamHandler<ServerExchange>.Begin, String)]
        {
            let stream = try Stream(begin: begin)
            try stream.receive(request)
            try stream.receive("abc", isLast: true)
            #expect(stream.told() == [])
            #expect(try stream.written() == [code])
        }
    }

    @Test("what comes behind a request that is refused is not looked at, and its end is not told")
    func refusedRequest() throws {
        var begun = 0
        let stream = try Stream { _, _ in
            begun += 1
            return true
        }
        try stream.receive([(":method", "GET")])
        #expect(try stream.written() == ["head 400", "data The :scheme is neither http nor https.\n END"])
        try stream.receive(request)
        try stream.receive("abc", isLast: true)
        #expect(begun == 0 && stream.told() == [])
        // It is given up where that is not the end of it.
        stream.channel.embeddedEventLoop.advanceTime(by: EndTimeouts().goodbye)
        #expect(try stream.written() == [noError])
    }

    @Test("an answer that a client cannot read is an error, and the stream is reset")
    func unreadableAnswer() throws {
        let stream = try Stream(ClientExchange(), isServer: false)
        stream.send(asking)
        #expect(try stream.written() == ["head "])
        try stream.receive([(":status", "101")])
        #expect(stream.told() == ["lost"])
        #expect(try stream.written() == [protocolError])
        try stream.receive([(":status", "200")])
        #expect(stream.told() == [])
    }

    // MARK: Ends of the input

    @Test("the end of the input is told once, behind the bytes before it")
    func inputEnds() throws {
        let stream = try Stream()
        try stream.receive(request)
        try stream.receive("abc", isLast: true)
        try stream.receive("", isLast: true)
        #expect(stream.told() == [requestText, "3\r\nabc\r\n", "0\r\n\r\n", "inputClosed"])
    }

    @Test(
        "a client's request with which the server has done nothing is told from a loss (RFC 9113 sections 7 and 8.7)",
        arguments: [
            (.http11Required, false, "wantsHTTP1"), (.refusedStream, false, "unprocessed"),
            (.cancel, true, "unprocessed"),
            (.cancel, false, "lost"), (.protocolError, false, "lost"),
        ] as [(HTTP2ErrorCode, Bool, String)]
    )
    func refusals(_ code: HTTP2ErrorCode, _ isLeft: Bool, _ told: String) throws {
        for isAnswered in [false, true] {
            let stream = try Stream(ClientExchange(), isServer: false)
            let handler = try stream.channel.pipeline.syncOperations.handler(type: StreamHandler<ClientExchange>.self)
            handler.isLeft = { isLeft && $0 > 0 }
            stream.send(asking)
            if isAnswered { try stream.receive([(":status", "200")]) }
            _ = stream.told()
            stream.channel.pipeline.fireErrorCaught(NIOHTTP2Errors.streamClosed(streamID: 1, errorCode: code))
            #expect(stream.told() == [isAnswered ? "lost" : told])
        }
    }

    @Test("a peer's reset is a lost connection; behind our own it is no news; other errors are passed on")
    func errors() throws {
        let reset = NIOHTTP2Errors.streamClosed(streamID: 1, errorCode: .cancel)
        let stream = try Stream.answered()
        stream.channel.pipeline.fireErrorCaught(Broken())
        stream.channel.pipeline.fireErrorCaught(reset)
        #expect(stream.told() == ["\(Broken())", "lost"])
        try stream.reset()
        stream.channel.pipeline.fireErrorCaught(reset)
        #expect(stream.told() == [])
    }

    @Test("nothing that comes behind our reset is told, and it is sent once")
    func afterReset() throws {
        let stream = try Stream.answered()
        try stream.reset()
        try stream.reset()
        try stream.receive("abc")
        stream.channel.close(promise: nil)
        #expect(stream.told() == [])
        #expect(try stream.written() == [cancel])
        stream.channel.embeddedEventLoop.advanceTime(by: .seconds(3600))
        #expect(try stream.written() == [])
    }

    // MARK: Writing

    @Test("a head becomes a head, what follows content, and no bytes become no frame")
    func writes() throws {
        let stream = try Stream()
        try stream.receive(request)
        var kept = 0
        stream.send("").assumeIsolated().whenSuccess { _ in kept += 1 }
        stream.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc").assumeIsolated().whenSuccess { _ in kept += 1 }
        stream.send("").assumeIsolated().whenSuccess { _ in kept += 1 }
        stream.send("def").assumeIsolated().whenSuccess { _ in kept += 1 }
        #expect(try stream.written() == ["head 200", "data abc", "data def END"])
        #expect(kept == 4)
    }

    @Test("behind the end of the output bytes are refused, and no bytes are no failure")
    func writesBehindEnd() throws {
        let stream = try Stream.answered()
        stream.channel.close(mode: .output, promise: nil)
        stream.channel.close(mode: .output, promise: nil)
        #expect(try stream.written() == ["data  END"])
        #expect(throws: ChannelError.self) { try stream.send("abc").wait() }
        try stream.send("").wait()
        #expect(try stream.written() == [])
    }

    @Test("what has not left is counted, and no bytes have left once all before them have")
    func unwritten() throws {
        let stream = try Stream.answered()
        stream.channel.write(ByteBuffer(string: "abc"), promise: nil)
        var isWritten = false
        stream.channel.write(ByteBuffer()).assumeIsolated().whenSuccess { _ in isWritten = true }
        #expect(try stream.unwritten == 3 && !isWritten)
        stream.channel.flush()
        #expect(try stream.unwritten == 0 && isWritten)
    }

    // MARK: Closing

    @Test("closed before anything was said the stream is cancelled; a client's is not on the wire")
    func closedUntouched() throws {
        let served = try Stream()
        try served.receive(request)
        served.channel.close(promise: nil)
        #expect(try served.written() == [cancel])
        #expect(served.channel.isActive)
        let asked = try Stream(ClientExchange(), isServer: false)
        asked.channel.close(promise: nil)
        #expect(try asked.written() == [])
        #expect(!asked.channel.isActive)
    }

    @Test("closed in good order the stream waits for its peer's end, and is reset where that does not come")
    func closed() throws {
        let goodbye = EndTimeouts().goodbye
        for isClient in [false, true] {
            let served = try Stream.answered()
            let asked = try Stream(ClientExchange(), isServer: false)
            asked.send(asking)
            _ = try asked.written()
            let channel = isClient ? asked.channel : served.channel
            func written() throws -> [String] { isClient ? try asked.written() : try served.written() }
            // Twice, as two of those who end a connection may.
            channel.close(promise: nil)
            #expect(try written() == ["data  END"])
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(goodbye.nanoseconds / 2))
            channel.close(promise: nil)
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(goodbye.nanoseconds / 2 - 1))
            #expect(try written() == [])
            channel.embeddedEventLoop.advanceTime(by: .nanoseconds(1))
            #expect(try written() == [isClient ? cancel : noError])
            channel.embeddedEventLoop.advanceTime(by: goodbye)
            #expect(try written() == [])
        }
    }

    @Test("a stream that its peer has ended too waits for nothing")
    func closedBehindPeer() throws {
        let stream = try Stream()
        try stream.receive(request, isLast: true)
        stream.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        stream.channel.close(promise: nil)
        #expect(try stream.written() == ["head 200", "data  END"])
        stream.channel.embeddedEventLoop.advanceTime(by: .seconds(3600))
        #expect(try stream.written() == [])
    }

    @Test("a stream that is over while its peer is waited for is left alone")
    func goneMeanwhile() throws {
        let stream = try Stream.answered()
        stream.channel.close(promise: nil)
        stream.channel.close(promise: nil)
        _ = try stream.written()
        stream.channel.pipeline.fireChannelInactive()
        stream.channel.embeddedEventLoop.advanceTime(by: .seconds(3600))
        #expect(try stream.written() == [])
    }

    @Test("a reset behind a complete answer of a server's says that nothing is wrong (RFC 9113 section 8.1)")
    func resetCodes() throws {
        let whole = try Stream.answered()
        whole.send("123456789")
        try whole.reset()
        #expect(try whole.written() == ["data 123456789 END", noError])
        let short = try Stream.answered()
        short.send("123")
        try short.reset()
        #expect(try short.written() == ["data 123", cancel])
        let unsent = try Stream.answered()
        unsent.channel.write(ByteBuffer(string: "123456789"), promise: nil)
        try unsent.reset()
        #expect(try unsent.written() == ["data 123456789 END", cancel])
        let untouched = try Stream()
        try untouched.reset()
        #expect(try untouched.written() == [cancel])
    }
}
