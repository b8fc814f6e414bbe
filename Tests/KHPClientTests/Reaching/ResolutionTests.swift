import Dispatch
import KHPClient
import KHPProtocol
import KHPServer
import KHPWebSocket
import NIOCore
import NIOPosix
import Testing

/// The system's resolver cannot be stopped, and is not waited for.
@Suite("Looking names up")
struct ResolutionTests {
    /// A resolver that answers after five seconds, unless the test is over.
    private final class Stuck: Sendable {
        private let over = DispatchSemaphore(value: 0)

        @Sendable func lookUp(_ host: String, _ port: Int) throws -> [SocketAddress] {
            _ = self.over.wait(timeout: .now() + 5)
            return [try SocketAddress(ipAddress: "127.0.0.1", port: port)]
        }

        func release() { self.over.signal() }
    }

    @Test("a look-up ends at its deadline")
    func deadline() async throws {
        let stuck = Stuck()
        defer { stuck.release() }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        await #expect {
            try await HostResolver.resolve(
                "a.example",
                port: 1,
                until: .now() + .milliseconds(50),
                on: loop,
                by: HostNames(lookUp: stuck.lookUp)
            )
        } throws: { error in
            if case .timedOut = error as? HostResolver.Failure { true } else { false }
        }
    }

    @Test(
        "a connect says that the name was not resolved in time, for a server and for a proxy",
        arguments: [false, true]
    )
    func connect(isProxied: Bool) async throws {
        let stuck = Stuck()
        defer { stuck.release() }
        var configuration = WebSocketClient.Configuration()
        configuration.lookUp = stuck.lookUp
        configuration.timeouts.connect = .milliseconds(50)
        if isProxied { configuration.proxy = .proxy(try Proxy("http://proxy.example:1")) }
        let client = WebSocketClient(configuration: configuration)
        let error = try await #require(throws: WebSocketError.self) {
            try await client.connect(to: "ws://a.example:1/")
        }
        #expect(error.code == .timeout && error.message.contains("was not resolved in time"), "\(error)")
    }

    @Test("names that take long keep no password waiting (threat H11)")
    func passwords() async throws {
        let users = try UsersFile("ann:$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", name: "users")
        let over = DispatchSemaphore(value: 0)
        let (asked, tell) = AsyncStream.makeStream(of: Void.self)
        let names = HostNames { _, port in
            tell.yield()
            over.wait()
            return [try SocketAddress(ipAddress: "127.0.0.1", port: port)]
        }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        // More than there are cores.
        let count = min(System.coreCount + 1, 16)
        let waiting = (0..<count).map { number in
            Task {
                try await HostResolver.resolve(
                    "\(number).example",
                    port: 1,
                    until: .distantFuture,
                    on: loop,
                    by: names
                )
            }
        }
        var began = asked.makeAsyncIterator()
        for _ in 0..<count { _ = await began.next() }
        let start = ContinuousClock.now
        #expect(await users.verify(user: "ann", password: "abc"))
        #expect(ContinuousClock.now - start < .seconds(1))
        for _ in 0..<count { over.signal() }
        for task in waiting { #expect(try await task.value.count == 1) }
    }

    @Test("a look-up is not waited for after a cancellation")
    func cancelled() async throws {
        let stuck = Stuck()
        defer { stuck.release() }
        let (asked, tell) = AsyncStream.makeStream(of: Void.self)
        var configuration = WebSocketClient.Configuration()
        configuration.lookUp = { host, port in
            tell.yield()
            return try stuck.lookUp(host, port)
        }
        let client = WebSocketClient(configuration: configuration)
        let connecting = Task { try await client.connect(to: "ws://a.example:1/") }
        for await _ in asked { break }
        let began = ContinuousClock.now
        connecting.cancel()
        await #expect { try await connecting.value } throws: { $0 is CancellationError }
        #expect(ContinuousClock.now - began < .seconds(4))
    }
}
