// The shared state of the connections of a listener or a mount: the endpoints, the counts that bound connections, and the list of
// connections for a shutdown.

import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore
import Synchronization

final class ServerState: Sendable {
    let configuration: WebSocketMount.Configuration
    private let tableInForce: Mutex<EndpointTable>
    /// The requests of shared connections that are for the table in force.
    let own = OwnRequests()
    /// True where any events are wanted.
    let isObserved: Bool
    /// The marks of what waits to be written; `nil` where they are SwiftNIO's own.
    let writeMarks: ChannelOptions.Types.WriteBufferWaterMark?

    /// A connection's place. Unchecked: what changes is touched under the registry's lock only.
    final class Entry: @unchecked Sendable {
        let id: UInt64
        /// Its place in the registry's list, or `-1` once it has left.
        fileprivate var place = -1
        /// The way by which it has come in.
        let entrance: Entrance
        /// The name that the client has asked TLS for. On the event loop of the connection.
        var serverName: String?
        fileprivate var address: AddressKey?
        fileprivate var shell: Shell?
        fileprivate var isPending = true
        /// Set once it counts among the connections: at once, or when its request turns out to be an endpoint's.
        fileprivate var isServed = false
        fileprivate var hasEnded = false
        fileprivate var task: Task<Void, Never>?
        /// The contexts of its handshakes that are being made or have to be released.
        fileprivate var contexts = 0

        fileprivate init(id: UInt64, entrance: Entrance, address: AddressKey?) {
            self.id = id
            self.entrance = entrance
            self.address = address
        }
    }

    private struct Registry: ~Copyable {
        /// First those in a handshake, then the others; in no order otherwise. Each knows its place, so that entering,
        /// opening and leaving cost no search and no hash.
        var entries: [Entry] = []
        var nextID: UInt64 = 0
        /// How many are in a handshake.
        var pending = 0
        /// The number of those that this library serves for certain; another framework may yet get the others.
        var served = 0
        /// The most connections, of all ways in.
        var most: Int
        var addresses: PendingAddresses
        var turnedAway = 0
        /// The connections that carry streams, each of which has an entry of its own.
        var carriers: [ObjectIdentifier: any Channel] = [:]
        var isDraining = false
        var drained: [CheckedContinuation<Void, Never>] = []

        init(_ limits: WebSocketServer.Limits) {
            self.most = limits.connections
            self.addresses = PendingAddresses(most: limits.pendingHandshakesPerAddress)
        }

        var isEmpty: Bool { self.entries.isEmpty && self.carriers.isEmpty }

        /// How many places are taken.
        var taken: Int { self.served + self.carriers.count }

        mutating func takeDrained() -> [CheckedContinuation<Void, Never>] {
            guard self.isEmpty else { return [] }
            defer { self.drained = [] }
            return self.drained
        }

        /// Counts one more pending connection of an address, unless there are as many as may be.
        mutating func admit(_ key: AddressKey) -> Bool {
            let pending = self.entries[..<self.pending]
            return self.addresses.admit(key, pending: self.pending) { pending.compactMap(\.address) }
        }

        /// Adds one that is in a handshake.
        mutating func add(_ entry: Entry) {
            entry.place = self.entries.count
            self.entries.append(entry)
            self.move(entry, to: self.pending)
            self.pending += 1
            entry.entrance.counts.accepted += 1
            entry.entrance.counts.connections += 1
        }

        mutating func serve(_ entry: Entry) {
            entry.isServed = true
            self.served += 1
        }

        mutating func remove(_ entry: Entry) {
            guard entry.place >= 0 else { return }
            self.move(entry, to: self.entries.count - 1)
            self.entries.removeLast()
            entry.place = -1
            entry.entrance.counts.connections -= 1
            if entry.isServed { self.served -= 1 }
        }

        mutating func leavePending(_ entry: Entry) {
            guard entry.isPending else { return }
            entry.isPending = false
            self.pending -= 1
            self.move(entry, to: self.pending)
            self.addresses.leave(entry.address, pending: self.pending)
        }

        /// Changes places with the one that is there.
        private mutating func move(_ entry: Entry, to place: Int) {
            guard entry.place != place else { return }
            let other = self.entries[place]
            self.entries[place] = entry
            self.entries[entry.place] = other
            other.place = entry.place
            entry.place = place
        }
    }

    private let registry: Mutex<Registry>
    /// The entrance of connections that another server accepts.
    let entrance: Entrance
    /// Bounds the checks of credentials.
    let attempts: AttemptGate
    /// The exchanges of ordinary HTTP.
    let exchanges = HTTPExchangeCount()

