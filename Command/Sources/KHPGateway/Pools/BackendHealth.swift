// The health of a backend, by which it may be chosen: what checks of our own say, and what clients' connections met. No clock and no network of
// its own: times are arguments.

import NIOCore

struct BackendHealth: Sendable {
    /// An operator's word, which goes before all checks until a reload changes the backend.
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
    /// Failures of clients' own connections, in a row.
    private var failures = 0
    private(set) var ejections = 0
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

    /// A client's connection was made, and has been of use.
    mutating func served() {
        self.failures = 0
    }

    /// A client's connection could not be made, or ended at once.
    /// - Parameter mayEject: `false` where too many are out already, or this is the last.
    mutating func failed(
        _ failure: String,
        _ rule: GatewayConfiguration.Ejection?,
        mayEject: Bool,
        now: NIODeadline
    ) -> Change? {
        self.lastError = failure
        self.failures += 1
        guard let rule, self.failures >= rule.failures, mayEject, self.isUp, !self.isEjected(now) else { return nil }
        self.failures = 0
        self.ejections += 1
        self.allEjections += 1
        let time = min(rule.lasts * self.ejections, .seconds(300))
        self.ejectedUntil = now + TimeAmount(time)
        self.changedAt = now
        return .ejected(time, failure)
    }

    private mutating func forgive() {
        self.failures = 0
        self.ejections = 0
        self.ejectedUntil = nil
    }
}
