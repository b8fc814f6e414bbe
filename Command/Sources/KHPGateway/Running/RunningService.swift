// A service at work: its endpoint for the library, its bounds, and the way of a client from the handshake into its session.

import HTTPTypes
import KHPServer
import NIOCore
import NIOSSL
import Synchronization

/// The things that the services of a gateway share.
struct ServiceSurroundings: Sendable {
    var sessions: SessionTable
    /// Sends new clients away while it is on.
    var drain = Drain()
    /// Judges sessions that open after a reload.
    var inForce: ServicesInForce?
    var pools: [String: BackendPool] = [:]
    /// The gateway's own name, and its public URLs.
    var instance = ""
    var names: [String] = []
    /// By the service's name.
    var balancerTLS: [String: TLSConfiguration] = [:]
    /// Told of the members of a balancer.
    var balancerNews: @Sendable (_ service: String, MemberLoads.News) -> Void = { _, _ in }
    var listeners = ListenerTraits()
    /// The revalidations of clients, and the realms whose clients are asked for them.
    var revalidations: Revalidations?
    var revalidatedRealms: Set<String> = []
    /// Told of each session that opens.
    var opened: @Sendable (SessionFacts) -> Void = { _ in }
    /// Told of each session's end.
    var ended: @Sendable (EndedSession) -> Void = { _ in }
    /// Told of a side of a session that does not keep up.
    var slow: @Sendable (_ side: String, TimeAmount, SessionFacts) -> Void = { _, _, _ in }
    /// Told of a client that was not let in, and why.
    var refused: @Sendable (_ service: String, _ status: Int, _ cause: String, HandshakeRequest) -> Void = {
        _,
        _,
        _,
        _ in
    }

    init(sessions: SessionTable) {
        self.sessions = sessions
    }
}

/// The things that services have to know of listeners, by their names.
struct ListenerTraits: Sendable {
    /// The listeners with TLS.
    var secure: Set<String> = []
    /// The listeners that believe their proxies about certificates of clients.
    var trusting: Set<String> = []
}

/// All that is known of a session when it is over.
struct EndedSession: Sendable {
    var facts: SessionFacts
    var end: SessionEnd
    var tally: Tally
    var duration: TimeAmount
    var paused: TimeAmount
}

final class RunningService: Sendable {
    let rules: GatewayConfiguration.Service
    let gate: ServiceGate
    private let surroundings: ServiceSurroundings
    /// Asks clients who they are; `nil` lets everybody in.
    let authentication: ServerAuthentication?
    /// All clients of a service that broadcasts.
    private let room: Room?
    /// Names another address to each client, where that is the service's kind.
    private let turns: RedirectTurns?
    private let isListed = Atomic(false)

    /// - Parameters:
    ///   - authentication: asks clients who they are; `nil` lets everybody in.
    ///   - former: the same service before a reload: its sessions count here, and are with those to come.
    init(
        _ rules: GatewayConfiguration.Service,
        authentication: ServerAuthentication? = nil,
        former: RunningService? = nil,
        in surroundings: ServiceSurroundings
    ) {
        self.rules = rules
        self.authentication = authentication
        let name = rules.name
        self.turns = RedirectTurns(
            rules.kind,
            former: former?.turns,
            instance: surroundings.instance,
            names: surroundings.names,
            tls: surroundings.balancerTLS[name],
            report: { surroundings.balancerNews(name, $0) }
        )
        self.gate = former?.gate ?? ServiceGate(rules.rules.limits)
        if case .broadcast = rules.kind { self.room = former?.room ?? Room(patience: nil) } else { self.room = nil }
        self.surroundings = surroundings
    }

    /// `true` while new clients are turned away. One who is to go elsewhere is told where, by a gateway that drains too.
    var isDrained: Bool { self.turns == nil && self.surroundings.drain.isOn }

    /// `true` from its first moment in ``ServicesInForce`` on.
    var hasBeenInForce: Bool { self.isListed.load(ordering: .acquiring) }