    init(configuration: WebSocketMount.Configuration, endpoints: [Endpoint]) throws {
        self.configuration = configuration
        let limits = configuration.limits
        self.registry = Mutex(Registry(limits))
        self.entrance = Entrance(clients: try ClientAddressRule(configuration.clientAddress))
        self.attempts = AttemptGate(
            AttemptTurns(
                limit: configuration.limits.credentialChecks,
                perAddress: configuration.limits.credentialChecksPerAddress,
                waiting: configuration.limits.credentialChecksWaiting,
                wrong: WrongAnswers(
                    limit: configuration.limits.wrongAnswersPerAddress,
                    within: TimeAmount(configuration.timeouts.wrongAnswerWindow),
                    capacity: Limits.Fixed.guessingAddresses
                )
            )
        )
        let table = try EndpointTable(configuration, endpoints, own: self.own)
        self.own.become(table.endpoints)
        self.isObserved = table.connection.isObserved
        let marks = table.connection.limits.writeMarks
        let isUsual = marks.low == 32 * 1024 && marks.high == 64 * 1024
        self.writeMarks =
            isUsual ? nil : ChannelOptions.Types.WriteBufferWaterMark(low: marks.low, high: marks.high)
        self.tableInForce = Mutex(table)
    }

    /// The endpoints that the next request is looked up in.
    var table: EndpointTable { self.tableInForce.withLock { $0 } }

    /// Puts other endpoints in force.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints that make no sense; then the old ones stay.
    func replaceEndpoints(_ endpoints: [Endpoint]) throws {
        let table = try EndpointTable(self.configuration, endpoints, own: self.own)
        self.tableInForce.withLock { current in
            current = table
            self.own.become(table.endpoints)
        }
    }

    /// Called where clients come without TLS: warns of dialects that do not mask.
    func warnOfUnmaskedText() {
        if self.table.connection.speaksOldDialects {
            // Threat D1
            self.configuration.logger?.warning(
                "clients of dialects before RFC 6455 do not mask what they send; serve them over TLS"
            )
        }
    }

    // MARK: Connections

    /// Counts a new connection in, or refuses it (R-C2). It keeps its place until ``closed(_:)``.
    /// - Parameters:
    ///   - entrance: the way by which it comes in; `nil` where another server listens.
    ///   - isShared: `true` when its first request may turn out to be another framework's: it counts among those that are
    ///     in a handshake, and ``serve(_:)`` counts it as a connection of this library.
    ///   - previous: the place that it has so far, and gives back for this one: of those there are as many without it.
    func enter(
        _ address: SocketAddress?,
        by entrance: Entrance? = nil,
        isShared: Bool = false,
        insteadOf previous: Entry? = nil
    ) -> Entry? {
        let limits = self.configuration.limits
        let own = previous == nil ? 0 : 1
        let entrance = entrance ?? self.entrance
        // A proxy names its client before the request or with it, and that client's address counts.
        let key = entrance.speaksForOthers(address) ? nil : AddressKey(address)
        let (entry, rejection): (Entry?, ConnectionRejection?) = self.registry.withLock { registry in
            let rejection: ConnectionRejection?
            if registry.isDraining {
                rejection = .draining
            } else if !isShared, registry.taken - own >= registry.most {
                rejection = .connections
            } else if registry.pending >= limits.pendingHandshakes {
                rejection = .pendingHandshakes
            } else if !entrance.hasRoom(besides: own) {
                rejection = .listener
            } else {
                rejection = key.map { registry.admit($0) } ?? true ? nil : .address
            }
            if let rejection {
                if rejection == .draining { entrance.counts.draining += 1 } else { entrance.counts.refused += 1 }
                return (nil, rejection)
            }
            registry.nextID += 1
            let entry = Entry(id: registry.nextID, entrance: entrance, address: key)
            registry.add(entry)
            if !isShared { registry.serve(entry) }
            return (entry, nil)
        }
        // One that is shared goes to the other server's HTTP.
        if let rejection, !isShared { self.rejected(rejection, address) }
        return entry
    }

    /// A connection of ordinary HTTP takes part in a handshake: has a place among those again. Its own is its own until
    /// ``closed(_:)`` (threat I5).
    func reenter(_ entry: Entry, _ address: SocketAddress?) -> Entry? {
        guard let next = self.enter(address, by: entry.entrance, insteadOf: entry) else { return nil }
        next.serverName = entry.serverName
        self.registry.withLock { _ in entry.entrance.counts.accepted -= 1 }
        return next
    }

    /// The connection's request is an endpoint's.
    /// - Returns: `true` when there is room for one more.
    func serve(_ entry: Entry) -> Bool {
        self.registry.withLock { registry in
            if entry.isServed { return true }
            guard registry.taken < registry.most else { return false }
            registry.serve(entry)
            return true
        }
    }

    // MARK: Ways in

    /// Takes another bound on the connections of an entrance; open connections stay, and count.
    func bound(_ entrance: Entrance, to connections: Int?) {
        self.registry.withLock { _ in entrance.most = connections }
    }

