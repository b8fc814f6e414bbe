// Responses whose task is cancelled: a piece for which a write throws has not been sent, and all else has.

import HTTPTypes
import KHPProtocol
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import KHPServer

@Suite("Responses of a cancelled task (threat I9)") struct CancelledWriteTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    /// Cancels the task that calls it.
    private static func cancelTask() { withUnsafeCurrentTask { $0?.cancel() } }

    @Test("a piece is written once there is room, and its tries give the client no time")
    func room() throws {
        let http = try MemoryHTTP()
        try http.receive(Self.get)
        let exchange = try http.exchange()
        guard case .now(.success) = http.handler.begin(.init(status: .ok), to: exchange) else { throw ChannelError.eof }
        _ = try http.written()
        http.channel.isWritable = false
        let piece = ByteBuffer(string: "abc")
        var end: NIODeadline?
        for _ in 0..<3 {
            guard case .later(let wait) = http.handler.write(piece, to: exchange) else { throw ChannelError.eof }
            #expect(http.has(.writing))
            #expect(end == nil || http.handler.deadlines.next == end)
            end = http.handler.deadlines.next
            wait.complete(.failure(.cancelled))
        }
        #expect(try http.written() == "")
        http.channel.isWritable = true
        http.channel.pipeline.fireChannelWritabilityChanged()
        #expect(try http.written() == "")
        guard case .now(.success) = http.handler.write(piece, to: exchange) else { throw ChannelError.eof }
        #expect(try http.written() == "3\r\nabc\r\n")
    }

    @Test("nothing of a piece is queued where there is no room; the head and the end of the body are sent")
    func pieces() throws {
        let refusals = Mutex(0)
        let failures = Mutex(0)
        let http = try MemoryHTTP { exchange in
            Self.cancelTask()
            do {
                try await exchange.respond(.init(status: .ok)) { writer in
                    for _ in 0..<100 {
                        do throws(HTTPExchangeError) {
                            try await writer.write("piece")
                        } catch {
                            if error.code == .cancelled { refusals.withLock { $0 += 1 } }
                        }
                    }
                }
            } catch {
                failures.withLock { $0 += 1 }
            }
        }
        http.channel.isWritable = false
        try http.receive(Self.get)
        let written = try http.written()
        #expect(written.hasPrefix("HTTP/1.1 200 ") && written.hasSuffix("\r\n\r\n0\r\n\r\n"), "\(written)")
        #expect(refusals.withLock { $0 } == 100)
        #expect(failures.withLock { $0 } == 0)
        #expect(http.phase == "leaving")
    }

    @Test("a whole response is sent, and its call does not throw")
    func whole() throws {
        let failures = Mutex(0)
        let http = try MemoryHTTP { exchange in
            Self.cancelTask()
            do {
                try await exchange.respond(.text("fine"))
            } catch {
                failures.withLock { $0 += 1 }
            }
        }
        http.channel.isWritable = false
        try http.receive(Self.get)
        #expect(try http.written().hasSuffix("\r\n\r\nfine"))
        #expect(failures.withLock { $0 } == 0)
        #expect(http.phase == "leaving")
    }
}
