// The executor that keeps a connection's tasks on its event loop and holds them back while a burst is read.

import KHPWebSocket
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite("Connection executor", .timeLimit(.minutes(1)))
struct ConnectionExecutorTests {
    /// The steps in the order in which they happened.
    private final class Log: Sendable {
        private let steps = Mutex<[String]>([])

        func add(_ step: String) { self.steps.withLock { $0.append(step) } }
        var all: [String] { self.steps.withLock { $0 } }
    }

    private let eventLoop = MultiThreadedEventLoopGroup.singleton.next()

    @Test("tasks wait for the end of a burst, and run in their order before it returns")
    func burst() async throws {
        let log = Log()
        let eventLoop = self.eventLoop
        try await eventLoop.submit {
            let executor = ConnectionExecutor(eventLoop: eventLoop)
            #expect(!executor.endBurst())
            executor.beginBurst()
            for number in 1...3 {
                Task(executorPreference: executor) {
                    eventLoop.preconditionInEventLoop()
                    log.add("task \(number)")
                }
            }
            log.add("read")
            #expect(executor.endBurst())
            log.add("flush")
        }.get()
        #expect(log.all == ["read", "task 1", "task 2", "task 3", "flush"])
    }

    @Test("outside of a burst, and behind one that was given up, the loop runs them in a turn of its own")
    func laterTurn() async throws {
        let log = Log()
        let eventLoop = self.eventLoop
        let (one, other) = try await eventLoop.submit {
            let executor = ConnectionExecutor(eventLoop: eventLoop)
            let one = Task(executorPreference: executor) { log.add("plain") }
            executor.beginBurst()
            let other = Task(executorPreference: executor) { log.add("held") }
            executor.abandonBurst()
            log.add("turn")
            return (one, other)
        }.get()
        await one.value
        await other.value
        #expect(log.all == ["turn", "plain", "held"])
    }

    @Test("a task that is ready again and again leaves the burst, and goes on later")
    func bounded() async throws {
        let eventLoop = self.eventLoop
        let counter = Counter()
        let (task, within) = try await eventLoop.submit {
            let executor = ConnectionExecutor(eventLoop: eventLoop)
            executor.beginBurst()
            let task = Task(executorPreference: executor) {
                for _ in 0..<300 {
                    counter.value.add(1, ordering: .relaxed)
                    await Task.yield()
                }
            }
            _ = executor.endBurst()
            return (task, counter.value.load(ordering: .relaxed))
        }.get()
        await task.value
        #expect(within > 0 && within < 300)
        #expect(counter.value.load(ordering: .relaxed) == 300)
    }

    private final class Counter: Sendable {
        let value = Atomic(0)
    }

    @Test("tasks of other threads come to the loop")
    func otherThread() async {
        let eventLoop = self.eventLoop
        let executor = ConnectionExecutor(eventLoop: eventLoop)
        let isThere = await Task(executorPreference: executor) { eventLoop.inEventLoop }.value
        #expect(isThere)
    }

    @Test("a task that makes itself ready without end lets its loop read")
    func endlessTask() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let isRead = Atomic(false)
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { $0.eventLoop.makeCompletedFuture { isRead.store(true, ordering: .relaxed) } }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        let executor = ConnectionExecutor(eventLoop: group.next())
        let address = try #require(listener.localAddress)
        let client = Mutex<EventLoopFuture<any Channel>?>(nil)
        let task = Task(executorPreference: executor) {
            let end = ContinuousClock.now + .seconds(5)
            client.withLock {
                $0 = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(to: address)
            }
            while !isRead.load(ordering: .relaxed), ContinuousClock.now < end { await Task.yield() }
        }
        await task.value
        let wasRead = isRead.load(ordering: .relaxed)
        #expect(wasRead)
        _ = try await client.withLock { $0 }?.get().close().get()
        try await listener.close()
        try await group.shutdownGracefully()
    }
}