    /// Takes another bound on the connections of all entrances together; open connections stay, and count.
    func bound(to connections: Int) { self.registry.withLock { $0.most = connections } }

    func counts(of entrance: Entrance) -> WebSocketListener.Counts { self.registry.withLock { _ in entrance.counts } }

    /// A connection has been closed because no header of a trusted proxy came.
    /// - Parameter isTrusted: `false` where it came from none.
    func missedProxyHeader(at entrance: Entrance, isTrusted: Bool) {
        self.registry.withLock { _ in
            if isTrusted { entrance.counts.withoutProxyHeader += 1 } else { entrance.counts.untrusted += 1 }
        }
    }

    // MARK: Places

    /// Counts a pending connection of a proxy's for its client.
    /// - Returns: `false` when there are too many of the same address already.
    func count(_ entry: Entry, for client: SocketAddress?) -> Bool {
        let key = AddressKey(client)
        return self.registry.withLock { registry in
            guard let key, entry.isPending, entry.address == nil else { return true }
            guard registry.admit(key) else { return false }
            entry.address = key
            return true
        }
    }

    /// Takes a place among the connections that are refused with an answer; ``turnedAway()`` gives it back.
    /// - Returns: `false` where all places are taken.
    func mayRefuseForOverload() -> Bool {
        self.registry.withLock { registry in
            guard registry.turnedAway < Limits.Fixed.turnedAway else { return false }
            registry.turnedAway += 1
            return true
        }
    }

    func turnedAway() { self.registry.withLock { $0.turnedAway -= 1 } }

    func attach(_ handler: ConnectionHandler, _ entry: Entry) {
        self.attach(.socket(NIOLoopBound(handler, eventLoop: handler.eventLoop)), entry)
    }

    func attach(_ shell: Shell, _ entry: Entry) {
        let isDraining = self.registry.withLock { registry in
            // A channel that has closed already has been removed: the entry would keep its handler for ever.
            if !entry.hasEnded { entry.shell = shell }
            return registry.isDraining
        }
        // The drain has taken its list, and this one was not on it.
        if isDraining { shell.goAway() }
    }

    func leavePending(_ entry: Entry) {
        self.registry.withLock { $0.leavePending(entry) }
    }

    func opened(_ entry: Entry, task: Task<Void, Never>? = nil) {
        self.registry.withLock { registry in
            registry.leavePending(entry)
            if !entry.hasEnded { entry.task = task }
        }
    }

    /// The channel is closed: descriptor and bytes are gone.
    func closed(_ entry: Entry) {
        self.remove(entry) { entry in
            entry.shell = nil
            entry.hasEnded = true
        }
    }

    func taskEnded(_ entry: Entry) {
        self.remove(entry) { $0.task = nil }
    }

    /// A connection's endpoint is asked for a context, which has to be released before the connection is gone.
    func hold(_ entry: Entry) { self.registry.withLock { _ in entry.contexts += 1 } }

    /// Undoes ``hold(_:)``: no context was made, or it has been released.
    func letGo(_ entry: Entry) { self.remove(entry) { $0.contexts -= 1 } }

    /// Releases a context of a connection, unless that has been done.
    func release(_ context: HandshakeContext, of entry: Entry) async {
        if await context.release() { self.letGo(entry) }
    }

    /// A connection is gone once its channel is closed, its task has returned and its contexts are released.
    private func remove(_ entry: Entry, _ change: (Entry) -> Void) {
        let drained: [CheckedContinuation<Void, Never>] = self.registry.withLock { registry in
            change(entry)
            if entry.hasEnded { registry.leavePending(entry) }
            if entry.hasEnded && entry.task == nil && entry.contexts == 0 { registry.remove(entry) }
            return registry.takeDrained()
        }
        for continuation in drained { continuation.resume() }
    }

    /// Counts a connection that carries streams, until it is closed. Its entry counts beside it for now.
    /// - Returns: `false` where there is no room, or no time.
    func carry(_ channel: any Channel) -> Bool {
        let isCarried = self.registry.withLock { registry in
            guard !registry.isDraining, registry.taken <= registry.most else { return false }
            registry.carriers[ObjectIdentifier(channel)] = channel
            return true
        }
        guard isCarried else { return false }
        channel.closeFuture.whenComplete { _ in
            let drained = self.registry.withLock { registry in
                registry.carriers[ObjectIdentifier(channel)] = nil
                return registry.takeDrained()
            }
            for continuation in drained { continuation.resume() }
        }
        return true
    }

    /// How many connections have a place.
    var connections: Int { self.registry.withLock { $0.entries.count } }

    // MARK: Shutdown

