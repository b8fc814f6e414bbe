// What the connections of a listener share: the endpoints, the counts that bound them, and the list that a shutdown
// goes through.

import KHPProtocol
import KHPTransport
import Logging
import NIOCore
import Synchronization

final class ServerState: Sendable {
    let configuration: WebSocketServer.Configuration
    let hosts: HostPolicy
    /// All that some endpoint speaks.
    let dialects: [Dialect]
    private let endpoints: [String: ServedEndpoint]

    /// A connection's place. Unchecked: what changes is touched under the registry's lock only.
    final class Entry: @unchecked Sendable {
        let id: UInt64
        fileprivate let address: AddressKey?
        fileprivate var handler: NIOLoopBound<ConnectionHandler>?
        fileprivate var isOpen = false
        fileprivate var hasEnded = false
        fileprivate var task: Task<Void, Never>?

        fileprivate init(id: UInt64, address: AddressKey?) {
            self.id = id
            self.address = address
        }
    }

    private struct Registry: ~Copyable {
        var entries: [UInt64: Entry] = [:]
        var nextID: UInt64 = 0
        var pending = 0
        var pendingByAddress: [AddressKey: Int] = [:]
        var isDraining = false
        var drained: [CheckedContinuation<Void, Never>] = []
    }

    private let registry = Mutex(Registry())
    private let wrongAnswers: Mutex<WrongAnswers<AddressKey>>

    init(configuration: WebSocketServer.Configuration, endpoints: [Endpoint]) throws {
        self.configuration = configuration
        self.wrongAnswers = Mutex(
            WrongAnswers(
                limit: configuration.limits.wrongAnswersPerAddress,
                within: TimeAmount(configuration.timeouts.wrongAnswerWindow),
                capacity: Limits.Fixed.guessingAddresses
            )
        )
        self.hosts = try configuration.allowedHosts.map { try HostPolicy.allowing($0) } ?? .any
        var table: [String: ServedEndpoint] = [:]
        for endpoint in endpoints {
            guard endpoint.path.hasPrefix("/") else {
                throw WebSocketError(
                    .invalidArgument,
                    "The endpoint path \(quoted(endpoint.path)) does not begin with /."
                )
            }
            try endpoint.authentication?.gate.validate()
            guard !endpoint.dialects.isEmpty else {
                throw WebSocketError(.invalidArgument, "The endpoint at \(endpoint.path) speaks no dialect.")
            }
            try Subprotocols.validate(endpoint.subprotocols)
            _ = try ExtensionNegotiation(endpoint.extensions)
            guard table.updateValue(ServedEndpoint(endpoint), forKey: endpoint.path) == nil else {
                throw WebSocketError(.invalidArgument, "There are two endpoints at \(endpoint.path).")
            }
        }
        self.endpoints = table
        if configuration.tls == nil, endpoints.contains(where: { $0.dialects != [.rfc6455] }) {
            // Threat D1
            configuration.logger?.warning(
                "clients of dialects before RFC 6455 do not mask what they send; serve them over TLS"
            )
        }
        self.dialects = Dialect.all.filter { dialect in endpoints.contains { $0.dialects.contains(dialect) } }
    }

    var usesTLS: Bool { self.configuration.tls != nil }
    var isObserved: Bool { self.configuration.observer != nil }

    func endpoint(at path: String) -> ServedEndpoint? { self.endpoints[path] }

    /// What a request that is no WebSocket request gets where there is no handler for it.
    func refusal(of request: CheckedRequest) -> Refusal {
        let head = request.head
        guard self.endpoints[request.path] != nil else { return .notFound(method: head.method) }
        guard head.method == "GET" else { return .methodNotAllowed(head.method) }
        return .upgradeRequired("This is a WebSocket endpoint.")
    }

    // MARK: Who may come in

    /// How long `address` has to wait before its credentials are looked at (threat G13).
    func wait(_ address: AddressKey) -> TimeAmount? {
        self.wrongAnswers.withLock { $0.wait(address, now: .now()) }
    }

    /// Counts a wrong answer.
    /// - Returns: whether no further one is looked at for now.
    func wrongAnswer(from address: AddressKey) -> Bool {
        self.wrongAnswers.withLock {
            $0.add(address, now: .now())
            return $0.wait(address, now: .now()) != nil
        }
    }

    // MARK: Connections

