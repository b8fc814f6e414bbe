// The backends of a service: the choice among those that are well, the tries, and what each try says of a backend.

import NIOCore
import NIOSSL
import Synchronization

/// Told of what happens to backends: the log.
typealias PoolReport = @Sendable (_ pool: String, _ backend: String, _ change: BackendHealth.Change) -> Void

/// The backends of a service.
///
/// Clients' own connections take a backend out for a while, as far as no client can bring their failure about (threat H13).
/// HAProxy's `observe layer4` draws the same line, and Envoy's outlier detection where it parts errors of local origin from
/// those of others: what comes after is left to the check, which nobody has a say in.
///
/// | a client's connection                                                   | counts                                 |
/// |-------------------------------------------------------------------------|----------------------------------------|
/// | the name is not found, TCP or TLS fails                                 | against the backend                    |
/// | it does not answer in what earlier tries have left of the time          | not at all below a fifth of it         |
/// | TLS fails after a PROXY header, which names the client                  | not at all                             |
/// | the backend ends it within a second, before anything has gone either way | against the backend                   |
/// | the same after a PROXY header, or a request for a WebSocket             | not at all                             |
/// | a request for a WebSocket is refused, or not answered                   | not at all                             |
/// | it ends after something of the client's, or by the client               | not at all                             |
/// | the backend says something, or keeps it for a second                    | for the backend: the count begins anew |
///
/// The gateway's own want of descriptors or ports, which a flood of clients brings about, does not count either.
final class BackendPool: Sendable {
    let rules: GatewayConfiguration.Pool
    let members: [PoolMember]
    private let tls: TLSConfiguration?
    /// Made of it for byte streams.
    private let context: NIOSSLContext?
    private let balance: Mutex<Balance>
    private let report: PoolReport
    private let line: Line
    /// One failure at a time is judged: two event loops that look at once could leave out the last two together.
    private let judging = Mutex(())

    /// How many backends one handshake tries.
    static let tries = 3

    /// The pools of one name, each made of the one before by a reload. What befalls connections of any is for the one in force
    /// to judge.
    private final class Line: Sendable {
        private struct State {
            weak var current: BackendPool?
        }

        private let state = Mutex(State())

        var current: BackendPool? {
            get { self.state.withLock { $0.current } }
            set { self.state.withLock { $0.current = newValue } }
        }
    }

    /// - Parameter former: the pool before a reload, whose members live on where their URL is still one of this pool.
    /// - Throws: `NIOSSLError` for certificates that cannot be used.
    init(
        _ rules: GatewayConfiguration.Pool,
        tls: TLSConfiguration?,
        after former: BackendPool? = nil,
        report: @escaping PoolReport = { _, _, _ in }
    ) throws {
        self.rules = rules
        self.tls = tls
        self.context = try tls.map { try NIOSSLContext(configuration: $0) }
        self.members = rules.backends.map { backend in
            PoolMember(backend, after: former?.members.first { $0.url == backend.url })
        }
        self.balance = Mutex(Balance(rules.balance))
        self.report = report
        self.line = former?.line ?? Line()
    }

    /// It is in force, in the place of the one before it.
    func begin() {
        for member in self.members { member.begin(self.rules) }
        self.line.current = self
    }

    func connector(_ member: PoolMember) -> BackendConnector {
        BackendConnector(
            backend: member.backend,
            proxyHeader: self.rules.proxyHeader,
            tls: member.backend.isSecure ? self.context : nil,
            serverName: self.rules.tls.serverName
        )
    }

    func webSocketConnector(_ member: PoolMember) -> WebSocketConnector {
        WebSocketConnector(backend: member.backend, tls: self.tls, serverName: self.rules.tls.serverName)
    }

    // MARK: Choosing

    /// The next backend for a caller; `nil` where none can take it.
    func choose(_ call: BackendCall, except tried: [String], now: NIODeadline) -> PoolMember? {
        var usual: [PoolMember] = []
        var backup: [PoolMember] = []
        var connections: [String: Int] = [:]
        for member in self.members where !tried.contains(member.url) && member.backend.weight > 0 {
            let (isAvailable, count) = member.withState { ($0.health.isAvailable(now), $0.connections) }
            guard isAvailable, self.rules.connections.map({ count < $0 }) ?? true else { continue }
            connections[member.url] = count
            if member.backend.isBackup { backup.append(member) } else { usual.append(member) }
        }
        let members = usual.isEmpty ? backup : usual
        let candidates = members.map {
            Candidate(url: $0.url, weight: $0.backend.weight, connections: connections[$0.url] ?? 0)
        }
        let key = call.key(self.rules.balance)
        return self.balance.withLock { $0.choose(candidates, key: key) }.map { members[$0] }
    }