    /// Drains, and forces what is left after the graceful shutdown's time.
    /// - Parameter duration: the time over which open sockets are closed.
    func drain(over duration: Duration, on eventLoop: any EventLoop) async {
        let spread = TimeAmount(max(duration, .zero))
        let limit = spread.adding(TimeAmount(self.configuration.gracefulShutdownTimeout))
        let steps = spread == .zero ? [] : self.beginDrain(over: spread, on: eventLoop)
        if spread == .zero { self.beginDrain() }
        // The task may be cancelled already; draining goes on all the same, bounded. After its beginning, so that each
        // socket has its close frame first, also where the time is none.
        let timer = eventLoop.scheduleTask(in: limit) { self.force() }
        // A handler that ignores its cancellation would keep this, and the service group, for ever.
        let last = eventLoop.scheduleTask(in: limit.adding(.seconds(1))) { self.giveUpWaiting() }
        await self.drained()
        for step in steps { step.cancel() }
        timer.cancel()
        last.cancel()
    }

    /// Stops new connections and closes all with 1001, those in a handshake too; returns when all channels are closed
    /// and all tasks have returned.
    func drain() async {
        self.beginDrain()
        await self.drained()
    }

    private func beginDrain() {
        let (shells, carriers) = self.registry.withLock { registry in
            registry.isDraining = true
            return (registry.entries.compactMap(\.shell), Array(registry.carriers.values))
        }
        for shell in shells { shell.goAway() }
        Self.quiesce(carriers)
    }

    /// Stops new connections, closes those in a handshake, and the open ones one after the other. Connections that carry
    /// others are told at once, and go with the last that they carry: until then a client would ask them in vain.
    private func beginDrain(over spread: TimeAmount, on eventLoop: any EventLoop) -> [Scheduled<Void>] {
        let (pending, open, carriers) = self.registry.withLock { registry in
            registry.isDraining = true
            return (
                registry.entries[..<registry.pending].compactMap(\.shell),
                Array(registry.entries[registry.pending...]), Array(registry.carriers.values)
            )
        }
        for shell in pending { shell.goAway() }
        for channel in carriers { channel.pipeline.fireUserInboundEventTriggered(CarrierRetirement()) }
        let steps = open.enumerated().map { index, entry in
            let delay = spread.nanoseconds / Int64(open.count) * Int64(index)
            return eventLoop.scheduleTask(in: .nanoseconds(delay)) {
                // One that has closed meanwhile has none.
                let shell = self.registry.withLock { _ in entry.shell }
                shell?.goAway()
            }
        }
        let last = eventLoop.scheduleTask(in: open.isEmpty ? .zero : spread) {
            Self.quiesce(self.registry.withLock { Array($0.carriers.values) })
        }
        return steps + [last]
    }

    /// Has clients come anew with their next request: a connection that carries others is told to take no further ones, and
    /// one of ordinary HTTP ends after its response. Handshakes and open sockets go on.
    func retireConnections() {
        let (shells, carriers) = self.registry.withLock { registry in
            (registry.entries.compactMap(\.shell), Array(registry.carriers.values))
        }
        for case .http(let handler) in shells { Shell.http(handler).goAway() }
        for channel in carriers { channel.pipeline.fireUserInboundEventTriggered(CarrierRetirement()) }
    }

    private static func quiesce(_ carriers: [any Channel]) {
        for channel in carriers { channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }
    }

    private func drained() async {
        await withCheckedContinuation { continuation in
            let isEmpty = self.registry.withLock { registry in
                if registry.isEmpty { return true }
                registry.drained.append(continuation)
                return false
            }
            if isEmpty { continuation.resume() }
        }
    }

    /// Drops what is left, and cancels its tasks.
    func force() {
        let (shells, tasks, carriers) = self.registry.withLock { registry in
            (
                registry.entries.compactMap(\.shell), registry.entries.compactMap(\.task),
                Array(registry.carriers.values)
            )
        }
        for shell in shells { shell.abort() }
        for channel in carriers { Self.cut(channel) }
        for task in tasks { task.cancel() }
    }

    /// Ends a connection that carries streams, below TLS: TLS would first exchange close notifications, and wait for a client
    /// that has fallen silent.
    private static func cut(_ channel: any Channel) {
        channel.eventLoop.execute {
            if let tls = channel.pipeline.belowTLS { tls.close(promise: nil) } else { channel.close(promise: nil) }
        }
    }

    /// Ends the drain, though some handlers have not returned.
    func giveUpWaiting() {
        let (drained, left) = self.registry.withLock { registry in
            defer { registry.drained = [] }
            return (registry.drained, registry.entries.count + registry.carriers.count)
        }
        if left > 0 {
            self.log(.error, "handlers have not returned in spite of cancellation", ["count": "\(left)"])
        }
        for continuation in drained { continuation.resume() }
    }
}
