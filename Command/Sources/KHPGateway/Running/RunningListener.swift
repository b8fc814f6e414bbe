// A listener at work: its address, and the endpoints of those services that are reached through it.

import KHPHTTP2
import KHPServer
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

final class RunningListener: Sendable {
    let rules: GatewayConfiguration.Listener
    let address: SocketAddress
    private let inForce: Mutex<InForce>
    private let mount: WebSocketMount
    private let listener: WebSocketListener
    private let answersHTTP: Bool
    private let socket: ListeningSocket
    private let isClosed = Atomic(false)
    private let wasLost = Atomic(false)
    private let bounds: ListenerBounds

    private struct InForce {
        var endpoints: [Endpoint]
        var connections: Int
    }

    /// Begins to listen.
    /// - Parameters:
    ///   - socket: bound to the address of the rules, and used by no other listener.
    ///   - connections: how many it takes at once, which may be fewer than the rules say.
    ///   - answer: answers ordinary requests; `nil` leaves them to the library.
    /// - Throws: ``WebSocketError`` where it cannot, or where endpoints make no sense.
    init(
        _ rules: GatewayConfiguration.Listener,
        tls: TLSConfiguration?,
        endpoints: [Endpoint],
        bounds: ListenerBounds,
        connections: Int,
        log: GatewayLog,
        watch: HandshakeWatch,
        answer: (@Sendable (HTTPExchange) async throws -> Void)?,
        socket: ListeningSocket,
        on group: any EventLoopGroup
    ) async throws {
        var configuration = WebSocketMount.Configuration()
        configuration.limits = bounds.limits(connections: connections)
        configuration.timeouts.stalledWrite = bounds.stalledWrite
        configuration.timeouts.opening = bounds.handshake
        configuration.timeouts.extended = bounds.handshake
        if let window = bounds.wrongAnswerWindow { configuration.timeouts.wrongAnswerWindow = window }
        configuration.gracefulShutdownTimeout = .seconds(5)
        configuration.logger = Logger(label: "khp.gateway") { _ in LibraryLog(log) }
        configuration.instruments = [watch]
        configuration.serveHTTP = answer
        // A client sends one request here: a proof takes one, and every other path is no service's.
        configuration.httpLimits.idleTime = .seconds(5)
        // Offered where there is TLS: browsers open their WebSockets on the connection of the page.
        configuration.http2 = .init()
        let mount = try WebSocketMount(configuration: configuration, endpoints: endpoints)
        // Found wrong before the library is given the descriptor, which it closes only once it listens.
        if let tls { _ = try NIOSSLContext(configuration: tls) }
        let descriptor = try socket.hold()
        var listening = WebSocketListener.Configuration(address: .boundSocket(descriptor))
        listening.name = rules.name
        listening.tls = tls
        listening.readsServerName = true
        listening.connections = connections
        let trusted = rules.trust.map(\.description)
        if rules.requiresProxyHeader { listening.proxyProtocol = .required(from: trusted) }
        switch rules.forwarded {
        case .off: break
        case .forwarded: listening.clientAddress = .forwarded(.forwarded, trusted: trusted)
        case .xForwardedFor: listening.clientAddress = .forwarded(.xForwardedFor, trusted: trusted)
        }
        let listener = WebSocketListener(configuration: listening, mount: mount, eventLoopGroup: group)
        do {
            self.address = try await listener.listen()
        } catch {
            socket.letGo()
            throw error
        }
        self.socket = socket
        self.rules = rules
        self.answersHTTP = answer != nil
        self.bounds = bounds
        self.inForce = Mutex(InForce(endpoints: endpoints, connections: connections))
        self.mount = mount
        self.listener = listener
    }

    /// The endpoints that are in force.
    var endpoints: [Endpoint] { self.inForce.withLock { $0.endpoints } }

    /// How many connections it takes at once.
    var connections: Int { self.inForce.withLock { $0.connections } }

    var hasClosed: Bool { self.isClosed.load(ordering: .relaxed) }

    /// `true` where it should listen and could not again.
    var isLost: Bool { self.wasLost.load(ordering: .relaxed) }

    func noteLost() { self.wasLost.store(true, ordering: .relaxed) }

    /// `true` while connections are there that have come in by it.
    var isInUse: Bool { self.mount.connections > 0 }

    var counts: WebSocketListener.Counts { self.listener.counts }

    func replaceEndpoints(_ endpoints: [Endpoint]) throws {
        try self.mount.replaceEndpoints(endpoints)
        self.inForce.withLock { $0.endpoints = endpoints }
    }

    /// Takes so many connections at once from now on; those that are there stay.
    func replaceConnections(_ connections: Int) throws {
        try self.mount.replaceConnections(connections)
        try self.listener.replaceConnections(connections)
        self.inForce.withLock { $0.connections = connections }
    }

    /// Takes other certificates for the connections that are accepted from now on.
    func replaceTLS(_ tls: TLSConfiguration) throws { try self.listener.replaceTLS(tls) }

    /// Has clients come anew with their next session; those that are there go on.
    func retireConnections() { self.mount.retireConnections() }