    /// How many backends can be chosen at most, backups among them.
    private func candidates(except tried: [String], now: NIODeadline) -> Int {
        self.members.count { member in
            guard !tried.contains(member.url), member.backend.weight > 0 else { return false }
            let (isAvailable, count) = member.withState { ($0.health.isAvailable(now), $0.connections) }
            return isAvailable && self.rules.connections.map { count < $0 } ?? true
        }
    }

    /// `true` where some backend can be chosen.
    func isHealthy(_ now: NIODeadline = .now()) -> Bool {
        self.members.contains { member in
            member.backend.weight > 0 && member.withState { $0.health.isAvailable(now) }
        }
    }

    /// The next backend for a caller, with a place at it that has to be given back; `nil` where none can take it.
    func take(_ call: BackendCall, except tried: [String], now: NIODeadline) -> PoolMember? {
        while let member = self.choose(call, except: tried, now: now) {
            let hasPlace = member.withState { state in
                // Another event loop may have chosen it as well.
                guard self.rules.connections.map({ state.connections < $0 }) ?? true else { return false }
                state.connections += 1
                return true
            }
            if hasPlace { return member }
        }
        return nil
    }

    // MARK: Connecting

    /// Connects to a backend; to the next one where that fails, within ``tries`` and the pool's time. As long as there are
    /// others, each has its share of the time: one that takes connections and says nothing leaves some to the next.
    /// - Throws: ``ConnectFailure`` of the last one that was tried.
    func connect(
        _ call: BackendCall,
        clock: @Sendable () -> NIODeadline = { .now() }
    ) async throws(ConnectFailure) -> PooledLink {
        let time = TimeAmount(self.rules.connectTimeout)
        let deadline = clock() + time
        var tried: [String] = []
        var last: ConnectFailure?
        var tries: [ConnectFailure.Try] = []
        while tried.count < Self.tries {
            let now = clock()
            guard now < deadline else { break }
            let shares = max(min(Self.tries - tried.count, self.candidates(except: tried, now: now)), 1)
            let share = TimeAmount.nanoseconds((deadline - now).nanoseconds / Int64(shares))
            // A client may have chosen what kept the backends before it: in little time none shows that it is away.
            let isShort = share.nanoseconds < time.nanoseconds / 5
            // With a place before the connect, so that the bound holds while several connect.
            guard let member = self.take(call, except: tried, now: now) else { break }
            tried.append(member.url)
            do throws(ConnectFailure) {
                let link = try await self.link(member, call, within: share)
                let seconds = Double((clock() - now).nanoseconds) / 1e9
                member.withState { state in
                    state.connects["ok", default: 0] += 1
                    state.connectTimes.add(seconds)
                    state.health.connected()
                }
                return PooledLink(link, of: member, self)
            } catch {
                last = error
                tries.append(.init(backend: member.url, words: error.words))
                member.withState { state in
                    state.connections -= 1
                    state.connects[error.kind.rawValue, default: 0] += 1
                    if error.mayBeOfClient { state.health.noted(error.words) }
                }
                if !error.mayBeOfClient, !isShort || error.kind != .timeout {
                    self.failed(member, .connect, error.words)
                }
            }
        }
        var failure = last ?? ConnectFailure(.unavailable, "no backend can take a connection")
        failure.tries = last == nil ? self.unavailable(.now()) : tries
        throw failure
    }

    /// Why no backend can be chosen.
    private func unavailable(_ now: NIODeadline) -> [ConnectFailure.Try] {
        self.members.map { member in
            let words = member.withState { state in
                let error = state.health.lastError.map { ", since \($0)" } ?? ""
                switch state.health.state(now) {
                case .up: return "it has as many connections as it may"
                case .down: return "it is down\(error)"
                case .ejected: return "it is left out for a while\(error)"
                case .draining, .disabled: return "an operator has taken it out"
                }
            }
            return ConnectFailure.Try(backend: member.url, words: words)
        }
    }

