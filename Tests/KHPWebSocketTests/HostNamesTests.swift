// Look-ups of names that take as long as a test wants.

import Dispatch
import KHPWebSocket
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite("Names are looked up once for all who ask, on threads of their own (threat H11)", .timeLimit(.minutes(1)))
struct HostNamesTests {
    /// A resolver that answers when it is told to.
    private final class Slow: Sendable {
        let began: AsyncStream<String>
        private let tell: AsyncStream<String>.Continuation
        private let seen = Mutex<[String]>([])
        private let answers = DispatchSemaphore(value: 0)

        init() { (self.began, self.tell) = AsyncStream.makeStream() }

        /// The look-ups that have begun, in their order.
        var looks: [String] { self.seen.withLock { $0 } }

        @Sendable func lookUp(_ host: String, _ port: Int) throws -> [SocketAddress] {
            self.seen.withLock { $0.append(host) }
            self.tell.yield(host)
            self.answers.wait()
            return [try SocketAddress(ipAddress: "127.0.0.1", port: port)]
        }

        func answer(_ count: Int = 1) { for _ in 0..<count { self.answers.signal() } }
    }

    private struct GivenUp: Error {}

    private let loop = MultiThreadedEventLoopGroup.singleton.any()

    @Test("one look-up serves all who ask for a name and a port, those too that come while nobody waits for it")
    func shared() async throws {
        let slow = Slow()
        var began = slow.began.makeAsyncIterator()
        let names = HostNames(on: LookUpThreads(most: 2, waiting: 8), lookUp: slow.lookUp)
        let first = names.ask("a.test", port: 1, on: self.loop)
        let second = names.ask("a.test", port: 1, on: self.loop)
        #expect(await began.next() == "a.test")
        for wait in [first, second] {
            names.giveUp(wait, GivenUp())
            await #expect(throws: GivenUp.self) { try await wait.addresses.get() }
        }
        let late = names.ask("a.test", port: 1, on: self.loop)
        let other = names.ask("a.test", port: 2, on: self.loop)
        #expect(await began.next() == "a.test")
        slow.answer(2)
        #expect(try await late.addresses.get().map(\.port) == [1])
        #expect(try await other.addresses.get().map(\.port) == [2])
        #expect(slow.looks.count == 2)
        // Nothing is kept behind its end.
        slow.answer()
        let next = try await names.ask("a.test", port: 1, on: self.loop).addresses.get()
        #expect(next.count == 1 && slow.looks.count == 3)
    }

    @Test("a name that waits for a thread and is given up is never looked up, and the one behind it has its turn")
    func queue() async throws {
        let slow = Slow()
        var began = slow.began.makeAsyncIterator()
        let names = HostNames(on: LookUpThreads(most: 1, waiting: 2), lookUp: slow.lookUp)
        let busy = names.ask("busy.test", port: 1, on: self.loop)
        #expect(await began.next() == "busy.test")
        let forgotten = names.ask("forgotten.test", port: 1, on: self.loop)
        let next = names.ask("next.test", port: 1, on: self.loop)
        await #expect {
            try await names.ask("many.test", port: 1, on: self.loop).addresses.get()
        } throws: { error in
            if case .tooMany? = error as? HostNames.Failure { true } else { false }
        }
        names.giveUp(forgotten, GivenUp())
        await #expect(throws: GivenUp.self) { try await forgotten.addresses.get() }
        // There is room again.
        let last = names.ask("last.test", port: 1, on: self.loop)
        slow.answer(3)
        for wait in [busy, next, last] { #expect(try await wait.addresses.get().count == 1) }
        #expect(slow.looks == ["busy.test", "next.test", "last.test"])
    }

    @Test("a cancelled connect and one whose time is over leave nothing in the queue")
    func waits() async throws {
        let slow = Slow()
        var began = slow.began.makeAsyncIterator()
        let names = HostNames(on: LookUpThreads(most: 1, waiting: 1), lookUp: slow.lookUp)
        let busy = names.ask("busy.test", port: 1, on: self.loop)
        #expect(await began.next() == "busy.test")
        let loop = self.loop
        await #expect {
            try await HostResolver.resolve("late.test", port: 1, until: .now(), on: loop, by: names)
        } throws: { error in
            if case .timedOut? = error as? HostResolver.Failure { true } else { false }
        }
        let cancelled = Task {
            try await HostResolver.resolve("off.test", port: 1, until: .distantFuture, on: loop, by: names)
        }
        cancelled.cancel()
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        slow.answer()
        _ = try await busy.addresses.get()
        #expect(slow.looks == ["busy.test"])
    }
}
