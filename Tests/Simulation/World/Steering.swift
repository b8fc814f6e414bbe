// Places in the machines where few runs rest: one seed in three is led to one of them, where an event or a fault meets it.
// So 20,000 seeds are enough for every cell.

import KHPProtocol
import NIOCore

/// The way to a rare place, and the thing that happens there.
struct Steering: Sendable {
    enum Place: Sendable {
        case stage(Role, StageName)
        case extended(ExtendedClient.State)
        case opening(OpeningClient.StateName)
        case reading(OpeningServer.StateName)
        case closing(Role, ClosingHandshake.State)
        case keepAlive(Role, KeepAlive.State)
    }

    /// Steps taken once, where the run comes by a place; with `bytes` where some are on their way to that side.
    struct Lead: Sendable {
        var place: Place
        var bytes = false
        var steps: [Step]
    }

    enum Meeting: Sendable {
        case fault(Fault)
        case event(Event)
        /// The peer's stream ends here, and what was on its way is lost.
        case end, reset
        case time
    }

    struct Path: Sendable {
        /// `nil` where the way is all.
        var place: Place?
        var leads: [Lead]
        var shape: @Sendable (inout Scenario) -> Void = { _ in }
        /// True where each run of it has the next status as the answer inside.
        var isOfStatuses = false
    }

    private(set) var leads: [Lead]
    let place: Place?
    let meeting: Meeting
    /// A number that the meeting takes for its place, length or kind.
    let amount: Int
    var hasMet = false
    private let path: Path
    /// How often the path has been taken before.
    private let turn: Int

    /// - Returns: `nil` for the seeds that go their own way.
    init?(_ seed: UInt64) {
        guard seed % Self.every == 0 else { return nil }
        let number = Int(seed / Self.every % 1_000_000)
        self.path = Self.paths[number % Self.paths.count]
        let turn = number / Self.paths.count
        self.turn = turn
        self.meeting = Self.meetings[turn % Self.meetings.count]
        self.amount = turn / Self.meetings.count &* 7_919 % 100_000
        self.leads = self.path.leads
        self.place = self.path.place
    }

    func shape(_ scenario: inout Scenario) {
        scenario.dialect = .rfc6455
        scenario.openingAnswers = []
        scenario.insideAnswers = [101]
        scenario.serverExtends = true
        scenario.isLegacy = false
        scenario.hasBody = false
        scenario.shortWait = .none
        scenario.stepsBeforeStart = 0
        scenario.provisional = nil
        scenario.asks = .before
        scenario.hasRoom = true
        self.path.shape(&scenario)
        if self.path.isOfStatuses { scenario.insideAnswers = [StatusCodes.code(self.turn)] }
    }

    /// The steps of the next lead that waits for this place, which is used up by that.
    mutating func lead(_ isAt: (Lead) -> Bool) -> [Step]? {
        guard let index = self.leads.firstIndex(where: isAt) else { return nil }
        return self.leads.remove(at: index).steps
    }

    private static let every: UInt64 = 3

    /// Events that nobody asked for; the others are the transport's.
    private static let events: [Event] = [
        .deadline, .close, .send, .ping, .revalidate, .accept, .refuse, .answer, .replay, .credentials,
    ]

    private static let meetings: [Meeting] =
        Fault.allCases.map { .fault($0) } + Self.events.map { .event($0) } + [.end, .reset, .time]

    // MARK: Paths

    private static let toOpening: [Lead] = [
        Lead(place: .stage(.server, .reading), bytes: true, steps: [.deliver(.server, atMost: 65_536)]),
        Lead(place: .stage(.server, .deciding), steps: [.decide]),
    ]

    /// A 401 of an attacker's that leaves the connection usable.
    private static let challenge = Lead(
        place: .stage(.client, .opening),
        steps: [.fault(.takeover, .client, amount: 5), .deliver(.client, atMost: 65_536)]
    )

    private static func opened(_ shown: Int = 65_536) -> Lead {
        Lead(place: .stage(.client, .opening), bytes: true, steps: [.deliver(.client, atMost: shown)])
    }

    private static let inside: [Lead] = [
        Lead(place: .stage(.server, .extended), bytes: true, steps: [.deliver(.server, atMost: 65_536)]),
        Lead(place: .stage(.server, .decidingInside), steps: [.decide]),
    ]

    private static func answered(_ shown: Int = 65_536) -> Lead {
        Lead(place: .extended(.waiting), bytes: true, steps: [.deliver(.client, atMost: shown)])
    }

    private static func extends(_ answers: [Int], isLegacy: Bool = false) -> @Sendable (inout Scenario) -> Void {
        { scenario in
            scenario.policy = .required
            scenario.insideAnswers = answers
            scenario.isLegacy = isLegacy
            scenario.scheme = 0
            scenario.answersChallenges = true
        }
    }

    private static func opens(holdsClose: Bool = false) -> @Sendable (inout Scenario) -> Void {
        { scenario in
            scenario.policy = .off
            scenario.holdsClose = holdsClose
        }
    }