    func noteInForce() { self.isListed.store(true, ordering: .releasing) }

    /// How many clients were sent to each member of a balancer.
    var redirects: [String: Int] { self.turns?.counts ?? [:] }

    // MARK: The endpoint

    /// The path of the endpoint, in the library's notation.
    var path: String { self.rules.path.isPrefix ? self.rules.path.path + "{rest...}" : self.rules.path.path }

    /// - Throws: ``WebSocketError/Code/invalidArgument`` for rules that make no sense.
    func endpoint(on listener: String, limits server: WebSocketServer.Limits) throws -> Endpoint {
        let options = try self.options(server)
        if let turns = self.turns {
            return Endpoint(
                self.path,
                options: options,
                respond: { request in
                    // A redirect is judged as a session is, and its place is released at once.
                    try await self.admit(request).release()
                    let isLeaving = self.surroundings.drain.isOn
                    guard
                        let target = turns.next(
                            for: request.client?.unmapped.ipAddress,
                            query: request.opening.path,
                            leaving: isLeaving
                        )
                    else { throw self.refusal(503, isLeaving ? "draining" : "members", request) }
                    return .redirect(to: target)
                }
            )
        }
        return Endpoint(
            self.path,
            options: options,
            context: { try await self.admit($0) },
            release: { await $0.release() },
            respond: { _, seat in .complete(subprotocol: seat.subprotocol) },
            messageHandler: { request, seat in self.handler(for: seat, request, on: listener) }
        )
    }

    private func options(_ server: WebSocketServer.Limits) throws -> Endpoint.Options {
        let rules = self.rules.rules
        var options = Endpoint.Options(dialects: rules.handshake.dialects)
        if case .routed(let routes) = self.rules.kind { options.subprotocols = routes.routes.map(\.subprotocol) }
        if rules.handshake.compresses { options.extensions = [PerMessageDeflate()] }
        if self.rules.realms.contains(where: self.surroundings.revalidatedRealms.contains) {
            options.extensions.append(KaazingHTTPRevalidate())
        }
        options.admit = { try self.judgeEarly($0) }
        options.authentication = self.authentication
        options.origins = try self.origins
        options.extendedHandshake = ServerExtendedHandshake(rawValue: rules.handshake.extended.rawValue) ?? .optional
        options.kaazingLegacy = rules.handshake.speaksKaazingLegacy
        var limits = Endpoint.Limits(server)
        limits.messages = rules.limits.messages
        options.limits = limits
        var timeouts = Endpoint.Timeouts()
        let connects = self.rules.poolNames.compactMap { self.surroundings.pools[$0]?.rules.connectTimeout }
        timeouts.extended = ListenerBounds.handshake(connects.max() ?? .zero)
        options.timeouts = timeouts
        var keepAlive = KeepAliveConfiguration()
        keepAlive.pingInterval = rules.lifetime.ping?.every
        if let ping = rules.lifetime.ping { keepAlive.pongTimeout = ping.timeout }
        options.keepAlive = keepAlive
        // A message is handed on as it comes, but to those who take it whole.
        let takesWhole =
            self.rules.poolNames.isEmpty
            || self.rules.poolNames.contains { self.surroundings.pools[$0]?.speaksWebSocket ?? false }
        options.delivery = takesWhole ? .messages : .chunks
        return options
    }

    /// The pages that may come, as far as the library can tell; the rest is judged with the client.
    private var origins: OriginPolicy {
        get throws {
            guard let allowed = self.rules.rules.origins.allowed else { return .sameOrigin }
            if self.judgesOrigins { return .any }
            return try .allowing(allowed.map(\.description))
        }
    }

    /// `true` where an origin may be any below a domain.
    var judgesOrigins: Bool {
        self.rules.rules.origins.allowed?.contains { rule in
            if case .exact = rule { false } else { true }
        } ?? false
    }

    // MARK: Admission

