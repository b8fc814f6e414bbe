// The lines of a gateway's events, with the fields that programs look for.

import KHPProtocol
import NIOCore

extension GatewayLog {
    /// A session has ended.
    func write(ended: EndedSession) {
        let facts = ended.facts
        self.write(
            .info,
            "session.end",
            "session of \(facts.service) ended by the \(ended.end.party.rawValue): \(ended.end.cause.rawValue)",
            Self.fields(facts) + [
                ("duration_s", .number(Self.rounded(ended.duration))),
                ("in_bytes", .integer(ended.tally.inBytes)), ("out_bytes", .integer(ended.tally.outBytes)),
                ("in_msgs", .integer(ended.tally.inMessages)), ("out_msgs", .integer(ended.tally.outMessages)),
                ("by", .string(ended.end.party.rawValue)), ("cause", .string(ended.end.cause.rawValue)),
                ("code", ended.end.code.map { .integer(Int($0.rawValue)) } ?? .null),
                ("reason", .payload(ended.end.reason)), ("paused_s", .number(Self.rounded(ended.paused))),
            ]
        )
        if ended.end == .noText {
            self.write(
                .warning,
                "session.text",
                "a backend of service \(facts.service) sent bytes that are no UTF-8; its protocol needs `frames: binary`",
                [("session", .string(facts.id)), ("service", .string(facts.service))]
            )
        }
    }

    /// A client was to prove anew who it is.
    func write(revalidation outcome: Revalidations.Outcome, of facts: SessionFacts) {
        let words =
            switch outcome {
            case .asked: "is asked to prove anew who it is"
            case .notAgreed: "has agreed on no way to be asked for another proof, and is closed when its proof ends"
            case .renewed: "has proved anew who it is"
            case .refused: "has brought a proof that does not let its session go on"
            case .unanswered: "has brought no other proof before the end of the first"
            }
        self.write(
            outcome == .asked ? .debug : .info,
            "session.revalidate",
            "the client of a session of \(facts.service) \(words)",
            Self.fields(facts) + [
                ("result", .string(outcome.rawValue)),
                ("expires", .optional(facts.expires)),
            ]
        )
    }

    /// The fields that tell one session from another.
    static func fields(_ facts: SessionFacts) -> Fields {
        [
            ("session", .string(facts.id)), ("service", .string(facts.service)), ("listener", .string(facts.listener)),
            ("peer", .string(facts.peer)), ("client", .string(facts.client)), ("realm", .optional(facts.realm)),
            ("principal", .optional(facts.principal)), ("subprotocol", .optional(facts.subprotocol)),
            ("dialect", .string(facts.dialect)), ("extended", .bool(facts.isExtended)),
            ("backend", .optional(facts.backend)),
        ]
    }

    private static func rounded(_ time: TimeAmount) -> Double { Double(time.nanoseconds / 1_000_000) / 1000 }

    /// A client was not let in.
    func write(refused outcome: HandshakeOutcome) {
        if let service = outcome.service, let limit = outcome.cause.flatMap(ServiceGate.Limit.init(rawValue:)) {
            self.writeSeldom(
                .warning,
                "limit.hit",
                kind: "\(service) \(limit.rawValue)",
                most: 1,
                "service \(service) has met its limit \(limit.rawValue)",
                [
                    ("service", .string(service)), ("limit", .string(limit.rawValue)),
                    ("listener", .string(outcome.listener)), ("peer", .string(outcome.peer)),
                    ("client", .optional(outcome.client)),
                ]
            )
        }
        self.writeSeldom(
            outcome.status >= 500 ? .warning : .info,
            "handshake.refused",
            kind: "\(outcome.service ?? "") \(outcome.status) \(outcome.cause ?? "")",
            Self.words(refused: outcome),
            [
                ("service", .optional(outcome.service)), ("layer", .string(outcome.layer.rawValue)),
                ("status", .integer(outcome.status)), ("cause", .optional(outcome.cause)),
                ("listener", .string(outcome.listener)), ("peer", .string(outcome.peer)),
                ("client", .optional(outcome.client)), ("connection", .integer(Int(outcome.connection))),
            ] + Self.fields(outcome.tries)
        )
    }

