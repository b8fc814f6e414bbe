// The health of a backend, from the results of the gateway's checks and of clients' connections. Sans-I/O: times are arguments.

import NIOCore

struct BackendHealth: Sendable {
    /// An operator's order, which goes before all checks until a reload changes the backend.
    enum Override: String, Sendable {
        /// Open sessions live on, new ones go elsewhere.
        case drain
        case disable
        case enable
    }

    /// A change that the log tells.
    enum Change: Equatable, Sendable {
        case up
        case down(String)
        case ejected(Duration, String)
    }

    enum State: String, Sendable, CaseIterable {
        case up
        case down
        case ejected
        case draining
        case disabled
    }

    private(set) var isUp = true
    /// Successes while it is down, failures while it is up.
    private var streak = 0
    /// Connects for clients that failed, in a row.
    private var failedConnects = 0
    /// Clients' connections that were of no use, in a row: a backend may take each, and end it at once.
    private var uselessConnections = 0
    /// The ejections that are not forgiven: each lasts longer than the one before.
    private(set) var ejections = 0
    private var lastEjection = TimeAmount.zero
    /// Over all time; forgiven ones count as well.
    private(set) var allEjections = 0
    private(set) var ejectedUntil: NIODeadline?
    private(set) var lastError: String?
    private(set) var changedAt: NIODeadline?
    var override: Override?

    func state(_ now: NIODeadline) -> State {
        switch self.override {
        case .drain: .draining
        case .disable: .disabled
        case .enable: .up
        case nil: self.isUp ? self.isEjected(now) ? .ejected : .up : .down
        }
    }

    func isAvailable(_ now: NIODeadline) -> Bool { self.state(now) == .up }

    func isEjected(_ now: NIODeadline) -> Bool { self.ejectedUntil.map { now < $0 } ?? false }

    /// A check of our own has succeeded, or failed for this reason.
    mutating func checked(
        _ failure: String?,
        _ rule: GatewayConfiguration.Check,
        now: NIODeadline
    ) -> Change? {
        if let failure { self.lastError = failure }
        guard (failure == nil) != self.isUp else {
            self.streak = 0
            return nil
        }
        self.streak += 1
        guard self.streak >= (self.isUp ? rule.fall : rule.rise) else { return nil }
        self.streak = 0
        self.isUp.toggle()
        self.changedAt = now
        if self.isUp { self.forgive() }
        return self.isUp ? .up : .down(failure ?? "")
    }

    /// A client's connection was made; of what use it is, is not known yet.
    mutating func connected() {
        self.failedConnects = 0
    }

    /// A client's connection has been of use: the backend has answered, or has kept it. A backend that has been back for as
    /// long as it was out is forgiven.
    mutating func served(now: NIODeadline) {
        self.failedConnects = 0
        self.uselessConnections = 0
        if let ejectedUntil, now >= ejectedUntil + self.lastEjection { self.forgive() }
    }

    /// A client's connection failed, perhaps by its client: operators are told, and it counts nowhere.
    mutating func noted(_ failure: String) { self.lastError = failure }

    /// The way in which a client's connection failed.
    enum Failure: Sendable {
        /// It could not be made.
        case connect
        /// It was made, and the backend ended it at once.
        case use
    }

    /// A client's connection failed.
    /// - Parameter mayEject: `false` where too many are out already, or this is the last.
    mutating func failed(
        _ kind: Failure,
        _ failure: String,
        _ rule: GatewayConfiguration.Ejection?,
        mayEject: Bool,
        now: NIODeadline
    ) -> Change? {
        self.lastError = failure
        switch kind {
        case .connect: self.failedConnects += 1
        case .use: self.uselessConnections += 1
        }
        guard let rule, max(self.failedConnects, self.uselessConnections) >= rule.failures, mayEject, self.isUp,
            !self.isEjected(now)
        else { return nil }
        self.failedConnects = 0
        self.uselessConnections = 0
        self.ejections += 1
        self.allEjections += 1
        let time = min(rule.lasts * self.ejections, .seconds(300))
        self.lastEjection = TimeAmount(time)
        self.ejectedUntil = now + self.lastEjection
        self.changedAt = now
        return .ejected(time, failure)
    }

    /// Checks of the backend end: without them nothing could bring it back, so it counts as up.
    mutating func endChecks(now: NIODeadline) {
        self.streak = 0
        guard !self.isUp else { return }
        self.isUp = true
        self.changedAt = now
    }

    /// Ends the ejection of the backend, and forgets its failed connections.
    mutating func endEjections() { self.forgive() }

    private mutating func forgive() {
        self.failedConnects = 0
        self.uselessConnections = 0
        self.ejections = 0
        self.ejectedUntil = nil
    }
}
