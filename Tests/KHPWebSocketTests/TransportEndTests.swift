// The transport of a connection that waits, stalls or ends: no CPU while waiting, no descriptor for longer than promised,
// and nothing that looks like a good end where bytes are missing.

import NIOCore
import NIOSSL
import TestSupport
import Testing

@testable import KHPProtocol
@testable import KHPWebSocket

@Suite("Waiting for the peer, and the end of the transport", .timeLimit(.minutes(1)))
struct TransportEndTests {
    @Test("waiting for the answer to our close wakes nobody up, whatever the keep-alive")
    func waiting() async throws {
        try await withServedSocket {
            $0.keepAlive.pingInterval = .milliseconds(20)
            $0.keepAlive.pongTimeout = .milliseconds(50)
            $0.keepAlive.idleTimeout = .milliseconds(40)
            $0.timeouts.close = .milliseconds(400)
        } body: { served in
            let before = try await served.on { $0.wakeUps }
            let info = try await served.socket.close(code: .normalClosure, reason: "bye")
            let wakeUps = try await served.on { $0.wakeUps } - before
            #expect(wakeUps <= 3)
            #expect(!info.clean)
            #expect(info.code == .abnormal)
            #expect(info.initiator == .local)
        }
    }

    @Test("a peer that takes nothing is dropped after once the time that was set, and sees that something is missing")
    func stalled() async throws {
        try await withServedSocket {
            $0.timeouts.stalledWrite = .milliseconds(800)
        } body: { served in
            try await served.fill()
            let began = ContinuousClock.now
            let info = try await served.socket.closed()
            let waited = ContinuousClock.now - began
            #expect(info.error?.code == .timeout)
            #expect(waited > .milliseconds(600))
            #expect(waited < .milliseconds(1300 * Sanitizer.patience))
            // The descriptor goes with it.
            try await served.channel.closeFuture.get()
            #expect(ContinuousClock.now - began < .seconds(3 * Sanitizer.patience))
            // Which the client has been told already, unless the reset is still on its way.
            try? await served.client.setReading(true)
            let rest = try await served.client.receiveAll()
            #expect(!serverFrames(rest).contains { $0.first == 0x88 })
        }
    }

    @Test("a peer that takes something now and then is not dropped")
    func slow() async throws {
        try await withServedSocket {
            $0.timeouts.stalledWrite = .milliseconds(400)
        } body: { served in
            try await served.fill()
            let began = ContinuousClock.now
            for _ in 0..<2 {
                // Until the server has written all of it, and is stalled again.
                try await served.client.setReading(true)
                while try await !served.on({ $0.isWritable }) { await Task.yield() }
                try await served.fill()
                // Shorter than the bound alone, longer in sum: time is what must not count from the first stall.
                try await Task.sleep(for: .milliseconds(300))
            }
            #expect(ContinuousClock.now - began > .milliseconds(500))
            #expect(try await served.on { $0.closeInfo == nil })
        }
    }

    @Test("all is known to have left only where the channel has let go of it", arguments: [0, 1, 3 << 20])
    func leaving(_ count: Int) async throws {
        try await withServedSocket { served in
            // The 101.
            #expect(try await served.on { $0.writing.hasAllLeft })
            try await served.client.setReading(false)
            let (isKnown, unwritten) = try await served.on { handler in
                // One that somebody holds cannot tell.
                let held = count == 1 ? ByteBuffer(repeating: 7, count: count) : nil
                handler.connection.output.append(held ?? ByteBuffer(repeating: 7, count: count))
                handler.flushNow()
                return withExtendedLifetime(held) { (handler.writing.hasAllLeft, handler.unwrittenBytes) }
            }
            #expect(isKnown == (count == 0))
            #expect((unwritten > 0) == (count > 1))
        }
    }

    @Test("what is left at the end is waited for within bounds, then the connection is reset")
    func flushing() async throws {
        try await withServedSocket { served in
            try await served.fill()
            _ = try await served.on { $0.ending.timeouts.flush = .milliseconds(200) }
            let began = ContinuousClock.now
            // A frame that breaks the rules: our close frame lies behind what the client does not take.
            try await served.client.send([0x83, 0x80, 0, 0, 0, 0])
            #expect(try await served.socket.closed().code == .protocolError)
            try await served.channel.closeFuture.get()
            let waited = ContinuousClock.now - began
            #expect(waited >= .milliseconds(200))
            #expect(waited < .seconds(3 * Sanitizer.patience))
        }
    }

    @Test("a peer that was refused and stays is left after a moment")
    func lingering() async throws {
        try await withServedSocket { served in
            _ = try await served.on { $0.ending.timeouts.linger = .milliseconds(200) }
            try await served.client.stayAfterEnd()
            let began = ContinuousClock.now
            try await served.client.send([0x83, 0x80, 0, 0, 0, 0])
            #expect(try await served.socket.closed().code == .protocolError)
            try await served.channel.closeFuture.get()
            let waited = ContinuousClock.now - began
            #expect(waited >= .milliseconds(200))
            #expect(waited < .milliseconds(900 * Sanitizer.patience))
        }
    }

    @Test("what a peer that was refused goes on sending is kept by nobody")
    func floodBehindTheEnd() async throws {
        try await withServedSocket { served in
            _ = try await served.on { $0.ending.timeouts.linger = .seconds(20) }
            try await served.client.stayAfterEnd()
            try await served.client.send([0x83, 0x80, 0, 0, 0, 0])
            #expect(try await served.socket.closed().code == .protocolError)
            // More than both systems hold: most of it has been read once the last of it is written.
            try await served.client.send([UInt8](repeating: 0x20, count: 24 << 20))
            #expect(try await served.on { $0.connection.inbound.readableBytes } == 0)
        }
    }

