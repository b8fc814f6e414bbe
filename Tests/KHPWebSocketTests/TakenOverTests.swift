// A channel that somebody else has used: its state when it is taken over counts from the first byte on.

import KHPProtocol
import NIOCore
import TestSupport
import Testing

@testable import KHPWebSocket

@Suite("A channel that is taken over") struct TakenOverTests {
    private final class Messages: MessageHandler {
        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}
    }

    @Test("one whose peer takes nothing is full from the beginning, so senders wait and the peer has a time")
    func full() throws {
        let socket = try EmbeddedSocket(isTakenOverFull: true)
        defer { socket.end() }
        #expect(!socket.handler.isWritable && socket.handler.writing.stall != nil)
        socket.setWritable(true)
        #expect(socket.handler.isWritable && socket.handler.writing.stall == nil)
        let other = try EmbeddedSocket()
        defer { other.end() }
        #expect(other.handler.isWritable)
    }

    @Test("a handler of messages is given none while its peer takes nothing")
    func messages() throws {
        let socket = try EmbeddedSocket(isTakenOverFull: true, messages: Messages())
        defer { socket.end() }
        #expect(socket.handler.reading.isPaused)
        socket.setWritable(true)
        #expect(!socket.handler.reading.isPaused)
    }
}
