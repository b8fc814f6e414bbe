// A server, a client and perhaps a proxy of one run over sockets of this machine.

import KHPProtocol
import KHPServer
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TestSupport

@testable import KHPClient

/// The server's port, once it is known.
private final class BoundPort: Sendable {
    private let number = Atomic(0)

    var value: Int {
        get { self.number.load(ordering: .relaxed) }
        set { self.number.store(newValue, ordering: .relaxed) }
    }
}

/// A channel that is there before its connect has a result.
private final class MadeChannel: Sendable {
    let channel = Mutex<(any Channel)?>(nil)
}

final class SocketWorld: TortureWorld {
    let plan: FaultPlan
    let watch: Watch
    let client: WebSocketClient
    private let log: CollectingLog
    private let run: Task<Void, any Error>
    private let proxy: any Channel
    private let base: String
    private let dial: @Sendable () async throws -> RawClient

    init(_ scenario: Scenario, _ plan: FaultPlan, on group: any EventLoopGroup) async throws {
        let watch = Watch()
        self.plan = plan
        self.watch = watch
        self.log = CollectingLog()
        let settings = TortureSettings(plan, watch)
        let serverHooks = settings.hooks(.server) { try Self.prepare($0, .server, plan, watch) }
        var configuration = settings.server(scenario, hooks: serverHooks)
        configuration.tls = scenario.isSecure ? try settings.serverTLS(of: scenario) : nil
        let log = self.log
        configuration.logger = Logger(label: "torture") { _ in log }
        let port = BoundPort()
        let server = WebSocketServer(
            configuration: configuration,
            eventLoopGroup: group,
            endpoints: { Scenario.endpoints { "ws://second.example:\(port.value)/echo" } }
        )
        self.run = Task { try await server.run() }
        port.value = try await server.boundPort() ?? 0
        self.proxy = try await Self.proxy(on: group)
        let proxyPort = self.proxy.localAddress?.port ?? 0
        let clientHooks = settings.hooks(.client) { try Self.prepare($0, .client, plan, watch) }
        var client = settings.client(scenario, hooks: clientHooks)
        client.lookUp = settings.lookUp { port in
            let isProxy = port == 3128 || port == 1080
            return [try SocketAddress(ipAddress: "127.0.0.1", port: isProxy ? proxyPort : port)]
        }
        self.client = WebSocketClient(configuration: client, eventLoopGroup: group)
        let isSecure = scenario.isSecure
        self.dial = {
            let made = MadeChannel()
            do {
                return try await ClientBootstrap(group: group)
                    .channelOption(.allowRemoteHalfClosure, value: true)
                    .connect(host: "127.0.0.1", port: port.value) { channel in
                        made.channel.withLock { $0 = channel }
                        return channel.eventLoop.makeCompletedFuture {
                            try Self.prepare(channel, .client, plan, watch)
                            if isSecure { try TortureSettings.addTLS(toRaw: channel) }
                            return try RawClient.over(channel)
                        }
                    }
            } catch {
                // The fault is above the socket, which knows nothing of it.
                made.channel.withLock { $0 }?.close(promise: nil)
                throw error
            }
        }
        self.base = "\(scenario.isSecure ? "wss" : "ws")://localhost:\(port.value)"
    }

    private static func prepare(_ channel: any Channel, _ side: Side, _ plan: FaultPlan, _ watch: Watch) throws {
        watch.note(channel, "\(side) channel")
        try channel.pipeline.syncOperations.addHandler(FaultHandler(side, plan, watch))
    }

    private static func proxy(on group: any EventLoopGroup) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                let eventLoop = channel.eventLoop
                return eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ProxyHandler { port, relay in
                            ClientBootstrap(group: eventLoop)
                                .channelOption(.allowRemoteHalfClosure, value: true)
                                .channelInitializer { channel in
                                    eventLoop.makeCompletedFuture {
                                        try channel.pipeline.syncOperations.addHandler(relay.value)
                                    }
                                }
                                .connect(host: "127.0.0.1", port: port)
                                .whenFailure { _ in relay.value.gone() }
                        }
                    )
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
    }

    /// The server tells of those that it could not wait for.
    var connections: Int { self.log.text.contains("have not returned") ? 1 : 0 }
    var timers: Int { 0 }

    func dialRaw() async throws -> RawClient { try await self.dial() }

    func url(_ path: String) -> String { self.base + path }

    func drain() async {
        self.run.cancel()
        _ = try? await self.run.value
        try? await self.proxy.close()
    }
}