    /// Counts a new connection in, or refuses it (R-C2).
    func enter(_ address: SocketAddress?) -> Entry? {
        let limits = self.configuration.limits
        let key = AddressKey(address)
        return self.registry.withLock { registry in
            guard !registry.isDraining, registry.entries.count < limits.connections,
                registry.pending < limits.pendingHandshakes
            else { return nil }
            if let key {
                let count = registry.pendingByAddress[key] ?? 0
                guard count < limits.pendingHandshakesPerAddress else { return nil }
                registry.pendingByAddress.updateValue(count + 1, forKey: key)
            }
            registry.pending += 1
            registry.nextID += 1
            let entry = Entry(id: registry.nextID, address: key)
            registry.entries.updateValue(entry, forKey: entry.id)
            return entry
        }
    }

    func attach(_ handler: ConnectionHandler, _ entry: Entry) {
        let bound = NIOLoopBound(handler, eventLoop: handler.eventLoop)
        self.registry.withLock { _ in entry.handler = bound }
    }

    func leavePending(_ entry: Entry) {
        self.registry.withLock { registry in
            registry.pending -= 1
            if let key = entry.address, let count = registry.pendingByAddress[key] {
                if count > 1 {
                    registry.pendingByAddress.updateValue(count - 1, forKey: key)
                } else {
                    registry.pendingByAddress.removeValue(forKey: key)
                }
            }
        }
    }

    func opened(_ entry: Entry, task: Task<Void, Never>? = nil) {
        self.registry.withLock { _ in
            guard !entry.hasEnded else { return }
            entry.isOpen = true
            entry.task = task
        }
    }

    /// The stream has ended, or never came up.
    func closed(_ entry: Entry) {
        self.remove(entry) { entry in
            entry.handler = nil
            entry.hasEnded = true
        }
    }

    func taskEnded(_ entry: Entry) {
        self.remove(entry) { $0.task = nil }
    }

    /// A connection is gone once its stream has ended and its task has returned.
    private func remove(_ entry: Entry, _ change: (Entry) -> Void) {
        let drained: [CheckedContinuation<Void, Never>] = self.registry.withLock { registry in
            change(entry)
            if entry.hasEnded && entry.task == nil { registry.entries.removeValue(forKey: entry.id) }
            guard registry.entries.isEmpty else { return [] }
            defer { registry.drained = [] }
            return registry.drained
        }
        for continuation in drained { continuation.resume() }
    }

    // MARK: Shutdown

    /// Stops new connections and closes all with 1001, those in a handshake too; returns when all are gone.
    func drain() async {
        let (open, others) = self.registry.withLock { registry in
            registry.isDraining = true
            let handlers = registry.entries.values.compactMap { entry in entry.handler.map { ($0, entry.isOpen) } }
            return (handlers.filter(\.1).map(\.0), handlers.filter { !$0.1 }.map(\.0))
        }
        for bound in open {
            bound.eventLoop.execute {
                bound.value.close(code: .goingAway, reason: "")
                bound.value.resumeReading()
            }
        }
        // A handshake is given up: with 1001 where frames are spoken already.
        for bound in others { bound.eventLoop.execute { bound.value.close(code: .goingAway, reason: "") } }
        await withCheckedContinuation { continuation in
            let isEmpty = self.registry.withLock { registry in
                if registry.entries.isEmpty { return true }
                registry.drained.append(continuation)
                return false
            }
            if isEmpty { continuation.resume() }
        }
    }

    /// Drops what is left, and cancels its tasks.
    func force() {
        let (handlers, tasks) = self.registry.withLock { registry in
            (registry.entries.values.compactMap(\.handler), registry.entries.values.compactMap(\.task))
        }
        for bound in handlers { bound.eventLoop.execute { bound.value.abort() } }
        for task in tasks { task.cancel() }
    }

    // MARK: Telling

    func observe(_ event: ConnectionEvent, id: UInt64, peer: SocketAddress?) {
        guard let observer = self.configuration.observer else { return }
        observer(event, ConnectionInfo(id: id, role: .server, peer: peer?.peerName ?? ""))
    }

    func log(
        _ level: Logger.Level,
        _ message: @autoclosure () -> Logger.Message,
        _ metadata: @autoclosure () -> Logger.Metadata
    ) {
        self.configuration.logger?.log(level: level, message(), metadata: metadata())
    }

    func handlerFailed(_ error: any Error) {
        if error is CancellationError { return }
        // The peer's doing is no error of the application.
        let level: Logger.Level = error is WebSocketError ? .debug : .error
        self.log(level, "a socket's handler threw", ["error": "\(error)"])
    }
}