    private func link(
        _ member: PoolMember,
        _ call: BackendCall,
        within limit: TimeAmount
    ) async throws(ConnectFailure) -> BackendLink {
        guard member.backend.isWebSocket else { return try await self.connector(member).connect(call, within: limit) }
        return try await self.webSocketConnector(member).connect(call, within: limit)
    }

    /// `true` where some backend takes messages and not bytes.
    var speaksWebSocket: Bool { self.rules.backends.contains { $0.isWebSocket } }

    /// A client's connection has ended: one that the backend has ended at once counts against it, where it had heard nothing
    /// of the client. Any other end says nothing: neither against the backend nor, as ``served(_:)`` does, for it.
    /// - Parameter time: how long the backend has kept the connection.
    func used(_ member: PoolMember, _ end: SessionEnd, _ tally: Tally, for time: TimeAmount) {
        let isBackends = end.cause == .backendFin || end.cause == .backendReset
        guard isBackends, tally == Tally(), time < .seconds(1), !self.namesClients(to: member) else { return }
        self.failed(member, .use, "it ended the connection at once")
    }

    /// `true` for a backend that hears of a client before the client has sent anything: by a PROXY header, or by a request with
    /// the client's address and subprotocols.
    private func namesClients(to member: PoolMember) -> Bool {
        member.backend.isWebSocket || self.rules.proxyHeader != .off
    }

    /// The backend has been of use to a client: it has said something, or has kept its connection for a second. A client that
    /// comes and goes brings neither about.
    func served(_ member: PoolMember) { member.withState { $0.health.served(now: .now()) } }

    /// A client's connection to this backend failed, or ended before it was of use.
    func failed(_ member: PoolMember, _ kind: BackendHealth.Failure, _ failure: String) {
        if let current = self.line.current, current !== self {
            guard let same = current.members.first(where: { $0.url == member.url }) else { return }
            return current.failed(same, kind, failure)
        }
        let now = NIODeadline.now()
        let change = self.judging.withLock { _ in
            let mayEject = self.mayEject(one: member, now: now)
            return member.withState { state in
                state.health.failed(kind, failure, self.rules.eject, mayEject: mayEject, now: now)
            }
        }
        if let change { self.report(self.rules.name, member.url, change) }
    }

    /// Never the last one, and not more than the share that may be out.
    private func mayEject(one member: PoolMember, now: NIODeadline) -> Bool {
        guard let eject = self.rules.eject else { return false }
        // One of no weight takes no client's connection, in or out.
        let members = self.members.filter { $0.backend.weight > 0 }
        let out = members.count { other in
            other !== member && !other.withState { $0.health.isAvailable(now) }
        }
        return out + 1 < members.count && (out + 1) * 100 <= max(eject.atMost, 1) * members.count
    }

    /// A check has succeeded, or failed for this reason.
    func checked(_ member: PoolMember, _ failure: ConnectFailure?) {
        guard let rule = self.rules.check else { return }
        // A reload has ended this check while it waited for its answer: the word of the new one counts, or of none.
        if let current = self.line.current, current !== self { return }
        let change = member.withState { state in
            state.checks[failure?.kind.rawValue ?? "ok", default: 0] += 1
            return state.health.checked(failure?.words, rule, now: .now())
        }
        if let change { self.report(self.rules.name, member.url, change) }
    }
}

/// A backend's connection with its place in the pool, which it gives back once.
final class PooledLink: Sendable {
    let link: BackendLink
    let member: PoolMember
    let pool: BackendPool
    private let hasPlace = Mutex(true)

    init(_ link: BackendLink, of member: PoolMember, _ pool: BackendPool) {
        self.link = link
        self.member = member
        self.pool = pool
    }

    /// Tells what became of the connection.
    func used(_ end: SessionEnd, _ tally: Tally, for time: TimeAmount) {
        self.pool.used(self.member, end, tally, for: time)
    }

    /// The backend has been of use.
    func served() { self.pool.served(self.member) }

    /// Lets go of the connection, and of its place when it is gone.
    func release() async {
        await self.link.release()
        let gives = self.hasPlace.withLock { hasPlace in
            defer { hasPlace = false }
            return hasPlace
        }
        if gives { self.member.withState { $0.connections -= 1 } }
    }
}
