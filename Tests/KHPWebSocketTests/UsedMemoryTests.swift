// Memory of a connection that was used and is idle: it is given back, and nothing is lost by that.

import KHPProtocol
import NIOCore
import TestSupport
import Testing

@testable import KHPWebSocket

@Suite("Memory of idle connections", .timeLimit(.minutes(1)))
struct UsedMemoryTests {
    @Test(
        "a connection that was used is listed until it is idle, works on afterwards, and leaves the list when it ends"
    )
    func released() async throws {
        try await withServedSocket { served in
            func echo(_ size: Int) async throws {
                let payload = [UInt8](repeating: 7, count: size)
                try await served.client.send(maskedFrame(2, payload))
                #expect(try await served.socket.receive() == .binary(ByteBuffer(bytes: payload)))
            }
            try await echo(60_000)
            #expect(try await served.on { $0.memory.place >= 0 })
            // The loop would look in some seconds.
            try await served.on { handler in
                LoopDeadlines.of(handler.eventLoop).busy.remove(handler)
                handler.releaseMemory()
            }
            #expect(try await served.on { $0.memory.place } == -1)
            try await echo(100)
            try await echo(60_000)
            #expect(try await served.on { $0.memory.place >= 0 })
            served.socket.abort()
            _ = try await served.socket.closed()
            #expect(try await served.on { $0.memory.place } == -1)
        }
    }

    @Test("a read that fills the largest buffer has the next ones twice as large, until the connection is idle")
    func readsMore() async throws {
        try await withServedSocket { served in
            func readsMore() async throws -> Bool? {
                try await served.on { handler in
                    Mirror(reflecting: handler.memory).children.first { $0.label == "readsMore" }?.value as? Bool
                }
            }
            #expect(try await readsMore() == false)
            try await served.client.send(maskedFrame(2, [UInt8](repeating: 7, count: 1 << 20)))
            #expect(try await served.socket.receive() == .binary(ByteBuffer(repeating: 7, count: 1 << 20)))
            #expect(try await readsMore() == true)
            try await served.on { $0.releaseMemory() }
            #expect(try await readsMore() == false)
        }
    }

    @Test(
        "large reads get a buffer each, until many small ones come or the connection is idle",
        arguments: [false, true]
    )
    func readsApart(becomesIdle: Bool) async throws {
        try await withServedSocket { served in
            func echo(_ size: Int) async throws {
                let payload = [UInt8](repeating: 7, count: size)
                try await served.client.send(maskedFrame(2, payload))
                #expect(try await served.socket.receive() == .binary(ByteBuffer(bytes: payload)))
            }
            func readsInTurn() async throws -> UInt {
                try await served.channel.getOption(.maxMessagesPerRead).get()
            }
            let reads = try await readsInTurn()
            try await echo(3000)
            #expect(try await served.on { !$0.memory.isReadingApart })
            try await echo(1 << 20)
            #expect(try await served.on { $0.memory.isReadingApart })
            #expect(try await readsInTurn() == 1)
            if becomesIdle {
                try await served.on { $0.releaseMemory() }
            } else {
                // The first of them may still be part of a larger read.
                for _ in 0..<40 { try await echo(100) }
            }
            #expect(try await served.on { !$0.memory.isReadingApart })
            #expect(try await readsInTurn() == reads)
            try await echo(1 << 20)
            #expect(try await served.on { $0.memory.isReadingApart })
        }
    }

    @Test("releasing while bytes wait to be written, or a message is half there, takes nothing of them")
    func keeps() async throws {
        try await withServedSocket { served in
            let frame = maskedFrame(2, [UInt8](repeating: 9, count: 3000))
            try await served.client.send(Array(frame.prefix(1000)))
            try await served.fill()
            try await served.on { $0.releaseMemory() }
            try await served.client.send(Array(frame.dropFirst(1000)))
            #expect(try await served.socket.receive() == .binary(ByteBuffer(repeating: 9, count: 3000)))
            #expect(try await served.on { $0.connection.output.pendingBytes + $0.unwrittenBytes } > 0)
        }
    }
}
