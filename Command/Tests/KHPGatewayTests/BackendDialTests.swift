// The way to a backend: names that move, names that take long, and one that takes the connection and says nothing.

import CommandTestSupport
import Dispatch
import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

@testable import KHPGateway

@Suite("Dialling a backend", .timeLimit(.minutes(1)))
struct BackendDialTests {
    private static func connector(_ host: String, _ port: Int, _ names: HostNames) -> BackendConnector {
        var connector = BackendConnector(
            backend: .init(scheme: .tcp, host: host, port: port),
            proxyHeader: .off,
            tls: nil,
            serverName: nil
        )
        connector.names = names
        return connector
    }

    private static func call() -> BackendCall { BackendCall(on: MultiThreadedEventLoopGroup.singleton.any()) }

    /// A broker that says its name.
    private static func withBroker(
        _ address: String,
        port: Int = 0,
        _ body: (Int) async throws -> Void
    ) async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: address, port: port).get()
        let result: Result<Void, any Error>
        do { result = .success(try await body(listener.localAddress?.port ?? 0)) } catch { result = .failure(error) }
        try await listener.close()
        try result.get()
    }

    @Test("a connection to a backend of WebSocket leaves nothing in memory")
    func released() async throws {
        let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
            Endpoint("/", handler: { (socket: WebSocket) in for try await _ in socket.messages {} })
        }
        let run = Task { try await server.run() }
        let port = try await server.boundPort() ?? 0
        let connector = WebSocketConnector(
            backend: .init(scheme: .ws, host: "127.0.0.1", port: port, path: "/"),
            tls: nil,
            serverName: nil
        )
        var link: BackendLink? = try await connector.connect(Self.call(), within: .seconds(5))
        weak let seen = link
        await link?.release()
        link = nil
        // The task of the connection ends a moment later, and nothing tells when it is gone.
        for _ in 0..<2000 where seen != nil { try await Task.sleep(for: .milliseconds(1)) }
        #expect(seen == nil)
        run.cancel()
        try await run.value
    }

    @Test("a name is looked up for each connection: the broker that has moved is found where it is now")
    func moves() async throws {
        let looks = Mutex(0)
        let names = HostNames { host, _ in
            #expect(host == "broker.test")
            let look = looks.withLock { looks in
                looks += 1
                return looks
            }
            return [try SocketAddress(ipAddress: look == 1 ? "127.0.0.1" : "127.0.0.2", port: 0)]
        }
        try await Self.withBroker("127.0.0.1") { port in
            try await Self.withBroker("127.0.0.2", port: port) { _ in
                for address in ["127.0.0.1", "127.0.0.2"] {
                    let at = try await Self.connector("broker.test", port, names).connect(
                        Self.call(),
                        within: .seconds(5)
                    ) {
                        Silent()
                    } made: { _, channel in
                        defer { channel.close(promise: nil) }
                        return channel.remoteAddress
                    }
                    #expect(at?.ipAddress == address && at?.port == port)
                }
            }
        }
    }

    private final class Silent: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
    }

    @Test("a name that takes long keeps nobody waiting who asks for another, or for an address")
    func slowName() async throws {
        let answers = DispatchSemaphore(value: 0)
        let looks = Mutex(0)
        let names = HostNames { host, _ in
            if host == "slow.test" {
                looks.withLock { $0 += 1 }
                answers.wait()
            }
            return [try SocketAddress(ipAddress: "127.0.0.1", port: 0)]
        }
        try await Self.withBroker("127.0.0.1") { port in
            // All on one event loop, and more than there are threads.
            let call = Self.call()
            let waiting = (0..<20).map { _ in
                Task { try await Self.connector("slow.test", port, names).connect(call, within: .seconds(20)) }
            }
            #expect(await Patience.wait { looks.withLock { $0 > 0 ? true : nil } } != nil)
            for host in ["fast.test", "127.0.0.1"] {
                let link = try await Self.connector(host, port, names).connect(call, within: .seconds(5))
                await link.release()
            }
            let late = await #expect(throws: ConnectFailure.self) {
                try await Self.connector("slow.test", port, names).connect(call, within: .milliseconds(10))
            }
            #expect(late?.kind == .timeout)
            #expect(looks.withLock { $0 } == 1, "one look-up serves all who wait for it")
            answers.signal()
            for task in waiting { await (try await task.value).release() }
        }
    }

    @Test("a name without an address is a failure of DNS")
    func unknownName() async throws {
        let names = HostNames { _, _ in throw HostNames.Failure.failed("no such name") }
        let failure = await #expect(throws: ConnectFailure.self) {
            try await Self.connector("gone.test", 1, names).connect(Self.call(), within: .seconds(5))
        }
        #expect(failure?.kind == .dns)
    }

    @Test("a broker that takes the connection and says nothing in TLS is let go of when the time is over")
    func silentTLS() async throws {
        let isGone = Mutex(false)
        let tls = try NIOSSLContext(configuration: .makeClientConfiguration())
        try await withRawServer { connection in
            try? await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
            isGone.withLock { $0 = true }
        } body: { port in
            let connector = BackendConnector(
                backend: .init(scheme: .tls, host: "127.0.0.1", port: port),
                proxyHeader: .off,
                tls: tls,
                serverName: "broker.test"
            )
            let failure = await #expect(throws: ConnectFailure.self) {
                try await connector.connect(Self.call(), within: .milliseconds(50))
            }
            #expect(failure?.kind == .timeout)
            #expect(await Patience.wait { isGone.withLock { $0 ? true : nil } } != nil)
        }
    }
}
