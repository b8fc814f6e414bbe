// A gateway at work: listeners, services, pools and sessions under one configuration, which a reload replaces.

import KHPServer
package import NIOCore
import NIOPosix
import Synchronization

/// Runs what a configuration says.
///
///     starting ──all listeners are bound──▶ serving ──a signal──▶ announcing ──▶ draining ──no session is left──▶ ended
package actor Gateway {
    package enum Phase: String, Sendable {
        case starting
        case serving
        /// Readiness is gone, and clients still come in.
        case announcing
        case draining
        case ended
    }

    /// An address that is listened on.
    package struct Listening: Sendable {
        package var name: String
        package var address: SocketAddress
        /// `ws`, `wss`, `http` or `https`.
        package var scheme: String
    }

    package enum Failure: Error, Sendable {
        /// For this listener, or the admin address.
        case cannotListen(String, String)
        /// The configuration has a mistake that reading it does not show.
        case invalid(String)
        /// It takes no such order now: it starts, or shuts down.
        case unavailable(String)
    }

    nonisolated let log: GatewayLog
    nonisolated let sessions: SessionTable
    nonisolated let handshakes = HandshakeCounts()
    nonisolated let started = Timestamp.now
    nonisolated let group: MultiThreadedEventLoopGroup

    private(set) var materials: GatewayMaterials
    /// How far it is on its way to its end, and with a reload.
    var life = Life()
    private(set) var lastReload = LastReload()
    private(set) var services: [String: RunningService] = [:]
    private(set) var pools: [String: RunningPool] = [:]
    private(set) var line = ListenerLine()
    /// The services by listeners and the paths of their endpoints, for whoever is told of a path.
    nonisolated let names = ServiceNames()
    /// For sessions that open after a reload.
    nonisolated let inForce = ServicesInForce()
    /// Sends clients away, for all services.
    nonisolated let drain: Drain
    /// The sessions whose clients are asked to prove anew who they are.
    nonisolated let revalidations: Revalidations

    struct LastReload: Sendable {
        /// When the configuration in force was taken.
        var loaded = Timestamp.now
        var succeeded = true
    }

    /// A pool, and the checks of its backends.
    struct RunningPool: Sendable {
        var pool: BackendPool
        var checks: Task<Void, Never>
    }

    /// - Parameters:
    ///   - threads: how many event loops carry sessions.
    ///   - progress: the time between two lines about a drain that goes on.
    ///   - grace: the time that clients have for their answers when all have been closed.
    ///   - log: takes the lines of the log.
    package init(
        _ materials: GatewayMaterials,
        threads: Int = System.coreCount,
        progress: Duration = .seconds(5),
        grace: Duration = .seconds(1),
        log: @escaping @Sendable (String) -> Void
    ) {
        self.materials = materials
        self.drain = Drain(progress: progress, grace: grace)
        self.group = MultiThreadedEventLoopGroup(numberOfThreads: max(threads, 1))
        self.sessions = SessionTable(self.group)
        let lines = GatewayLog(instance: materials.configuration.instance, materials.configuration.log, sink: log)
        self.log = lines
        self.revalidations = Revalidations { lines.write(revalidation: $1, of: $0) }
    }

    // MARK: Starting

    /// Binds all listeners, or none.
    /// - Throws: ``Failure``.
    package func start() async throws(Failure) -> [Listening] {
        let configuration = self.materials.configuration
        for warning in self.materials.warnings {
            self.log.write(.warning, "config.warning", warning, [("warning", .string(warning))])
        }
        self.pools = try self.makePools(self.materials)
        do {
            self.services = try self.makeServices(self.materials, pools: self.pools)
            // Before the first client comes.
            self.names.add(self.services, configuration)
            self.revalidations.use(self.services)
            self.inForce.use(self.services, renew: self.materials.renew)
            for rules in configuration.listeners {
                self.line.use(self.listeners + [try await self.listen(rules, self.materials)])
            }
        } catch let failure as Failure {
            await self.stop()
            throw failure
        } catch {
            await self.stop()
            throw .invalid("\(error)")
        }
        self.phase = .serving
        let listening = self.listeners.map { Listening($0) }
        for listener in listening {
            self.log.write(
                .info,
                "listening",
                "listener \(listener.name) takes connections",
                [("listener", .string(listener.name)), ("address", .string(listener.url))]
            )
        }
        return listening
    }

    /// The connections that a listener takes; fewer than it is configured for is worth a warning.
    func connections(
        of rules: GatewayConfiguration.Listener,
        among listeners: [GatewayConfiguration.Listener]
    ) -> Int {
        let openable = DescriptorShare.openable
        let loops = Array(self.group.makeIterator()).count
        let count = DescriptorShare.connections(of: rules, among: listeners, openable: openable, loops: loops)
        if let openable, count < rules.connections {
            self.log.write(
                .warning,
                "listener.bounded",
                "listener \(rules.name) takes \(count) connections at once instead of \(rules.connections): "
                    + "the process may open \(openable) files, and a session takes two",
                [("listener", .string(rules.name)), ("connections", .integer(count)), ("files", .integer(openable))]
            )
        }
        return count
    }

    /// - Parameter bound: the socket of a listener that this one follows; `nil` binds one.
    func listen(
        _ rules: GatewayConfiguration.Listener,
        _ materials: GatewayMaterials,
        at bound: ListeningSocket? = nil
    ) async throws(Failure) -> RunningListener {
        let socket: ListeningSocket
        do throws(ListeningSocket.Failure) {
            if let bound {
                socket = bound
            } else {
                socket = try await ListeningSocket.bound(to: rules.listen, on: self.group.next())
            }
        } catch {
            throw .cannotListen(rules.name, error.words)
        }
        do throws(Failure) {
            return try await self.listener(rules, materials, socket)
        } catch {
            socket.closeUnused()
            throw error
        }
    }

    private func listener(
        _ rules: GatewayConfiguration.Listener,
        _ materials: GatewayMaterials,
        _ socket: ListeningSocket
    ) async throws(Failure) -> RunningListener {
        do {
            return try await RunningListener(
                rules,
                tls: materials.listenerTLS[rules.name],
                endpoints: try self.endpoints(of: rules, in: materials.configuration),
                bounds: self.bounds(of: rules, in: materials.configuration),
                connections: self.connections(of: rules, among: materials.configuration.listeners),
                log: self.log,
                watch: self.watch(rules),
                answer: self.answer(rules, materials.configuration),
                socket: socket,
                on: self.group
            )
        } catch let error as WebSocketError where error.code == .connectFailed {
            throw .cannotListen(rules.name, ListeningSocket.Failure(rules.listen, error).words)
        } catch {
            throw .invalid("listener \(rules.name): \(error)")
        }
    }

    /// Answers ordinary requests at a listener; `nil` where nobody has to come for them.
    func answer(
        _ rules: GatewayConfiguration.Listener,
        _ configuration: GatewayConfiguration
    ) -> (@Sendable (HTTPExchange) async throws -> Void)? {
        let realms = configuration.revalidatedRealms
        let asks = configuration.services.contains { service in
            service.realms.contains(where: realms.contains) && configuration.leads(rules, to: service)
        }
        guard asks else { return nil }
        let revalidations = self.revalidations
        return { try await revalidations.serve($0) }
    }

    /// The endpoints of a listener's services.
    func endpoints(of rules: GatewayConfiguration.Listener, in configuration: GatewayConfiguration) throws(Failure)
        -> [Endpoint]
    {
        let services = self.services(of: rules, in: configuration)
        let limits = self.bounds(of: rules, in: configuration).limits(connections: rules.connections)
        do {
            return try services.map { try $0.endpoint(on: rules.name, limits: limits) }
        } catch {
            throw .invalid("\(error)")
        }
    }

    func bounds(of rules: GatewayConfiguration.Listener, in configuration: GatewayConfiguration) -> ListenerBounds {
        ListenerBounds(self.services(of: rules, in: configuration).map(\.rules), in: configuration)
    }

    private func services(of listener: GatewayConfiguration.Listener, in configuration: GatewayConfiguration)
        -> [RunningService]
    {
        configuration.services.filter { configuration.leads(listener, to: $0) }.compactMap { self.services[$0.name] }
    }

    // MARK: Making

    func makePools(_ materials: GatewayMaterials) throws(Failure) -> [String: RunningPool] {
        var made: [String: RunningPool] = [:]
        for rules in materials.configuration.pools {
            if let old = self.pools[rules.name], old.pool.rules == rules,
                self.materials.hash == materials.hash || materials.backendTLS[rules.name] == nil
            {
                made[rules.name] = old
                continue
            }
            let log = self.log
            let sessions = self.sessions
            let report: PoolReport = { pool, backend, change in
                log.write(pool: pool, backend: backend, change)
                if rules.onDown == .close, case .down = change {
                    let end = SessionEnd(.gateway, .backendReset, .badGateway, "the backend is down")
                    Task { await sessions.close(end) { $0.pool == pool && $0.backend == backend } }
                }
            }
            let pool: BackendPool
            do {
                pool = try BackendPool(
                    rules,
                    tls: materials.backendTLS[rules.name],
                    after: self.pools[rules.name]?.pool,
                    report: report
                )
            } catch {
                self.drop(made, unlessIn: self.pools)
                throw .invalid("pool \(rules.name): \(error)")
            }
            let checks = BackendChecks(pool: pool, eventLoop: self.group.next())
            made[rules.name] = RunningPool(pool: pool, checks: Task { await checks.run() })
        }
        return made
    }

    func makeServices(
        _ materials: GatewayMaterials,
        pools: [String: RunningPool]
    ) throws -> [String: RunningService] {
        var surroundings = ServiceSurroundings(sessions: self.sessions)
        surroundings.drain = self.drain
        surroundings.inForce = self.inForce
        surroundings.pools = pools.mapValues(\.pool)
        surroundings.listeners.secure = Set(materials.listenerTLS.keys)
        let listeners = materials.configuration.listeners
        surroundings.listeners.trusting = Set(listeners.filter(\.trustsClientName).map(\.name))
        let log = self.log
        surroundings.slow = { log.write(slow: $0, for: $1, $2) }
        surroundings.ended = { if log.tellsSessions { log.write(ended: $0) } }
        let counts = self.handshakes
        let observe: GatewayMaterials.Observe = { outcome in
            counts.add(outcome)
            switch outcome.result {
            case .wrong, .unknownUser, .expired: log.write(unproved: outcome)
            // A client that is stale answers anew, and a blocked address is told of once, as auth.blocked.
            case .ok, .stale: break
            case .blocked: ConnectionTrace.current?.refuses(HandshakeCounts.blocked)
            }
        }
        var made: [String: RunningService] = [:]
        surroundings.revalidations = self.revalidations
        surroundings.revalidatedRealms = materials.configuration.revalidatedRealms
        surroundings.instance = materials.configuration.instance
        surroundings.names = materials.configuration.listeners.compactMap(\.publicURL)
        surroundings.balancerTLS = materials.balancerTLS
        surroundings.balancerNews = { log.write(balancer: $0, $1) }
        for rules in materials.configuration.services {
            made[rules.name] = RunningService(
                rules,
                authentication: materials.authentication(rules, observe),
                former: self.services[rules.name],
                in: surroundings
            )
        }
        return made
    }

    private nonisolated func watch(_ listener: GatewayConfiguration.Listener) -> HandshakeWatch {
        let names = self.names
        let counts = self.handshakes
        let log = self.log
        let place = listener.name
        var watch = HandshakeWatch(listener: place, service: { names.name(of: $0, at: place) }) { outcome in
            counts.add(outcome)
            if outcome.status >= 400, outcome.status != 401 { log.write(refused: outcome) }
        }
        if listener.tls != nil {
            watch.tls = { counts.add(tls: $0, at: place) }
        }
        return watch
    }

    /// Puts these in force.
    func use(pools: [String: RunningPool], services: [String: RunningService]) {
        self.pools = pools
        self.services = services
        self.revalidations.use(services)
    }

    /// The listeners in force.
    var listeners: [RunningListener] { self.line.inForce }

    func use(listeners: [RunningListener]) { self.line.use(listeners) }

    func noteReload(_ materials: GatewayMaterials, succeeded: Bool) {
        self.lastReload.succeeded = succeeded
        guard succeeded else { return }
        self.materials = materials
        self.lastReload.loaded = .now
    }

    /// Stops the checks of backends and all listeners, and waits for their connections.
    /// - Parameter end: the time at which the connections that are left are cut.
    func stop(by end: NIODeadline = .distantFuture) async {
        for pool in self.pools.values { pool.checks.cancel() }
        let eventLoop = self.group.next()
        await withTaskGroup(of: Void.self) { tasks in
            for listener in self.line.all {
                tasks.addTask {
                    await listener.close()
                    await listener.drain(by: end, on: eventLoop)
                }
            }
        }
        self.line = ListenerLine()
        self.revalidations.use([:])
        self.phase = .ended
        self.life.isEnding = true
        try? await self.group.shutdownGracefully()
    }
}

extension Gateway.Listening {
    /// As a client reaches it.
    package var url: String {
        switch self.address {
        case .unixDomainSocket: return "unix:\(self.address.pathname ?? "")"
        case .v4, .v6: return "\(self.scheme)://\(HostAndPort(self.address.ipAddress ?? "", self.address.port ?? 0))"
        }
    }
}

/// The services by listeners and the paths of their endpoints: two may have one path, each at a listener of its own.
final class ServiceNames: Sendable {
    private struct Place: Hashable {
        var listener: String
        var path: String
    }

    private let names = Mutex<[Place: String]>([:])

    func add(_ services: [String: RunningService], _ configuration: GatewayConfiguration) {
        self.names.withLock { names in
            for service in services.values {
                for listener in configuration.listeners(of: service.rules) {
                    names[Place(listener: listener.name, path: service.path)] = service.rules.name
                }
            }
        }
    }

    func name(of path: String, at listener: String) -> String? {
        self.names.withLock { $0[Place(listener: listener, path: path)] }
    }
}
