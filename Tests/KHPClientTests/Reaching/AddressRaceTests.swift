import KHPProtocol
import KHPServer
import KHPWebSocket
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

@testable import KHPClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// Many addresses for one name: none that is silent holds the connect up (RFC 8305).
@Suite("The race of a host's addresses")
struct AddressRaceTests {
    /// A listener whose queue is full: the system drops new connections, as a dead host does.
    final class SilentAddress: Sendable {
        private let listener: any Channel
        private let filler: any Channel
        let port: Int

        init(_ address: String, port: Int) async throws {
            let group = MultiThreadedEventLoopGroup.singleton
            self.listener = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 0)
                .serverChannelOption(.autoRead, value: false)
                .bind(host: address, port: port).get()
            self.port = self.listener.localAddress?.port ?? 0
            self.filler = try await ClientBootstrap(group: group).connect(host: address, port: self.port).get()
        }

        func close() async throws {
            try await self.filler.close()
            try await self.listener.close()
        }
    }

    /// Runs `body` while these addresses of this machine are silent at that port.
    private static func silent(
        _ addresses: [String],
        port: Int,
        _ body: () async throws -> Void
    ) async throws {
        var listeners: [SilentAddress] = []
        for address in addresses { listeners.append(try await SilentAddress(address, port: port)) }
        let result: Result<Void, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        for listener in listeners { try await listener.close() }
        try result.get()
    }

    private static func configuration(_ addresses: [String]) -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = .off
        configuration.lookUp = { _, port in try addresses.map { try SocketAddress(ipAddress: $0, port: port) } }
        return configuration
    }

    @Test("silent addresses before a good one cost a quarter of a second each", arguments: [1, 3])
    func silentFirst(_ count: Int) async throws {
        let dead = (2...(count + 1)).map { "127.0.0.\($0)" }
        try await withServer {
            echo()
        } body: { port in
            try await Self.silent(dead, port: port) {
                let began = ContinuousClock.now
                let client = WebSocketClient(configuration: Self.configuration(dead + ["127.0.0.1"]))
                try await client.withConnection(to: "ws://gw.example.test:\(port)/echo") { _ in }
                let took = ContinuousClock.now - began
                #expect(took >= .milliseconds(250 * count), "\(took)")
                #expect(took < .seconds(2 * Sanitizer.patience), "\(took)")
            }
        }
    }

    @Test("an address that refuses costs nothing, and a host whose addresses all refuse says so")
    func refusing() async throws {
        try await withServer {
            echo()
        } body: { port in
            let began = ContinuousClock.now
            let client = WebSocketClient(
                configuration: Self.configuration(["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"])
            )
            try await client.withConnection(to: "ws://gw.example.test:\(port)/echo") { _ in }
            #expect(ContinuousClock.now - began < .milliseconds(250 * Sanitizer.patience))
            let nobody = WebSocketClient(configuration: Self.configuration(["127.0.0.2", "127.0.0.3"]))
            let error = try await #require(throws: WebSocketError.self) {
                try await nobody.connect(to: "ws://gw.example.test:\(port)/echo")
            }
            #expect(error.code == .connectFailed && error.message.contains("refused"), "\(error)")
        }
    }

    /// A race whose addresses are ports, dialled by `dial`.
    private static func race(
        _ ports: ClosedRange<Int>,
        bound: TimeAmount,
        dial: @escaping @Sendable (SocketAddress, any EventLoop) async throws -> Dialled
    ) throws -> AddressRace {
        try AddressRace(
            addresses: ports.map { try SocketAddress(ipAddress: "127.0.0.1", port: $0) },
            gate: ConnectGate(),
            takesPlaces: false,
            deadline: .now() + .seconds(20),
            bound: bound,
            limits: Limits(),
            liveness: SocketLiveness(stalledWrite: .seconds(20)),
            hooks: ShellHooks(dial: dial),
            eventLoop: MultiThreadedEventLoopGroup.singleton.any(),
            observer: ConnectObserver(nil, [], try WebSocketURL("ws://example.com/"))
        )
    }

    @Test("a connection that was won is not lost where the task is cancelled at that moment")
    func cancelledWinner() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = listener.localAddress?.port ?? 0
        let (cancellation, cancel) = AsyncStream.makeStream(of: Void.self)
        let race = try Self.race(1...1, bound: .seconds(10)) { _, eventLoop in
            let channel = try await ClientBootstrap(group: eventLoop).connect(host: "127.0.0.1", port: port).get()
            cancel.finish()
            // Until the task is cancelled, which this attempt is told as well.
            while !Task.isCancelled { await Task.yield() }
            return try await eventLoop.submit { try Dialled(taking: channel) }.get()
        }
        let task = Task { try await race.run() }
        for await _ in cancellation {}
        task.cancel()
        try await task.value.giveUp()
        #expect(race.gate.held == 0)
        try await listener.close()
    }

    @Test("once one has answered, no other address is dialled, and none that was is left")
    func winner() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let dialled = Mutex<[Int]>([])
        let port = listener.localAddress?.port ?? 0
        let race = try Self.race(1...4, bound: .milliseconds(200)) { address, eventLoop in
            dialled.withLock { $0.append(address.port ?? 0) }
            // The first is silent until its dialling is cancelled.
            if address.port == 1 { try await Task.sleep(for: .seconds(60)) }
            let channel = try await ClientBootstrap(group: eventLoop).connect(host: "127.0.0.1", port: port).get()
            return try await eventLoop.submit { try Dialled(taking: channel) }.get()
        }
        let winner = try await race.run()
        #expect(winner.address.port == 2)
        #expect(dialled.withLock { $0 } == [1, 2])
        winner.giveUp()
        #expect(race.gate.held == 0)
        try await listener.close()
    }

    @Test("silent addresses alone end with the connect's time, and give their places back")
    func allSilent() async throws {
        let listener = try await SilentAddress("127.0.0.2", port: 0)
        try await Self.silent(["127.0.0.3", "127.0.0.4"], port: listener.port) {
            var configuration = Self.configuration(["127.0.0.2", "127.0.0.3", "127.0.0.4"])
            configuration.timeouts.connect = .milliseconds(400)
            let client = WebSocketClient(configuration: configuration)
            for _ in 0..<2 {
                let began = ContinuousClock.now
                let error = try await #require(throws: WebSocketError.self) {
                    try await client.connect(to: "ws://gw.example.test:\(listener.port)/")
                }
                #expect(error.code == .timeout && error.message.contains("did not accept"), "\(error)")
                let took = ContinuousClock.now - began
                #expect(took >= .milliseconds(400) && took < .seconds(2 * Sanitizer.patience), "\(took)")
            }
        }
        try await listener.close()
    }

    @Test("a race ends at once when its connect is cancelled")
    func cancelled() async throws {
        let listener = try await SilentAddress("127.0.0.2", port: 0)
        try await Self.silent(["127.0.0.3"], port: listener.port) {
            let (dialling, tell) = AsyncStream.makeStream(of: Void.self)
            var configuration = Self.configuration(["127.0.0.2", "127.0.0.3"])
            configuration.observe = { event, _ in if case .connecting = event { tell.yield() } }
            let client = WebSocketClient(configuration: configuration)
            let port = listener.port
            let connecting = Task { try await client.connect(to: "ws://gw.example.test:\(port)/") }
            for await _ in dialling { break }
            let began = ContinuousClock.now
            connecting.cancel()
            await #expect { try await connecting.value } throws: { $0 is CancellationError }
            #expect(ContinuousClock.now - began < .seconds(2 * Sanitizer.patience))
        }
        try await listener.close()
    }

    @Test("one connection wins; on the others nothing is said, and their places are free again (R-C1)")
    func oneOpening() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let accepted = Mutex(0)
        let (said, tell) = AsyncStream.makeStream(of: String.self)
        try await withServer {
            echo()
        } body: { port in
            let late = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 0)
                .serverChannelOption(.autoRead, value: false)
                .childChannelInitializer { channel in
                    accepted.withLock { $0 += 1 }
                    return channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(Ear(tell))
                    }
                }
                .bind(host: "127.0.0.2", port: port).get()
            let filler = try await ClientBootstrap(group: group).connect(host: "127.0.0.2", port: port).get()
            var configuration = Self.configuration(["127.0.0.2", "127.0.0.1"])
            configuration.timeouts.total = .seconds(5)
            let client = WebSocketClient(configuration: configuration)
            try await client.withConnection(to: "ws://gw.example.test:\(port)/echo") { socket in
                try await late.setOption(.autoRead, value: true).get()
                // Connections are accepted in order: one that the race had left would come before this one.
                let probe = try await ClientBootstrap(group: group).connect(host: "127.0.0.2", port: port).get()
                try await probe.writeAndFlush(ByteBuffer(string: "probe"))
                for await text in said {
                    #expect(text == "probe")
                    break
                }
                #expect(accepted.withLock { $0 } == 2)
                try await socket.send("one")
                var messages = socket.messages.makeAsyncIterator()
                #expect(try await messages.next() == .text("one"))
                try? await probe.close()
            }
            let error = try await #require(throws: WebSocketError.self) {
                try await client.connect(to: "ws://127.0.0.2:\(port)/")
            }
            #expect(error.code == .closedDuringHandshake, "\(error)")
            try await filler.close()
            try await late.close()
        }
    }

    /// Reports the first bytes, and hangs up.
    private final class Ear: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let heard: AsyncStream<String>.Continuation

        init(_ heard: AsyncStream<String>.Continuation) { self.heard = heard }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.heard.yield(String(buffer: self.unwrapInboundIn(data)))
            context.close(promise: nil)
        }
    }

    @Test("a redirect's addresses are all shown before one of them is dialled")
    func permitted() async throws {
        let target = Mutex("")
        let shown = Mutex<[[String]]>([])
        try await withServer {
            Endpoint("/") { _ in .redirect(to: target.withLock { $0 }) }
            echo()
        } body: { port in
            target.withLock { $0 = "ws://next.example.test:\(port)/echo" }
            for isPermitted in [true, false] {
                var configuration = Self.configuration(["127.0.0.2", "127.0.0.1"])
                configuration.redirects.permit = { _, addresses in
                    shown.withLock { $0.append(addresses.compactMap(\.ipAddress)) }
                    return isPermitted
                }
                let socket = try? await WebSocketClient(configuration: configuration)
                    .connect(to: "ws://gw.example.test:\(port)/")
                #expect((socket != nil) == isPermitted)
                try await socket?.close()
            }
        }
        #expect(shown.withLock { $0 } == [["127.0.0.2", "127.0.0.1"], ["127.0.0.2", "127.0.0.1"]])
    }

    @Test("the addresses of a proxy are raced as well")
    func proxies() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect()
            } body: { proxyPort, log in
                try await Self.silent(["127.0.0.2", "127.0.0.3", "127.0.0.4"], port: proxyPort) {
                    var configuration = Self.configuration(["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"])
                    configuration.proxy = .proxy(try Proxy("http://proxy.example:\(proxyPort)"))
                    let began = ContinuousClock.now
                    let client = WebSocketClient(configuration: configuration)
                    try await client.withConnection(to: "ws://gw.example.test:\(port)/echo") { _ in }
                    #expect(ContinuousClock.now - began < .seconds(2 * Sanitizer.patience))
                    #expect(log.asked.count == 1)
                }
            }
        }
    }

    /// The ways in which an address accepts a connection, and then speaks no TLS.
    enum NoTLS: String, CaseIterable {
        case closesAtOnce, resetsAtOnce, closesOnHello, resetsOnHello, saysSomethingElse
    }

    @Test("a proxy's address without TLS gives way to the next (R-P1)", arguments: NoTLS.allCases)
    func proxyWithoutTLS(_ way: NoTLS) async throws {
        let authority = try CertificateAuthority.shared.get()
        try await withServer {
            echo()
        } body: { port in
            try await withProxy(tls: try authority.server("DNS:proxy.example")) {
                try await $0.serveConnect()
            } body: { proxyPort, _ in
                let plain = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                    .childChannelInitializer { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(Stranger(way))
                        }
                    }
                    .bind(host: "127.0.0.2", port: proxyPort).get()
                var configuration = Self.configuration(["127.0.0.2", "127.0.0.1"])
                configuration.proxy = .proxy(try Proxy("https://proxy.example:\(proxyPort)"))
                configuration.proxyTLS.trustRoots = try authority.roots()
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://gw.example.test:\(port)/echo") { _ in }
                // Alone, it is an error that names the proxy.
                configuration.lookUp = Self.configuration(["127.0.0.2"]).lookUp
                let error = try await #require(throws: WebSocketError.self) {
                    try await WebSocketClient(configuration: configuration).connect(to: "ws://gw.example.test:\(port)/")
                }
                #expect(error.phase == .connect, "\(error)")
                #expect(error.message.contains("proxy.example"), "\(error)")
                try await plain.close()
            }
        }
    }

    /// Accepts a connection, and leaves without a word of TLS.
    private final class Stranger: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let way: NoTLS

        init(_ way: NoTLS) { self.way = way }

        func channelActive(context: ChannelHandlerContext) {
            switch self.way {
            case .closesAtOnce, .resetsAtOnce: self.leave(context)
            case .closesOnHello, .resetsOnHello, .saysSomethingElse: break
            }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if self.way == .saysSomethingElse {
                let words = ByteBuffer(string: "220 mail.example.test ready\r\n")
                context.writeAndFlush(self.wrapOutboundOut(words), promise: nil)
            }
            self.leave(context)
        }

        private func leave(_ context: ChannelHandlerContext) {
            let resets = self.way == .resetsAtOnce || self.way == .resetsOnHello
            let provider = context.channel as? any SocketOptionProvider
            if resets { provider?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenComplete { _ in } }
            context.close(promise: nil)
        }
    }
}