    /// The subprotocol that counts: the first of the service's that the client asks for in the handshake that decides.
    private func subprotocol(of request: HandshakeRequest) -> String? {
        guard case .routed(let routes) = self.rules.kind else { return nil }
        let asked = request.subprotocols
        return routes.routes.first { asked.contains($0.subprotocol) }?.subprotocol
    }

    /// Lets a client in, and connects its backend: a refusal is still an answer of the handshake.
    /// - Throws: the response that refuses it.
    private func admit(_ request: HandshakeRequest) async throws -> Seat {
        // It may have begun while the request waited for its proof.
        if self.isDrained { throw self.refusal(503, "draining", request) }
        let client = request.client?.unmapped
        let route = try self.route(of: request)
        let proof = SessionFacts.Proof(principal: request.principal, address: client)
        if let denial = self.denial(of: proof, as: self.subprotocol(of: request)) {
            throw self.refusal(403, denial.rawValue, request)
        }
        // Two realms may both know somebody of that name.
        let person = request.principal.map { "\($0.realm ?? "")\u{0}\($0.name)" }
        let seat = Seat(self.gate, address: AddressKey(client), principal: person)
        if let limit = self.gate.enter(address: seat.address, principal: seat.principal) {
            throw self.refusal(limit.status, limit.rawValue, request)
        }
        seat.id = SessionFacts.makeID()
        seat.frames = route.frames
        seat.subprotocol = route.subprotocol
        guard let name = route.pool else { return seat }
        guard let pool = self.surroundings.pools[name] else {
            await seat.release()
            throw self.refusal(503, "unavailable", request)
        }
        var call = BackendCall(on: request.eventLoop, rules: self.rules.rules.relay)
        call.client = client
        call.listener = request.local?.unmapped
        call.principal = request.principal?.name
        call.session = seat.id
        call.usesTLS = request.listener.map { self.surroundings.listeners.secure.contains($0) } ?? false
        call.tlsVersion = ConnectionTrace.current?.tlsVersion
        call.certificateName = request.clientCertificate.flatMap { CertificateNames($0).names(.commonName).first }
        if call.certificateName == nil, let name = request.proxiedCertificateName,
            request.listener.map(self.surroundings.listeners.trusting.contains) ?? false
        {
            // The client came by TLS to the proxy that has verified its certificate.
            call.certificateName = name
            call.usesTLS = true
        }
        call.authority = request.opening.authority
        call.serverName = request.serverName
        call.subprotocols = self.offer(of: request, by: route)
        call.messages = self.rules.rules.limits.messages
        do throws(ConnectFailure) {
            let link = try await pool.connect(call)
            seat.link = link
            // The route sets no subprotocol: the client gets the one that the backend has chosen.
            if route.subprotocol == nil { seat.subprotocol = link.link.subprotocol }
        } catch {
            await seat.release()
            throw self.refusal(error.status, "backend-\(error.kind.rawValue)", request, tries: error.tries)
        }
        // The client may have gone meanwhile; then this value is released by who asked for it.
        return seat
    }

    /// The part of the service's requirements, or of its subprotocol's, that keeps a client out.
    func denial(
        of proof: SessionFacts.Proof,
        as subprotocol: String?
    ) -> GatewayConfiguration.Requirement.Denial? {
        var requirements = [self.rules.require]
        if case .routed(let routes) = self.rules.kind {
            requirements.append(routes.routes.first { $0.subprotocol == subprotocol }?.require)
        }
        return requirements.lazy.compactMap { $0?.denial(of: proof.principal, at: proof.address) }.first
    }

    /// `true` where the client of an open session would not be let in any more.
    /// - Parameter renew: as ``GatewayMaterials/renew``.
    func wouldRefuse(_ facts: SessionFacts, renew: (Principal) -> Principal?) -> Bool {
        var proof = facts.proof
        if !self.rules.realms.isEmpty {
            guard let principal = proof.principal, self.rules.realms.contains(principal.realm ?? ""),
                let renewed = renew(principal)
            else { return true }
            proof.principal = renewed
        }
        return self.denial(of: proof, as: facts.subprotocol) != nil
    }

