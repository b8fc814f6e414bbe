// Bounds of the shell's own parts.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite("Bounds of the inbox and the executor")
struct BoundTests {
    private func push(_ inbox: Inbox, bytes: Int, isClosing: Bool) -> Bool {
        inbox.push(.binary, ByteBuffer(repeating: 1, count: bytes), isClosing: isClosing)
    }

    @Test("while this side closes, what does not fit is dropped and reading goes on")
    func closing() {
        var limits = Limits()
        limits.inboundQueueBytes = 1000
        limits.inboundQueueMessages = 10
        let large = Inbox(limits: limits)
        for _ in 0..<50 { #expect(!self.push(large, bytes: 300, isClosing: true)) }
        #expect(large.queued.bytes == 1200)
        let small = Inbox(limits: limits)
        for _ in 0..<10_000 { #expect(!self.push(small, bytes: 0, isClosing: true)) }
        #expect(small.queued.messages == 4096)
    }

    @Test("while it does not, reading stops at either limit")
    func open() {
        var limits = Limits()
        limits.inboundQueueBytes = 1000
        limits.inboundQueueMessages = 10
        let large = Inbox(limits: limits)
        #expect((0..<4).map { _ in self.push(large, bytes: 300, isClosing: false) } == [false, false, false, true])
        let small = Inbox(limits: limits)
        #expect((0..<10).map { _ in self.push(small, bytes: 0, isClosing: false) }.last == true)
    }

    @Test("a task that makes itself ready again and again gives way after sixty-four turns")
    func turns() async throws {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        let executor = ConnectionExecutor(eventLoop: eventLoop)
        let turns = Counter()
        let (task, inBurst) = try await eventLoop.submit {
            executor.beginBurst()
            let task = Self.restless(on: executor, turns)
            _ = executor.endBurst()
            return (task, turns.value)
        }.get()
        #expect(inBurst > 0)
        #expect(inBurst <= 64)
        // The rest follows on later turns of the loop.
        await task.value
        #expect(turns.value == 1000)
    }

    private final class Counter: Sendable {
        private let count = Mutex(0)
        var value: Int { self.count.withLock { $0 } }
        func add() { self.count.withLock { $0 += 1 } }
    }

    private static func restless(on executor: ConnectionExecutor, _ turns: Counter) -> Task<Void, Never> {
        Task(executorPreference: executor) {
            for _ in 0..<1000 {
                turns.add()
                await Task.yield()
            }
        }
    }
}
