// Sessions as the admin address shows them, and the choice among them.

import NIOCore

struct SessionView: Sendable {
    let facts: SessionFacts
    private let tally: Tally
    private let buffered: Int
    private let open: TimeAmount
    private let idle: TimeAmount
    private let clientPaused: Bool
    private let backendPaused: Bool

    init(_ session: Session, now: NIODeadline) {
        self.facts = session.facts
        self.tally = session.tally
        self.buffered = session.buffered()
        self.open = now - session.opened
        session.look(now)
        self.idle = now - session.movedAt
        self.clientPaused = session.clientPause.isOn
        self.backendPaused = session.backendPause.isOn
    }

    var json: JSONTree {
        let facts = self.facts
        return .object([
            ("id", .string(facts.id)), ("service", .string(facts.service)), ("listener", .string(facts.listener)),
            ("since", .string("\(Timestamp(milliseconds: Int64(facts.since * 1000)))")),
            ("open_s", .integer(Int(self.open.nanoseconds / 1_000_000_000))),
            ("peer", .string(facts.peer)), ("client", .string(facts.client)),
            ("realm", .optional(facts.realm)), ("principal", .optional(facts.principal)),
            ("roles", .array(facts.roles.map { .string($0) })),
            ("subprotocol", .optional(facts.subprotocol)), ("dialect", .string(facts.dialect)),
            ("extended", .bool(facts.isExtended)), ("backend", .optional(facts.backend)),
            ("in_bytes", .integer(self.tally.inBytes)), ("out_bytes", .integer(self.tally.outBytes)),
            ("in_msgs", .integer(self.tally.inMessages)), ("out_msgs", .integer(self.tally.outMessages)),
            ("buffered", .integer(self.buffered)),
            ("idle_s", .integer(Int(self.idle.nanoseconds / 1_000_000_000))), ("expires", .optional(facts.expires)),
            ("waits_for", self.backendPaused ? "client" : self.clientPaused ? "backend" : .null),
        ])
    }
}

/// The sessions that a query names; each part that is given has to hold.
struct SessionFilter: Sendable {
    private let service: String?
    private let principal: String?
    private let address: String?
    private let backend: String?

    /// The names of its parts in a query.
    static let parameters = ["service", "principal", "address", "backend"]

    init(_ query: [String: String]) {
        self.service = query["service"]
        self.principal = query["principal"]
        self.address = query["address"].map(SocketAddress.unmapped)
        self.backend = query["backend"]
    }

    /// Names all sessions.
    var isEmpty: Bool {
        self.service == nil && self.principal == nil && self.address == nil && self.backend == nil
    }

    func matches(_ facts: SessionFacts) -> Bool {
        if let service, service != facts.service { return false }
        if let principal, principal != facts.principal { return false }
        if let address, address != facts.client { return false }
        if let backend, backend != facts.backend { return false }
        return true
    }
}