    private struct Route {
        var pool: String?
        /// The one that the service has chosen.
        var subprotocol: String?
        var frames = GatewayConfiguration.Frames.binary
    }

    private func route(of request: HandshakeRequest) throws -> Route {
        switch self.rules.kind {
        case .proxy(let pool, let frames):
            return Route(pool: pool, frames: frames ?? .binary)
        case .routed(let routes):
            guard let name = self.subprotocol(of: request),
                let found = routes.routes.first(where: { $0.subprotocol == name })
            else {
                guard let pool = routes.withoutSubprotocol else { throw self.refusal(400, "subprotocol", request) }
                return Route(pool: pool)
            }
            return Route(pool: found.pool, subprotocol: name, frames: found.frames ?? .usual(for: name))
        case .echo, .broadcast, .balancer, .redirect:
            return Route()
        }
    }

    /// The subprotocols that a backend of WebSocket is asked for: the one that the service has chosen, or all that the client
    /// asks for, and the backend chooses. Dialects before RFC 6455 have names that are no tokens.
    private func offer(of request: HandshakeRequest, by route: Route) -> [String] {
        route.subprotocol.map { [$0] } ?? request.subprotocols.filter { HTTPField.Name($0) != nil }
    }

    func refusal(
        _ status: Int,
        _ cause: String,
        _ request: HandshakeRequest,
        tries: [ConnectFailure.Try] = []
    ) -> HandshakeResponse {
        ConnectionTrace.current?.refuses(cause, tries)
        self.surroundings.refused(self.rules.name, status, cause, request)
        var response = HandshakeResponse.refuse(status, self.words(for: cause) + "\n")
        // Not all at the same moment (RFC 9110 section 10.2.3).
        if [429, 502, 503, 504].contains(status) { response.headers[.retryAfter] = String(Int.random(in: 1...5)) }
        return response
    }

    /// The reason of a refusal for the person behind the client: no more than they may know.
    private func words(for cause: String) -> String {
        switch cause {
        case "draining": return "The gateway is about to stop. Try again in a moment."
        case "members": return "All gateways of this service are about to stop. Try again in a moment."
        case "origin": return "Pages of this origin may not use this service."
        case "subprotocol":
            guard case .routed(let routes) = self.rules.kind else { return "The subprotocol is not served." }
            return "Ask for one of the subprotocols \(routes.routes.map(\.subprotocol).joined(separator: ", "))."
        default: break
        }
        if let denial = GatewayConfiguration.Requirement.Denial(rawValue: cause) {
            switch denial {
            case .role: return "You have none of the roles that may use this service."
            case .claim: return "Your token lacks a claim that this service asks for."
            case .principal: return "You are not among those who may use this service."
            case .network: return "This service cannot be used from your network."
            }
        }
        switch ServiceGate.Limit(rawValue: cause) {
        case .sessions: return "The service has as many sessions as it may have. Try again later."
        case .perAddress: return "Your address has as many sessions as it may have here."
        case .perPrincipal: return "You have as many sessions as you may have here."
        case .acceptRate: return "Too many clients come at once. Try again in a moment."
        case nil: return "The service behind this gateway cannot be reached now. Try again later."
        }
    }

    // MARK: Sessions

    private func handler(for seat: Seat, _ request: HandshakeRequest, on listener: String) -> any MessageHandler {
        let session = self.open(seat, request, on: listener)
        if let link = seat.link {
            return RelaySession(
                session,
                to: link.link.take(),
                rules: self.rules.rules,
                frames: seat.frames,
                on: request.eventLoop
            )
        }
        let lifetime = self.rules.rules.lifetime
        if let room { return BroadcastSession(session, in: room, lifetime, on: request.eventLoop) }
        return EchoSession(session, lifetime, on: request.eventLoop)
    }