    private static func proves(anew: Bool = false) -> @Sendable (inout Scenario) -> Void {
        { scenario in
            Self.opens()(&scenario)
            scenario.asks = .credentialsOutside
            scenario.hasSession = true
            scenario.hasPings = false
            if anew { scenario.extensions.insert(.revalidate) }
        }
    }

    /// All but the last bytes: they are a balancer's message, or of the key of hixie-76.
    private static let allButSome = -3

    private static let paths: [Path] =
        [Role.client, .server].flatMap { role -> [Path] in
            let other: Role = role == .client ? .server : .client
            let bothOpen = Self.toOpening + [Self.opened()]
            return [
                Path(place: .stage(role, .connecting), leads: [], shape: { $0.stepsBeforeStart = 6 }),
                Path(
                    place: .stage(role, .closing),
                    leads: bothOpen + [Lead(place: .stage(.client, .open), steps: [.close(role)])],
                    shape: Self.opens()
                ),
                Path(
                    place: .stage(role, .closeHeld),
                    leads: bothOpen + [
                        Lead(place: .stage(.client, .open), steps: [.close(other), .deliver(role, atMost: 65_536)])
                    ],
                    shape: Self.opens(holdsClose: true)
                ),
                // Seen ahead of a message that an application does not take.
                Path(
                    place: .stage(role, .closeHeld),
                    leads: bothOpen + [
                        Lead(
                            place: .stage(.client, .open),
                            steps: [
                                .pause(role), .send(other, count: 5, isText: true), .close(other),
                                .fault(.halfClose, other, amount: 0), .deliver(role, atMost: 65_536),
                                .deliver(role, atMost: 65_536),
                            ]
                        )
                    ],
                    shape: Self.opens(holdsClose: true)
                ),
                Path(
                    place: .stage(role, .unread),
                    leads: bothOpen + [
                        Lead(
                            place: .stage(.client, .open),
                            steps: [
                                .pause(role), .send(other, count: 5, isText: true),
                                .fault(.halfClose, other, amount: 0),
                                .fault(.gone, other, amount: 0), .deliver(role, atMost: 65_536),
                                .deliver(role, atMost: 65_536),
                            ]
                        )
                    ],
                    shape: Self.opens()
                ),
                Path(
                    place: .stage(role, .leaving),
                    leads: Self.toOpening + [Self.opened()] + [
                        Lead(place: .stage(role, .extended), steps: [.fault(.cancelled, role, amount: 0)])
                    ],
                    shape: Self.extends([101])
                ),
                // A flood of pings in messages, from a peer that takes nothing.
                Path(
                    place: nil,
                    leads: bothOpen + [
                        Lead(
                            place: .stage(.client, .open),
                            steps: [
                                .fault(.neverDrains, role, amount: 0),
                                .fault(.takeover, role, amount: Attacks.messageFlood),
                                .deliver(role, atMost: 65_536),
                            ]
                        )
                    ],
                    shape: { scenario in
                        Self.opens()(&scenario)
                        scenario.extensions.insert(.pingPong)
                    }
                ),
                // A ping has gone out, and nothing has come since.
                Path(
                    place: .keepAlive(role, .silent),
                    leads: bothOpen + [
                        Lead(place: .stage(.client, .open), steps: [.pass(milliseconds: 20_500)])
                    ],
                    shape: { scenario in
                        Self.opens()(&scenario)
                        scenario.hasPings = true
                    }
                ),
            ]
        } + [
            // A part of the request, and of the answers: a refusal whose content does not end, and sixteen bytes that are late.
            Path(
                place: .reading(.reading),
                leads: [
                    Lead(place: .stage(.server, .reading), bytes: true, steps: [.deliver(.server, atMost: 20)])
                ]
            ),
            Path(
                place: .opening(.entity),
                leads: [
                    Lead(
                        place: .stage(.client, .opening),
                        steps: [.fault(.takeover, .client, amount: 0), .deliver(.client, atMost: -4)]
                    )
                ]
            ),
            Path(
                place: .opening(.answer),
                leads: Self.toOpening + [Self.opened(Self.allButSome)],
                shape: { $0.dialect = .hixie76 }
            ),
            // The server ends the stream first, and has yet to do so.
            Path(
                place: .closing(.client, .closed),
                leads: Self.toOpening + [Self.opened()] + [
                    Lead(place: .stage(.client, .open), steps: [.close(.server), .deliver(.client, atMost: 65_536)])
                ],
                shape: Self.opens()
            ),
            // Servers of ours end the connection with a 401; others do not, and the replay may lose it. One says more than it
            // was asked.
            Path(
                place: .stage(.client, .challenged),
                leads: [
                    Lead(
                        place: .stage(.client, .opening),
                        steps: [.fault(.takeover, .client, amount: 6), .deliver(.client, atMost: -24)]
                    )
                ],
                shape: { $0.answersChallenges = true }
            ),
            Path(
                place: nil,
                leads: [
                    Self.challenge,
                    Lead(
                        place: .stage(.client, .challenged),
                        steps: [
                            .decide, .decide, .fault(.reset, .client, amount: 0), .deliver(.client, atMost: 65_536),
                        ]
                    ),
                ],
                shape: { $0.answersChallenges = true }
            ),
            Path(
                place: .stage(.client, .challengedInside),
                leads: Self.toOpening + [Self.opened()] + Self.inside + [Self.answered()],
                shape: Self.extends([401, 101])
            ),
            Path(
                place: .stage(.server, .awaitingKey),
                leads: [
                    Lead(
                        place: .stage(.server, .reading),
                        bytes: true,
                        steps: [.deliver(.server, atMost: Self.allButSome)]
                    ),
                    Lead(place: .stage(.server, .deciding), steps: [.decide]),
                ],
                shape: { $0.dialect = .hixie76 }
            ),
            Path(
                place: .stage(.server, .decidingInside),
                leads: Self.toOpening + [Self.opened(), Self.inside[0]],
                shape: Self.extends([101])
            ),
            // A request for a page, which only an attacker makes, and a part of the next.
            Path(
                place: .stage(.server, .decidingPlain),
                leads: [
                    Lead(
                        place: .stage(.server, .reading),
                        steps: [
                            .fault(.takeover, .server, amount: 29), .deliver(.server, atMost: Attacks.page.utf8.count),
                        ]
                    )
                ]
            ),
            Path(
                place: .extended(.balancing),
                leads: Self.toOpening + [Self.opened(Self.allButSome)],
                shape: Self.extends([101], isLegacy: true)
            ),
            Path(
                place: .extended(.settling),
                leads: Self.toOpening + [Self.opened()] + Self.inside + [Self.answered(Self.allButSome)],
                shape: Self.extends([101], isLegacy: true)
            ),
            Path(
                place: nil,
                leads: Self.toOpening + [Self.opened()] + Self.inside + [Self.answered()],
                shape: Self.extends([101]),
                isOfStatuses: true
            ),
            // A session ends with the proof of who the client is, and later where another is given.
            Path(
                place: nil,
                leads: Self.toOpening + [
                    Self.opened(), Lead(place: .stage(.client, .open), steps: [.pass(milliseconds: 35_000)]),
                ],
                shape: Self.proves()
            ),
            Path(
                place: nil,
                leads: Self.toOpening + [
                    Self.opened(),
                    Lead(
                        place: .stage(.client, .open),
                        steps: [.revalidate, .deliver(.client, atMost: 65_536), .pass(milliseconds: 45_000)]
                    ),
                ],
                shape: Self.proves(anew: true)
            ),
            // A challenge inside that is cut: it is answered on a connection of its own.
            Path(
                place: nil,
                leads: Self.toOpening + [Self.opened()] + [
                    Lead(
                        place: .extended(.waiting),
                        steps: [.fault(.takeover, .client, amount: 0), .deliver(.client, atMost: 65_536)]
                    )
                ],
                shape: Self.extends([101])
            ),
        ]
}