    /// A side of a session has not kept up for a while: a broker may drop messages for it without a word.
    func write(slow side: String, for time: TimeAmount, _ facts: SessionFacts) {
        self.writeSeldom(
            .warning,
            "session.slow",
            kind: "\(facts.service) \(side)",
            most: 1,
            "the \(side) of a session of \(facts.service) does not keep up, and the other side waits for it",
            Self.fields(facts) + [("side", .string(side)), ("paused_s", .number(Self.rounded(time)))]
        )
    }

    private static func words(refused outcome: HandshakeOutcome) -> String {
        guard let service = outcome.service else {
            if outcome.cause == HandshakeOutcome.unreadable {
                return "what a client sent is no request that can be read: it was refused with \(outcome.status)"
            }
            return outcome.status == 404
                ? "a client asked for a path that no service has" : "a client was refused with \(outcome.status)"
        }
        let backends = outcome.tries.map { "\($0.backend): \($0.words)" }
        let reason = backends.isEmpty ? outcome.cause : backends.joined(separator: "; ")
        return "service \(service) refused a client with \(outcome.status)" + (reason.map { ": \($0)" } ?? "")
    }

    /// The backends that failed, in the order in which they were tried, each with its reason.
    private static func fields(_ tries: [ConnectFailure.Try]) -> Fields {
        guard !tries.isEmpty else { return [] }
        let all = tries.map { JSONTree.object([("backend", .string($0.backend)), ("error", .string($0.words))]) }
        return [("backends", .array(all))]
    }

    /// A client has not proved who it is.
    func write(unproved outcome: AuthenticationOutcome) {
        let trace = ConnectionTrace.current
        self.writeSeldom(
            .info,
            "auth.failed",
            kind: "\(outcome.realm) \(outcome.scheme) \(outcome.result.rawValue)",
            "a client's proof was refused by realm \(outcome.realm): \(outcome.cause ?? outcome.result.rawValue)",
            [
                ("realm", .string(outcome.realm)), ("scheme", .string(outcome.scheme)),
                ("result", .string(outcome.result.rawValue)), ("cause", .optional(outcome.cause)),
                ("listener", .optional(trace?.listener)), ("peer", .optional(trace?.connection.peer)),
                ("client", .optional(trace?.client)),
            ]
        )
    }

    /// The members of a balancer.
    func write(balancer service: String, _ news: MemberLoads.News) {
        switch news {
        case .silent(let member, let words):
            self.write(
                .warning,
                "member.silent",
                "member \(member) of balancer \(service) does not tell its load: \(words)",
                [("service", .string(service)), ("member", .string(member)), ("error", .string(words))]
            )
        case .answers(let member):
            self.write(
                .notice,
                "member.answers",
                "member \(member) of balancer \(service) tells its load again",
                [("service", .string(service)), ("member", .string(member))]
            )
        case .blind:
            self.write(
                .warning,
                "balancer.blind",
                "no member of balancer \(service) tells its load: they take turns",
                [("service", .string(service))]
            )
        }
    }

    /// A backend comes, goes or is left out for a while.
    func write(pool: String, backend: String, _ change: BackendHealth.Change) {
        let names: Fields = [("pool", .string(pool)), ("backend", .string(backend))]
        switch change {
        case .up:
            self.write(.notice, "backend.up", "backend \(backend) of pool \(pool) is back", names)
        case .down(let failure):
            self.write(
                .warning,
                "backend.down",
                "backend \(backend) of pool \(pool) fails its checks: \(failure)",
                names + [("error", .string(failure))]
            )
        case .ejected(let time, let failure):
            self.write(
                .warning,
                "backend.ejected",
                "backend \(backend) of pool \(pool) is left out for \(time.inSeconds): \(failure)",
                names + [("error", .string(failure)), ("for_s", .integer(Int(time.components.seconds)))]
            )
        }
    }
}