    private func open(_ seat: Seat, _ request: HandshakeRequest, on listener: String) -> Session {
        var facts = SessionFacts(id: seat.id, service: self.rules.name)
        facts.listener = listener
        facts.since = Timestamp.now.seconds
        facts.peer = request.peer.map(Self.text) ?? ""
        let client = request.client?.unmapped
        facts.client = client?.ipAddress ?? ""
        facts.realm = request.principal?.realm
        facts.principal = request.principal?.name
        facts.proof = SessionFacts.Proof(principal: request.principal, address: client)
        facts.roles = request.principal?.roles.sorted() ?? []
        facts.subprotocol = seat.subprotocol
        facts.isExtended = request.extended != nil
        // Told a moment before the socket opens.
        if let dialect = seat.trace?.summary?.dialect { facts.dialect = dialect.description }
        facts.pool = seat.link?.pool.rules.name
        facts.backend = seat.link?.member.url
        let surroundings = self.surroundings
        let eventLoop = request.eventLoop
        let link = seat.link
        let session = Session(facts) { session, end in
            let now = NIODeadline.now()
            surroundings.sessions.sessions(on: eventLoop)?.remove(session, end, now: now)
            link?.used(end, session.tally, for: session.kept(now))
            surroundings.ended(
                EndedSession(
                    facts: session.facts,
                    end: end,
                    tally: session.tally,
                    duration: now - session.opened,
                    paused: session.backendPause.all(now) + session.clientPause.all(now)
                )
            )
        }
        session.renewal = self.renewal(of: request)
        session.onSlow = surroundings.slow
        session.onUse = link.map { link in { link.served() } }
        // It was let in before a drain or a reload, which may have chosen its sessions by now.
        session.lateEnd = { [facts] in
            surroundings.drain.isOn ? .shutdown : surroundings.inForce?.end(of: facts, at: self)
        }
        surroundings.sessions.sessions(on: eventLoop)?.add(session, on: eventLoop)
        surroundings.opened(facts)
        return session
    }

    /// `nil` where the proof does not end, or its end is the session's.
    private func renewal(of request: HandshakeRequest) -> SessionRenewal? {
        guard let revalidations = self.surroundings.revalidations, let principal = request.principal,
            let ends = principal.expires, self.surroundings.revalidatedRealms.contains(principal.realm ?? "")
        else { return nil }
        return SessionRenewal(revalidations, path: request.path, ends: ends, on: request.eventLoop)
    }

    private static func text(_ address: SocketAddress) -> String {
        switch address {
        case .unixDomainSocket: "unix"
        case .v4, .v6: "\(HostAndPort(address.ipAddress ?? "", address.port ?? 0))"
        }
    }
}

/// A client's place in a service, from its admission to the end of its connection.
private final class Seat: Sendable {
    private struct State {
        var id = ""
        var frames = GatewayConfiguration.Frames.binary
        var subprotocol: String?
        var link: PooledLink?
        var isReleased = false
    }

    private let gate: ServiceGate
    let address: AddressKey?
    let principal: String?
    let trace = ConnectionTrace.current
    private let state = Mutex(State())

    init(_ gate: ServiceGate, address: AddressKey?, principal: String?) {
        self.gate = gate
        self.address = address
        self.principal = principal
    }

    var id: String {
        get { self.state.withLock { $0.id } }
        set { self.state.withLock { $0.id = newValue } }
    }

    var frames: GatewayConfiguration.Frames {
        get { self.state.withLock { $0.frames } }
        set { self.state.withLock { $0.frames = newValue } }
    }

    /// The subprotocol that is agreed on with the client.
    var subprotocol: String? {
        get { self.state.withLock { $0.subprotocol } }
        set { self.state.withLock { $0.subprotocol = newValue } }
    }

    var link: PooledLink? {
        get { self.state.withLock { $0.link } }
        set { self.state.withLock { $0.link = newValue } }
    }

    /// Gives back the place and what stands behind it.
    func release() async {
        let link = self.state.withLock { state -> PooledLink?? in
            if state.isReleased { return .none }
            state.isReleased = true
            return .some(state.link)
        }
        guard let link else { return }
        await link?.release()
        self.gate.leave(address: self.address, principal: self.principal)
    }
}
