// The surroundings of one run: a server, a client that reaches it, perhaps through a proxy, and the faults on the way. In
// memory or over sockets of this machine, with the same handlers.

import KHPProtocol
import KHPServer
import KHPTesting
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport

@testable import KHPClient
@testable import KHPWebSocket

protocol TortureWorld: Sendable {
    var plan: FaultPlan { get }
    var watch: Watch { get }
    /// Called on the client's event loop.
    var client: WebSocketClient { get }
    /// How many connections the server counts.
    var connections: Int { get }
    /// How many timers are set; 0 over sockets, where those of an event loop are counted behind its runs.
    var timers: Int { get }

    func url(_ path: String) -> String
    /// A connection of a peer of the test's own, with the faults of a client.
    func dialRaw() async throws -> RawClient
    /// Ends the server as its graceful shutdown does.
    func drain() async
}

/// A server and a client of one run in memory. Each host has two addresses; the port says who is there.
final class MemoryWorld: TortureWorld {
    let plan: FaultPlan
    let watch: Watch
    let client: WebSocketClient
    private let loop: CountingLoop
    private let server: InMemoryServer
    private let isSecure: Bool
    private let wires: Wires

    init(_ scenario: Scenario, _ plan: FaultPlan, on base: any EventLoop) throws {
        let loop = CountingLoop(on: base, plan)
        let watch = Watch()
        let settings = TortureSettings(plan, watch)
        let server = try InMemoryServer(
            configuration: settings.server(scenario, hooks: settings.hooks(.server)),
            endpoints: Scenario.endpoints { "ws://second.example/echo" }
        )
        let tls = scenario.isSecure ? try settings.serverContext(of: scenario) : nil
        let wires = Wires(
            plan: plan,
            watch: watch,
            server: server,
            host: scenario.host,
            peer: scenario.beginsWithProxyHeader ? try SocketAddress(ipAddress: "127.0.0.1", port: 1024) : nil,
            tls: tls,
            wait: settings.wait
        )
        let hooks = settings.hooks(.client, prepare: nil) { address, eventLoop in
            switch plan.next(.connect) {
            case .fails?: throw IOError(errnoCode: 111, reason: "a refusal of the test's")
            case .isLate?: try await Task.sleep(for: settings.wait)
            // Longer than the next address waits for its turn.
            case .crosses?: try? await Task.sleep(for: .milliseconds(600))
            default: break
            }
            return try await eventLoop.submit {
                try wires.connect(to: address, on: eventLoop) { try Dialled(taking: $0) }
            }.get()
        }
        var configuration = settings.client(scenario, hooks: hooks)
        configuration.lookUp = settings.lookUp { port in
            [
                try SocketAddress(ipAddress: "192.0.2.1", port: port),
                try SocketAddress(ipAddress: "192.0.2.2", port: port),
            ]
        }
        self.plan = plan
        self.watch = watch
        self.loop = loop
        self.server = server
        self.isSecure = scenario.isSecure
        self.wires = wires
        self.client = WebSocketClient(configuration: configuration, eventLoopGroup: loop)
    }

    var connections: Int { self.server.connections }
    var timers: Int { self.loop.timers }

    func url(_ path: String) -> String { "\(self.isSecure ? "wss" : "ws")://localhost\(path)" }

    func dialRaw() async throws -> RawClient {
        let (loop, wires, isSecure) = (self.loop, self.wires, self.isSecure)
        let address = try SocketAddress(ipAddress: "192.0.2.1", port: isSecure ? 443 : 80)
        return try await loop.submit {
            try wires.connect(to: address, on: loop) { channel in
                if isSecure { try TortureSettings.addTLS(toRaw: channel) }
                return try RawClient.over(channel)
            }
        }.get()
    }

    func drain() async { await self.server.drain() }
}

/// The network of a world in memory.
private struct Wires: Sendable {
    let plan: FaultPlan
    let watch: Watch
    let server: InMemoryServer
    let host: Host?
    /// The address of every client.
    let peer: SocketAddress?
    let tls: NIOSSLContext?
    let wait: Duration

    /// Makes a connection to the server or a proxy, which the port tells. On the event loop.
    /// - Parameter take: puts the client's handlers in place.
    func connect<Client>(
        to address: SocketAddress,
        on eventLoop: any EventLoop,
        _ take: (MemoryChannel) throws -> Client
    ) throws -> Client {
        let port = address.port ?? 0
        let ends = MemoryChannel.pair(on: eventLoop, client: self.peer, server: address)
        self.watch.note(ends.client, "client channel")
        self.watch.note(ends.server, "server channel")
        try ends.client.pipeline.syncOperations.addHandler(FaultHandler(.client, self.plan, self.watch))
        let client = try take(ends.client)
        if port == 3128 || port == 3129 || port == 1080 {
            if port == 3129 {
                let context = try TortureSettings.serverContext.get()
                try ends.server.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
            }
            try self.addProxy(to: ends.server)
        } else {
            try ends.server.pipeline.syncOperations.addHandler(FaultHandler(.server, self.plan, self.watch))
            try self.accept(ends.server, port)
        }
        if self.plan.next(.register) == .isLate {
            let server = NIOLoopBound(ends.server, eventLoop: eventLoop)
            let late = eventLoop.scheduleTask(in: TimeAmount(self.wait * 8)) { server.value.open() }
            ends.server.closeFuture.whenComplete { _ in late.cancel() }
        } else {
            ends.server.open()
        }
        ends.client.open()
        return client
    }

    private func accept(_ channel: MemoryChannel, _ port: Int) throws {
        guard let host else { return self.server.accept(channel, tls: port == 443 ? self.tls : nil) }
        try host.take(channel, self.server.mount, patience: TimeAmount(self.wait * 2))
    }

    private func addProxy(to channel: MemoryChannel) throws {
        let eventLoop = channel.eventLoop
        try channel.pipeline.syncOperations.addHandler(
            ProxyHandler { port, relay in
                let ends = MemoryChannel.pair(on: eventLoop, client: nil)
                self.watch.note(ends.client, "proxy's channel")
                self.watch.note(ends.server, "server channel")
                do {
                    try ends.client.pipeline.syncOperations.addHandler(relay.value)
                    try ends.server.pipeline.syncOperations.addHandler(FaultHandler(.server, self.plan, self.watch))
                } catch {
                    return relay.value.gone()
                }
                self.server.accept(ends.server, tls: port == 443 ? self.tls : nil)
                ends.server.open()
                ends.client.open()
            }
        )
    }
}