extension World {
    /// Leads a run that is led, and has something meet it at its place.
    func steer() throws(Violation) {
        while let steps = self.steering?.lead({ self.isAt($0.place, withBytes: $0.bytes) }) {
            for step in steps {
                self.trace.note(self.now, "led: \(step)")
                try self.take(step)
                try self.goOn()
            }
        }
        guard let steering, !steering.hasMet, let place = steering.place, self.isAt(place) else { return }
        self.steering?.hasMet = true
        let role = Self.role(of: place)
        self.trace.note(self.now, "the \(role) meets \(steering.meeting) in \(self[role].connection.stageName)")
        switch steering.meeting {
        case .fault(let fault): try self.begin(fault, role, steering.amount)
        case .event(let event): try self.poke(role, event)
        case .end, .reset:
            self.isCalm = false
            if case .reset = steering.meeting {
                self[wireTo: role].breakOff(.reset)
            } else {
                self[wireTo: role].breakOff(.orderly)
            }
            try self.deliver(to: role, atMost: 65_536)
        case .time:
            self.isCalm = false
            try self.advance(by: .seconds(130))
        }
    }

    private static func role(of place: Steering.Place) -> Role {
        switch place {
        case .stage(let role, _), .closing(let role, _), .keepAlive(let role, _): role
        case .extended, .opening: .client
        case .reading: .server
        }
    }

    private func isAt(_ place: Steering.Place, withBytes: Bool = false) -> Bool {
        let role = Self.role(of: place)
        if withBytes, self[wireTo: role].pendingBytes == 0 { return false }
        return switch place {
        case .stage(let role, let name): self[role].connection.stageName == name
        case .extended(let state): self.client.connection.extendedClientState == state
        case .opening(let state): self.client.connection.openingClientState == state
        case .reading(let state): self.server.connection.openingServerState == state
        case .closing(let role, let state): !self[role].isOver && self[role].connection.closingState == state
        case .keepAlive(let role, let state): self[role].connection.keepAliveState == state
        }
    }
}
