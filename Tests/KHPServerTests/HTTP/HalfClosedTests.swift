// A client that has ended its side of a connection of ordinary HTTP may wait for a response, and may have gone: its exchanges
// are bounded. The end of a stream of HTTP/2 tells nothing of the kind.

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import Testing

@testable import KHPServer

@Suite("A client that has ended its side") struct HalfClosedTests {
    private static func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

    private static func waits(_ reply: HTTPConversation.Reply<Void>) -> Bool {
        if case .later = reply { true } else { false }
    }

    @Test("the end of a stream's request bounds nothing; a client that takes nothing is bounded as ever (threat A23)")
    func stream() throws {
        let http = try MemoryHTTP(.stream)
        try http.receive(Self.get("/"))
        http.channel.endInput()
        #expect(http.phase == "exchanging" && http.handler.deadlines.next == nil)
        let exchange = try http.exchange()
        #expect(!Self.waits(http.handler.begin(.init(status: .ok), to: exchange)))
        #expect(http.handler.deadlines.next == nil)
        http.channel.isWritable = false
        #expect(Self.waits(http.handler.write(ByteBuffer(string: "a"), to: exchange)))
        #expect(http.has(.writing) && !http.has(.halfClosed))
        http.channel.isWritable = true
        http.channel.pipeline.fireChannelWritabilityChanged()
        #expect(http.phase == "exchanging" && http.handler.deadlines.next == nil)
    }

    @Test(
        "one that takes what is sent has the time of any client for it, and the other time behind it",
        arguments: [Transport.socket, .tls]
    )
    func takes(_ transport: Transport) throws {
        let http = try MemoryHTTP(transport)
        try http.receive(Self.get("/"))
        let exchange = try http.exchange()
        #expect(!Self.waits(http.handler.begin(.init(status: .ok), to: exchange)))
        #expect(!http.has(.halfClosed))
        http.channel.endInput()
        #expect(http.has(.halfClosed) && !http.has(.writing))
        http.channel.isWritable = false
        #expect(Self.waits(http.handler.write(ByteBuffer(string: "a"), to: exchange)))
        #expect(http.has(.writing) && !http.has(.halfClosed))
        http.channel.isWritable = true
        http.channel.pipeline.fireChannelWritabilityChanged()
        #expect(http.has(.halfClosed) && !http.has(.writing))
    }

    @Test("one that ends its side while it is waited for has the time of any client for what it takes")
    func endsMeanwhile() throws {
        let http = try MemoryHTTP()
        try http.receive(Self.get("/"))
        let exchange = try http.exchange()
        #expect(!Self.waits(http.handler.begin(.init(status: .ok), to: exchange)))
        http.channel.isWritable = false
        #expect(Self.waits(http.handler.write(ByteBuffer(string: "a"), to: exchange)))
        http.channel.endInput()
        #expect(http.has(.writing) && !http.has(.halfClosed))
        http.channel.isWritable = true
        http.channel.pipeline.fireChannelWritabilityChanged()
        #expect(http.has(.halfClosed))
        // The alarm was for the longer time.
        let end = try #require(http.handler.deadlines.next)
        #expect(try #require(http.handler.alarm?.time) <= end)
    }

    // MARK: Requests behind others

    @Test("one that ends its side within an exchange has the same time for the request behind it (threat A23)")
    func behind() throws {
        let http = try MemoryHTTP(.socket) { exchange in
            if exchange.request.path == "/fast" {
                try await exchange.respond(.text("fine"))
            } else {
                await MemoryHTTP.parked()
            }
        }
        // The first is answered at the end of the read, and the end of the client's bytes comes before.
        http.channel.pipeline.fireChannelRead(ByteBuffer(string: Self.get("/fast") + Self.get("/poll")))
        http.channel.endInput()
        #expect(try http.written() == "" && http.has(.halfClosed))
        http.channel.pipeline.fireChannelReadComplete()
        http.loop.run()
        #expect(try http.written().hasSuffix("fine") && http.phase == "exchanging")
        #expect(http.has(.halfClosed) && http.handler.alarm != nil)
    }

    @Test("so it has where it ends its side while the next request waits for room (threat A23)")
    func behindRoom() throws {
        let http = try MemoryHTTP(.socket) { exchange in
            // The server's own answer is written while nobody waits for room.
            if exchange.request.path != "/fast" { await MemoryHTTP.parked() }
        }
        http.channel.isWritable = false
        try http.receive(Self.get("/fast") + Self.get("/poll"))
        http.channel.endInput()
        #expect(http.phase == "leaving" && http.has(.writing) && !http.has(.halfClosed))
        http.channel.isWritable = true
        http.channel.pipeline.fireChannelWritabilityChanged()
        #expect(http.phase == "exchanging" && http.has(.halfClosed) && !http.has(.writing))
    }

    @Test("so it has where the end came with the first request of the connection; a stream has no such time")
    func beforeTheFirst() throws {
        for transport in [Transport.socket, .tls, .stream] {
            let http = try MemoryHTTP(transport)
            var head = RequestHead(method: "GET", target: "/")
            head.fields.append("Host", "a")
            let request = try CheckedRequest(head)
            http.handler.begin(request, unread: ByteBuffer(), ServerInstruments(), hasInputEnded: true)
            #expect(http.phase == "exchanging" && http.has(.halfClosed) == (transport != .stream))
        }
    }
}