    /// Accepts nothing any more; sessions go on.
    func close() async {
        guard !self.isClosed.exchange(true, ordering: .relaxed) else { return }
        await self.listener.close()
        self.socket.letGo()
    }

    /// The socket, where the listener of these rules is to have its address, and nothing about that address changes.
    func socket(for rules: GatewayConfiguration.Listener) -> ListeningSocket? {
        guard rules.listen == self.rules.listen, !self.hasClosed else { return nil }
        return rules.listen.isOfAnyPort && rules.name != self.rules.name ? nil : self.socket
    }

    /// `true` where nobody can listen at an address while this one does.
    func isInTheWay(of listen: ListenAddress) -> Bool {
        guard !self.hasClosed else { return false }
        return switch (self.rules.listen, listen) {
        case (.host, .host(_, let port)): port != 0 && port == self.address.port
        case (.unix(let path), .unix(let other)): path == other
        case (.host, .unix), (.unix, .host): false
        }
    }

    /// Ends all connections that are left.
    func drain() async { await self.mount.drain() }

    /// Ends all connections that are left, and cuts those that are there at this time: TLS would wait for a client that has
    /// fallen silent. Where the time is over already, it waits for nothing.
    func drain(by end: NIODeadline, on eventLoop: any EventLoop) async {
        let mount = self.mount
        guard end > .now() else { return mount.cut() }
        let cut = end == .distantFuture ? nil : eventLoop.scheduleTask(deadline: end) { mount.cut() }
        await mount.drain()
        cut?.cancel()
    }

    /// `true` where new rules can be put in force while it listens.
    /// - Parameters:
    ///   - answers: the new rules have it answer ordinary requests.
    ///   - bounds: of the services that it leads to then; connections are made for those that it has.
    func mayBecome(_ rules: GatewayConfiguration.Listener, answering answers: Bool, _ bounds: ListenerBounds) -> Bool {
        guard !self.hasClosed, answers == self.answersHTTP, bounds == self.bounds else { return false }
        var mine = self.rules
        var others = rules
        // Certificates are replaced, and the name for clients is nobody's business here.
        (mine.publicURL, others.publicURL) = (nil, nil)
        // So is the word of proxies about certificates: services ask for it.
        (mine.trustsClientName, others.trustsClientName) = (false, false)
        (mine.connections, others.connections) = (1, 1)
        guard (mine.tls == nil) == (others.tls == nil) else { return false }
        (mine.tls, others.tls) = (nil, nil)
        return mine == others
    }
}

/// The bounds that a listener takes from its services: the largest, since a connection has to fit them before its service is
/// known.
struct ListenerBounds: Sendable, Equatable {
    private var buffer = 4096
    private var stalled = Duration.seconds(20)
    /// The strictest of the limits of all realms that ask at the listener.
    private var wrongAnswers: GatewayConfiguration.WrongAnswers?
    private var hashQueue: Int?
    /// The longest time in which a backend is to be connected.
    private var connectTimeout = Duration.zero

    init(_ services: [GatewayConfiguration.Service], in configuration: GatewayConfiguration) {
        let realms = configuration.realms
        let pools = Set(services.flatMap(\.poolNames))
        for pool in configuration.pools where pools.contains(pool.name) {
            self.connectTimeout = max(self.connectTimeout, pool.connectTimeout)
        }
        let asked = Set(services.flatMap(\.realms))
        for rule in realms.filter({ asked.contains($0.name) }).map(\.wrongAnswers) {
            var strictest = self.wrongAnswers ?? rule
            strictest.perAddress = min(strictest.perAddress, rule.perAddress)
            strictest.window = max(strictest.window, rule.window)
            self.wrongAnswers = strictest
        }
        self.hashQueue = realms.filter { asked.contains($0.name) }.map(\.hashQueue).min()
        for service in services {
            self.buffer = max(self.buffer, service.rules.relay.buffer)
            self.stalled = max(self.stalled, service.rules.relay.stalled)
        }
    }

    func limits(connections: Int) -> WebSocketServer.Limits {
        var limits = WebSocketServer.Limits()
        limits.sendBufferHighMark = self.buffer
        limits.sendBufferLowMark = self.buffer / 2
        limits.connections = connections
        if let wrongAnswers { limits.wrongAnswersPerAddress = wrongAnswers.perAddress }
        if let hashQueue { limits.credentialChecksWaiting = hashQueue }
        return limits
    }

    /// `nil` where no realm asks.
    var wrongAnswerWindow: Duration? { self.wrongAnswers?.window }

    /// The time of a handshake, which a backend has to be connected in: a client that waits for one in vain is told so by the
    /// gateway, and not cut off.
    static func handshake(_ connectTimeout: Duration) -> Duration { max(.seconds(10), connectTimeout + .seconds(5)) }

    var handshake: Duration { Self.handshake(self.connectTimeout) }

    /// Longer than a relay waits: it says which side took nothing.
    var stalledWrite: Duration { self.stalled + .seconds(10) }
}

extension Gateway.Listening {
    /// The address of a listener of WebSockets.
    init(_ listener: RunningListener) {
        self.init(
            name: listener.rules.name,
            address: listener.address,
            scheme: listener.rules.tls == nil ? "ws" : "wss"
        )
    }
}
