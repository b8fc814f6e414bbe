// An event loop that runs tasks without end serves nobody: no session brings that about, and the probe of health sees it.

import CommandTestSupport
import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import KHPGateway

@Suite("Event loops of a gateway", .timeLimit(.minutes(1)))
struct StarvedLoopTests {
    /// Gives an event loop something to do without a pause, for five seconds at most.
    private final class Starving: Sendable {
        private let loop: any EventLoop
        private let limit = NIODeadline.now() + .seconds(5)
        private let isOver = Mutex(false)

        init(_ loop: any EventLoop) { self.loop = loop }

        func end() { self.isOver.withLock { $0 = true } }

        func runOn() {
            if self.isOver.withLock({ $0 }) || NIODeadline.now() > self.limit { return }
            self.loop.scheduleTask(in: .zero) { self.runOn() }
        }
    }

    @Test("go on beside a backend that takes nothing of what its client has left, and may not go on for any time")
    func noTimeToGoOn() async throws {
        let count = 1_000_000
        let mayRead = ThreadFlag()
        let (served, _) = try await BlockingSocket.serving(receiveBuffer: 4096) { socket in
            mayRead.wait()
            return socket.receiveAll()
        } body: { port in
            try await BareGateway.run(backend: port) {
                $0.services[1].rules.relay.halfClose = .zero
                $0.services[1].rules.relay.stalled = .seconds(2)
            } body: { gateway in
                let socket = try await gateway.connect("/relay")
                try await socket.send(ByteBuffer(repeating: 7, count: count))
                try await socket.close()
                #expect(await Patience.wait { gateway.lines.with("session.end").first } != nil)
                #expect(await gateway.gateway.stalledLoops(within: .milliseconds(500)) == [])
                mayRead.raise()
            }
        }
        // A reset would have overtaken them.
        #expect(served.bytes.count == count)
        #expect(served.end == .orderly)
    }

    @Test("are not well while they run tasks and ask the system for nothing")
    func starved() async throws {
        try await BareGateway.run { gateway in
            #expect(await gateway.gateway.stalledLoops() == [])
            let loop = gateway.gateway.group.next()
            let starving = Starving(loop)
            try await loop.submit { starving.runOn() }.get()
            #expect(await gateway.gateway.stalledLoops(within: .milliseconds(30)).count == 1)
            starving.end()
            #expect(await gateway.gateway.stalledLoops() == [])
        }
    }
}
