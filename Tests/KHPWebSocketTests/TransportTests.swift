// The questions to what is beneath a connection, and its end: a channel's options for a socket, events for a stream.

import Foundation
import NIOCore
import NIOEmbedded
import NIOSSL
import Testing

@testable import KHPProtocol
@testable import KHPWebSocket

@Suite("Beneath a connection")
struct TransportTests {
    @Test("a socket is asked by its options, a stream by an event")
    func unwritten() throws {
        for transport in [Transport.socket, .tls, .stream] {
            let socket = try EmbeddedSocket(transport: transport)
            socket.wire.unwrittenOfStream = 77
            socket.wire.isHeld = true
            socket.channel.write(ByteBuffer(string: "12345"), promise: nil)
            #expect(socket.handler.unwrittenBytes == (transport == .stream ? 77 : 5))
            socket.wire.unwrittenOfStream = 0
            socket.end()
        }
    }

    @Test("a socket is closed, a stream is reset")
    func cut() throws {
        for transport in [Transport.socket, .stream] {
            let socket = try EmbeddedSocket(transport: transport)
            socket.wire.staysOpen = true
            socket.handler.abort()
            #expect(socket.wire.closes == (transport == .stream ? [] : [.all]))
            #expect(socket.wire.resets == (transport == .stream ? 1 : 0))
            socket.end()
        }
    }

    // MARK: A connection that nobody has taken

    /// A dialled connection on a channel in memory.
    private static func dialled() throws -> (EmbeddedChannel, HoldingHandler) {
        let channel = EmbeddedChannel()
        let holder = HoldingHandler()
        try channel.pipeline.syncOperations.addHandler(holder)
        try channel.pipeline.syncOperations.addHandler(Later())
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return (channel, holder)
    }

    /// Notes what comes behind the handler that holds.
    private final class Later: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var seen: [String] = []

        func channelActive(context: ChannelHandlerContext) { self.seen.append("active") }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.seen.append(String(buffer: self.unwrapInboundIn(data)))
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) { self.seen.append("\(event)") }
    }

    @Test("bytes and the end of the stream wait for whoever takes a dialled connection, other events do not")
    func holds() throws {
        let (channel, holder) = try Self.dialled()
        let later = try channel.pipeline.syncOperations.handler(type: Later.self)
        try channel.writeInbound(ByteBuffer(string: "a"))
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        channel.pipeline.fireUserInboundEventTriggered("another")
        try channel.writeInbound(ByteBuffer(string: "b"))
        #expect(later.seen == ["outputClosed", "another"])
        #expect(throws: Never.self) { try holder.check() }
        holder.leave(channel.pipeline.syncOperations)
        #expect(later.seen == ["outputClosed", "another", "ab", "inputClosed"])
        _ = try channel.finish()
    }

    @Test("a dialled connection that has ended is none to take, and says why")
    func ended() throws {
        for error in [ChannelError.inputClosed, nil] {
            let (channel, holder) = try Self.dialled()
            if let error { channel.pipeline.fireErrorCaught(error) }
            channel.close(promise: nil)
            if error == nil {
                #expect(throws: IOError.self) { try holder.check() }
            } else {
                #expect(throws: ChannelError.self) { try holder.check() }
            }
            _ = try? channel.finish(acceptAlreadyClosed: true)
        }
    }

    // MARK: Words

    @Test("the errors of a channel in plain words")
    func reasons() {
        let rows: [(any Error, String)] = [
            (IOError(errnoCode: ECONNREFUSED, reason: "x"), "connection refused"),
            (IOError(errnoCode: ECONNRESET, reason: "x"), "connection reset by the peer"),
            (IOError(errnoCode: EADDRINUSE, reason: "x"), "the address is in use"),
            (SocketAddressError.unsupported, "that is no address, and no name that can be resolved"),
            (ChannelError.eof, "\(ChannelError.eof)"),
        ]
        for (error, words) in rows { #expect(TransportFailure.reason(error) == words) }
        #expect(TransportFailure.isAddressInUse(IOError(errnoCode: EADDRINUSE, reason: "x")))
        #expect(!TransportFailure.isAddressInUse(IOError(errnoCode: EACCES, reason: "x")))
    }

    @Test("what went wrong beneath the connection, as its owner is told")
    func failures() {
        let own = WebSocketError(.timeout, "late")
        #expect(TransportFailure.describe(own).message == "late")
        let refused = TransportFailure.describe(IOError(errnoCode: ECONNREFUSED, reason: "x"))
        #expect(refused.code == .connectFailed && refused.detail == .connectionRefused)
        let reset = TransportFailure.describe(IOError(errnoCode: ECONNRESET, reason: "x"))
        #expect(reset.code == .connectFailed && reset.detail == nil)
        let tls = TransportFailure.describe(NIOSSLError.uncleanShutdown)
        #expect(tls.code == .tlsFailed)
        #expect(tls.message == "TLS failed: the peer ended the stream without a close notification.")
        // Closures of the application throw what they like.
        struct OfTheirs: Error {}
        #expect(TransportFailure.describe(OfTheirs()).code == .connectFailed)
        let theirs = TransportFailure.describe(OfTheirs(), inHandshake: true)
        #expect(theirs.code == .tlsFailed && theirs.message == "TLS failed: OfTheirs().")
        #expect(TransportFailure.isEnd(NIOSSLError.uncleanShutdown))
        #expect(!TransportFailure.isEnd(ChannelError.eof))
    }

    @Test("moments in words, also those that no calendar has")
    func dates() {
        #expect(DateHeader.format(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(DateHeader.format(1_700_000_000) == "Tue, 14 Nov 2023 22:13:20 GMT")
        #expect(DateHeader.readable(784_111_777) == "1994-11-06 08:49:37 UTC")
        #expect(DateHeader.readable(1_700_000_000) == "2023-11-14 22:13:20 UTC")
        #expect(DateHeader.format(.max) == "")
        #expect(DateHeader.readable(.max) == "\(Int.max)")
    }
}
