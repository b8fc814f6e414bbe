// The one timer of an event loop: fires once, at the time that was set last, whoever keeps the time.

import NIOCore
import NIOEmbedded
import NIOPosix
import Testing

@testable import KHPWebSocket

@Suite("The timer of an event loop", .timeLimit(.minutes(1)))
struct LoopTimerTests {
    private final class Target: LoopTimerTarget {
        var fired = 0
        var told: EventLoopPromise<NIODeadline>?

        func timerFired() {
            self.fired += 1
            self.told?.succeed(.now())
        }
    }

    @Test(
        "on a loop that reads descriptors it fires at the latest time that was set, earlier or later",
        arguments: [10, 60]
    )
    func moves(_ first: Int64) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let began = NIODeadline.now()
        let due = began + .milliseconds(30)
        let fired = try await loop.flatSubmit {
            let target = Target()
            let timer = LoopTimer(eventLoop: loop, target: target)
            let told = loop.makePromise(of: NIODeadline.self)
            target.told = told
            timer.set(to: began + .seconds(first))
            timer.set(to: due)
            return told.futureResult.assumeIsolated().map { fired in
                withExtendedLifetime((target, timer)) {}
                return fired
            }.nonisolated()
        }.get()
        #expect(fired >= due)
        #expect(fired - began < .seconds(5))
    }

    @Test("it fires again and again, each time as it is set, and a time in the past is one that has come")
    func again() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        for _ in 0..<3 {
            let told = loop.makePromise(of: NIODeadline.self)
            try await loop.flatSubmit {
                let target = Target()
                let timer = LoopTimer(eventLoop: loop, target: target)
                target.told = told
                timer.set(to: .now() - .seconds(1))
                return told.futureResult.assumeIsolated().map { _ in withExtendedLifetime((target, timer)) {} }
                    .nonisolated()
            }.get()
        }
    }

    @Test("on a loop with a time of its own it keeps that time")
    func embedded() throws {
        let loop = EmbeddedEventLoop()
        let target = Target()
        let timer = LoopTimer(eventLoop: loop, target: target)
        timer.set(to: .uptimeNanoseconds(0) + .seconds(10))
        loop.advanceTime(by: .seconds(9))
        #expect(target.fired == 0)
        loop.advanceTime(by: .seconds(2))
        #expect(target.fired == 1)
        try loop.syncShutdownGracefully()
    }

    @Test("a loop that shuts down closes its timer with its channels")
    func shutdown() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        try await loop.submit {
            let target = Target()
            let timer = LoopTimer(eventLoop: loop, target: target)
            timer.set(to: .now() + .seconds(60))
        }.get()
        try await group.shutdownGracefully()
    }
}