    @Test("text that is no UTF-8 ends the socket with 1007, also where it lies whole in one read (threat B10)")
    func invalidText() async throws {
        for payload in [[0xFF], [0xC3, 0x28], [UInt8](repeating: 0x61, count: 300) + [0xED, 0xA0, 0x80]] as [[UInt8]] {
            try await withServedSocket { served in
                try await served.client.send(maskedFrame(1, [0x61]) + maskedFrame(1, payload))
                #expect(try await served.socket.closed().error?.closeCode == .invalidPayload)
                let frames = serverFrames(try await served.client.receiveAll())
                #expect(frames.map { Array($0.payload.prefix(2)) } == [[0x03, 0xEF]])
                #expect(served.inbox.queued.messages == 1)
            }
        }
    }

    @Test("answers to pings do not pile up behind what a peer does not take: the newest is the one that goes out")
    func pongs() async throws {
        try await withServedSocket { served in
            // Something is left in the channel, though it would take more.
            let marks = ChannelOptions.Types.WriteBufferWaterMark(low: 8 << 20, high: 16 << 20)
            try await served.channel.setOption(.writeBufferWaterMark, value: marks).get()
            try await served.fill()
            #expect(try await served.on { $0.isWritable })
            var messages = served.socket.messages.makeAsyncIterator()
            for batch in 0..<9 as Range<UInt8> {
                let pings = (0..<10 as Range<UInt8>).flatMap { number in
                    maskedFrame(9, [UInt8](repeating: batch * 10 + number, count: 125))
                }
                try await served.client.send(pings + maskedFrame(1, [0x61]))
                #expect(try await messages.next() == .text("a"))
            }
            try await served.client.setReading(true)
            let all = try await served.client.receive { bytes in
                serverFrames(bytes).contains { $0.first == 0x8A && $0.payload.first == 89 }
            }
            let pongs = serverFrames(all).filter { $0.first == 0x8A }
            #expect(pongs.count <= 12)
        }
    }

    @Test("what was compressed is inflated as the application takes it, also behind the end", arguments: [false, true])
    func bomb(_ isReset: Bool) async throws {
        let megabyte = 1 << 20
        let count = 40
        try await withServedSocket(extensions: [PerMessageDeflate()], offer: "permessage-deflate") { served in
            var bytes: [UInt8] = []
            for _ in 0..<count { bytes += try Self.compressed(ByteBuffer(repeating: 0, count: megabyte)) }
            #expect(bytes.count < 150_000)
            try await served.client.send(bytes)
            if isReset { try await served.client.reset() } else { try await served.client.close() }
            let info = try await served.socket.closed()
            #expect(info.initiator == .peer)
            #expect(served.inbox.queued.bytes <= 2 * megabyte)
            try await served.channel.closeFuture.get()
            var taken = 0
            do {
                for try await message in served.socket.messages {
                    #expect(message.byteCount == megabyte)
                    #expect(served.inbox.queued.bytes <= 2 * megabyte)
                    taken += 1
                }
            } catch {
                #expect(error is WebSocketError)
            }
            // A reset may take with it what the system has not handed over.
            #expect(isReset ? taken > 0 : taken == count)
        }
    }

    @Test(
        "in hixie-75 an end is a good one once all has left, and none where the last of it cannot",
        arguments: [true, false]
    )
    func lastFlush(_ isTaken: Bool) async throws {
        try await withServedSocket(dialect: .hixie75) { served in
            let count = 3 << 20
            try await served.client.setReading(false)
            try await served.socket.send(String(repeating: "a", count: count))
            let closing = Task { try await served.socket.close() }
            while try await served.on({ $0.closeInfo == nil }) { await Task.yield() }
            if isTaken {
                try await served.client.setReading(true)
                #expect(try await served.client.receiveAll().readableBytes == count + 2)
            } else {
                try await served.client.reset()
            }
            let info = try await closing.value
            #expect(info.clean == isTaken)
            #expect(info.error?.code == (isTaken ? nil : .timeout))
        }
    }

    @Test("TLS that ends without a goodbye leaves time for the answers to what came before")
    func uncleanShutdown() async throws {
        try await withServedSocket { served in
            try await served.client.send(maskedFrame(1, [0x61]) + maskedFrame(8, [3, 232]))
            while served.inbox.queued.messages == 0 { await Task.yield() }
            try await served.channel.eventLoop.submit {
                served.channel.pipeline.fireErrorCaught(NIOSSLError.uncleanShutdown)
            }.get()
            var messages = served.socket.messages.makeAsyncIterator()
            #expect(try await messages.next() == .text("a"))
            try await served.socket.send("an answer")
            #expect(try await messages.next() == nil)
            let frames = serverFrames(try await served.client.receiveAll())
            #expect(frames.map(\.first) == [0x81, 0x88])
            #expect(try await served.socket.closed().clean)
        }
    }

    /// A client's frame of a compressed message, made without memory of those before.
    private static func compressed(_ payload: ByteBuffer) throws -> [UInt8] {
        var transform = try #require(
            PerMessageDeflate().makeFrameTransform(role: .client, parameters: ExtensionParameters())
        )
        var piece = MessagePiece(.binary, payload)
        var output = ByteBuffer()
        try transform.outbound(&piece, into: &output)
        var frame = maskedFrame(2, Array(output.readableBytesView))
        frame[0] |= piece.reservedBits.rawValue
        return frame
    }
}
