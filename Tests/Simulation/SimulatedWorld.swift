// A client's and a server's connection over a simulated wire and clock. A seed makes every choice; after each step the
// invariants are checked, and the first that does not hold ends the run with its name and a trace.

import HTTPTypes
import KHPProtocol
import NIOCore

struct SimulatedWorld {
    struct Violation: Error, CustomStringConvertible {
        var description: String
    }

    static let secret = "c4n4ry-7e1"

    private(set) var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    private(set) var trace: [String] = []
    private(set) var scenario: SimulatedScenario
    private(set) var client: SimulatedSide
    private(set) var server: SimulatedSide
    private(set) var toServer = SimulatedWire()
    private(set) var toClient = SimulatedWire()
    private var generator: SeededGenerator
    private var isFaulty = false
    private var answered = 0
    private var openingAnswers = 0
    private var messages = 0

    init(seed: UInt64) throws(WebSocketError) {
        var generator = SeededGenerator(seed: seed)
        let scenario = SimulatedScenario(&generator)
        let plan = try scenario.plan(&generator)
        self.scenario = scenario
        let now = self.now
        self.client = SimulatedSide(
            .client,
            try Connection(
                client: plan,
                configuration: scenario.configuration,
                key: "dGhlIHNhbXBsZSBub25jZQ==",
                masks: CountedMasks(),
                deadline: now + .seconds(30),
                now: now
            )
        )
        self.server = SimulatedSide(.server, Connection(server: scenario.configuration, isSecure: false, now: now))
        self.generator = generator
        for role in [Role.client, .server] {
            self[role].connection.transportUp(now: now)
            self[role].connection.start(now: now)
            self[role].drive(now)
        }
    }

    subscript(role: Role) -> SimulatedSide {
        get { role == .client ? self.client : self.server }
        _modify {
            if role == .client { yield &self.client } else { yield &self.server }
        }
    }

    /// The wire that this side reads from.
    private subscript(wireTo role: Role) -> SimulatedWire {
        get { role == .client ? self.toClient : self.toServer }
        _modify {
            if role == .client { yield &self.toClient } else { yield &self.toServer }
        }
    }

    private static func other(_ role: Role) -> Role { role == .client ? .server : .client }

    // MARK: A run

    mutating func run() throws(Violation) {
        try self.settle()
        for step in 0..<self.scenario.steps where !self.isOver {
            if step == self.scenario.faultStep { try self.begin(self.scenario.fault) }
            try self.step()
        }
        try self.finish()
    }

    private var isOver: Bool { self.client.closed != nil && self.server.closed != nil }

    private mutating func step() throws(Violation) {
        let role: Role = Bool.random(using: &self.generator) ? .client : .server
        enum Step { case deliver, decide, send, stream, ping, close, pause, time, jump }
        switch self.generator.pick([
            (Step.deliver, weight: 30), (.decide, weight: 12), (.send, weight: 14), (.stream, weight: 3),
            (.ping, weight: 2), (.close, weight: 1), (.pause, weight: 3), (.time, weight: 4), (.jump, weight: 1),
        ]) {
        case .deliver: try self.deliver(to: role, atMost: self.size())
        case .decide: try self.decide()
        case .send: try self.send(from: role)
        case .stream: try self.stream(from: role)
        case .ping: try self.ping(from: role)
        case .close: try self.close(role)
        case .pause: try self.pause(role)
        case .time: try self.advance(by: .milliseconds(Int64.random(in: 0...3000, using: &self.generator)))
        case .jump: try self.advance(by: .seconds(Int64.random(in: 1...90, using: &self.generator)))
        }
    }

    /// Everything goes its way again, within bounds: both applications read, close, and wait.
    private mutating func finish() throws(Violation) {
        self.note("finish")
        for role in [Role.client, .server] where self[role].isPaused {
            self[role].isPaused = false
            try self.after(role)
        }
        if !self.isFaulty {
            self.toClient.isStalled = false
            self.toServer.isStalled = false
        }
        for _ in 0..<60 where !self.isOver {
            try self.exchange()
            if self.isOver { break }
            // Some close at once, some after a while of silence, in which keep-alive has begun to ask.
            try self.advance(by: .seconds(Int64.random(in: 0...25, using: &self.generator)))
            try self.exchange()
            if self.client.opened != nil, !self.client.hasCalledClose { try self.close(.client) }
            if self.server.opened != nil, !self.server.hasCalledClose, self.client.closed != nil {
                try self.close(.server)
            }
            try self.exchange()
            if !self.isOver { try self.advance(by: .seconds(20)) }
        }
        guard self.isOver else {
            throw self.violation(
                "twenty minutes later it is not over: client \(self.client.closed == nil ? "open" : "closed"), "
                    + "server \(self.server.closed == nil ? "open" : "closed")"
            )
        }
        try self.checkNothingIsLost()
    }

    /// Delivers and decides until nothing is on its way.
    private mutating func exchange() throws(Violation) {
        for _ in 0..<10_000 {
            var isQuiet = true
            for role in [Role.client, .server] where self[wireTo: role].hasNews {
                if self[role].closed != nil {
                    // Nobody reads any more.
                    _ = self[wireTo: role].take(atMost: .max)
                    _ = self[wireTo: role].takeEnd()
                    continue
                }
                isQuiet = false
                try self.deliver(to: role, atMost: self.size())
            }
            if !self.scenarioNeverAnswers, try self.decide() { isQuiet = false }
            if isQuiet { return }
        }
        throw self.violation("the two never come to rest")
    }

    private var scenarioNeverAnswers: Bool { self.isFaulty && self.scenario.fault == .answersNever }

    private mutating func settle() throws(Violation) {
        try self.after(.client)
        try self.after(.server)
    }

    // MARK: Steps

    private mutating func size() -> Int {
        self.generator.pick([
            (1, weight: 2), (Int.random(in: 2...200, using: &self.generator), weight: 4), (4096, weight: 2),
            (65_536, weight: 4),
        ])
    }

    private mutating func deliver(to role: Role, atMost count: Int) throws(Violation) {
        guard self[wireTo: role].hasNews, self[role].closed == nil else { return }
        // While an application pauses the channel makes one more read; all that is left it makes at the end.
        if self[role].isPaused, self[role].connection.bufferedBytes > 0, self[wireTo: role].end == nil { return }
        let bytes = self[wireTo: role].take(atMost: count)
        if bytes.readableBytes > 0 {
            self.note("\(role) reads \(bytes.readableBytes)")
            self[role].connection.receive(bytes, now: self.now)
        } else if let end = self[wireTo: role].takeEnd() {
            self.note("\(role) learns of the \(end) end")
            switch end {
            case .orderly:
                self[role].connection.inputClosed(now: self.now)
            case .reset:
                self[role].connection.transportFailed(
                    WebSocketError(.closed, "The connection was reset."),
                    now: self.now
                )
                self[role].drive(self.now)
                self[role].transportEnded(self.now)
            }
        }
        try self.after(role)
    }

    /// - Returns: whether there was anything to decide.
    @discardableResult
    private mutating func decide() throws(Violation) -> Bool {
        if self.isFaulty, self.scenario.fault == .answersNever { return false }
        if let request = self.server.openingRequest {
            self.server.openingRequest = nil
            try self.answer(request)
            return true
        }
        if self.server.extendedRequest != nil {
            self.server.extendedRequest = nil
            let status = self.scenario.answers[min(self.answered, self.scenario.answers.count - 1)]
            self.answered += 1
            self.note("server answers \(status) inside")
            self.server.connection.answerExtended(Self.answer(status), principal: nil, now: self.now)
            // More answers owed after a 202 come as the endpoint's later answer.
            if status == 202, self.answered < 5 {
                try self.after(.server)
                let next = self.scenario.answers[min(self.answered, self.scenario.answers.count - 1)]
                self.answered += 1
                self.note("server answers \(next) later")
                self.server.connection.answerExtended(Self.answer(next), principal: nil, now: self.now)
            }
            try self.after(.server)
            return true
        }
        if self.server.plainRequest != nil {
            self.server.plainRequest = nil
            self.server.connection.refuseOpening(.notFound(), now: self.now)
            try self.after(.server)
            return true
        }
        if let layer = self.client.challenge {
            self.client.challenge = nil
            self.note("client answers the challenge")
            let authorization = RequestAuthorization("Basic \(Self.secret)")
            if layer == .extended {
                self.client.connection.answerChallenge(
                    authorization,
                    challenges: 1,
                    deadline: self.now + .seconds(30),
                    now: self.now
                )
            } else {
                _ = self.client.connection.replayOpening(
                    OpeningReplay(authorization: authorization, challenges: 1),
                    key: "dGhlIHNhbXBsZSBub25jZQ==",
                    deadline: self.now + .seconds(30),
                    now: self.now
                )
            }
            try self.after(.client)
            return true
        }
        return false
    }

    private mutating func answer(_ request: OpeningRequest) throws(Violation) {
        var status = self.scenario.openingStatus
        if status == 401, self.openingAnswers > 0 { status = 101 }
        self.openingAnswers += 1
        self.note("server answers \(status)")
        if status == 101 {
            self.server.connection.acceptOpening(self.scenario.endpoint(for: request), now: self.now)
        } else {
            self.server.connection.refuseOpening(Self.answer(status), now: self.now)
        }
        try self.after(.server)
    }

    private static func answer(_ status: Int) -> HandshakeResponse {
        var answer = HandshakeResponse(status: status)
        if status == 401 { answer.headers[.wwwAuthenticate] = "Basic realm=\"sim\"" }
        if (300...399).contains(status) { answer.headers[.location] = "ws://sim.example/other" }
        return answer
    }

    private mutating func send(from role: Role) throws(Violation) {
        guard self[role].opened != nil, self[role].closed == nil, !self[role].isCongested else { return }
        self.messages += 1
        let count = self.generator.pick([
            (0, weight: 1), (1, weight: 2), (125, weight: 1), (126, weight: 1), (5_000, weight: 2), (65_535, weight: 1),
            (65_536, weight: 1), (200_000, weight: 1),
        ])
        let isText = Bool.random(using: &self.generator)
        self.note("\(role) sends \(isText ? "text" : "binary") of \(count)")
        let bytes = self.bytes(count)
        let message: WebSocketMessage =
            isText ? .text(String(decoding: bytes, as: UTF8.self)) : .binary(ByteBuffer(bytes: bytes))
        self[role].send(message, self.now)
        try self.after(role)
    }

    private mutating func stream(from role: Role) throws(Violation) {
        guard self[role].opened != nil, self[role].closed == nil, !self[role].isCongested else { return }
        self.messages += 1
        let pieces = Int.random(in: 1...9, using: &self.generator)
        self.note("\(role) streams \(pieces) pieces")
        self[role].stream(self.bytes(Int.random(in: 0...20_000, using: &self.generator)), pieces: pieces, self.now)
        try self.after(role)
    }

    /// ASCII that differs from message to message and compresses.
    private func bytes(_ count: Int) -> [UInt8] {
        let salt = self.messages
        return (0..<count).map { UInt8(0x20 + ($0 / 7 &* 31 &+ salt) % 0x5F) }
    }

    private mutating func ping(from role: Role) throws(Violation) {
        guard self[role].opened != nil, self[role].closed == nil else { return }
        self.note("\(role) pings")
        _ = try? self[role].connection.ping(now: self.now)
        try self.after(role)
    }

    private mutating func close(_ role: Role) throws(Violation) {
        guard self[role].closed == nil, self[role].opened != nil || self.generator.once(in: 8) else { return }
        self.note("\(role) closes")
        self[role].hasCalledClose = true
        self[role].isPaused = false
        self[role].connection.close(code: .normalClosure, reason: "", now: self.now)
        try self.after(role)
    }

    private mutating func pause(_ role: Role) throws(Violation) {
        guard self[role].opened != nil, self[role].closed == nil else { return }
        let isPaused = !self[role].isPaused
        self[role].isPaused = isPaused
        self.note("\(role) \(isPaused ? "stops reading" : "reads again")")
        try self.after(role)
    }

    // MARK: Faults

    private mutating func begin(_ fault: SimulatedScenario.Fault) throws(Violation) {
        guard fault != .none else { return }
        let role = self.scenario.faultRole
        self.isFaulty = true
        self.note("fault: \(fault) of the \(role)")
        switch fault {
        case .none, .answersNever:
            break
        case .halfClose:
            self[wireTo: Self.other(role)].finish(.orderly)
        case .reset:
            self.toClient.finish(.reset)
            self.toServer.finish(.reset)
        case .cut:
            self.toClient.cut(after: Int.random(in: 0...300, using: &self.generator))
            self.toServer.cut(after: Int.random(in: 0...300, using: &self.generator))
        case .stall, .readsNothing:
            self[wireTo: role].isStalled = true
        case .clockJump:
            try self.advance(by: .minutes(10))
        case .answersLate:
            try self.advance(by: .seconds(Int64.random(in: 5...125, using: &self.generator)))
        case .floods:
            // Pings and tiny messages without an end, from a peer that follows the rules of framing.
            for _ in 0..<300 where self[role].opened != nil && self[role].closed == nil {
                _ = try? self[role].connection.ping(now: self.now)
            }
            try self.after(role)
        }
    }

    // MARK: Time

    private mutating func advance(by amount: TimeAmount) throws(Violation) {
        let target = self.now + amount
        self.note("clock +\(amount.nanoseconds / 1_000_000) ms")
        var wakeUps = 0
        while true {
            let next = [Role.client, .server].compactMap { role in
                self[role].closed == nil ? self[role].connection.deadline.map { ($0, role) } : nil
            }.min { $0.0 < $1.0 }
            guard let (deadline, role) = next, deadline <= target else { break }
            self.now = max(deadline, self.now)
            wakeUps += 1
            try self.wake(role)
            if wakeUps > 2000 { throw self.violation("more than 2000 wake-ups in \(amount)") }
        }
        self.now = max(self.now, target)
    }

    /// The timer of one side fires, as the channel handler's does.
    private mutating func wake(_ role: Role) throws(Violation) {
        self.note("\(role) wakes")
        if self[role].isPaused { self[role].connection.readingIsPaused(now: self.now) }
        guard let deadline = self[role].connection.deadline, deadline <= self.now else { return }
        self[role].connection.timeReached(now: self.now)
        try self.after(role)
        if self[role].closed == nil, let next = self[role].connection.deadline, next <= self.now {
            throw self.violation("the \(role)'s deadline stays in the past")
        }
    }

    // MARK: After each step

    /// The shell's work after each event: drive, write, tell of congestion, end the transport; then the invariants.
    private mutating func after(_ role: Role) throws(Violation) {
        let other = Self.other(role)
        self[role].drive(self.now)
        self.write(from: role)
        let isCongested = self[wireTo: other].pendingBytes > (self[role].isCongested ? 32 * 1024 : 64 * 1024)
        if isCongested != self[role].isCongested {
            self[role].isCongested = isCongested
            self[role].connection.setCongested(isCongested, now: self.now)
            self[role].drive(self.now)
            self.write(from: role)
        }
        if self[role].closed != nil { self[wireTo: other].finish(.orderly) }
        // The bytes that this side has read may have made room for the other.
        if self[other].isCongested, self[wireTo: role].pendingBytes <= 32 * 1024 {
            self[other].isCongested = false
            self[other].connection.setCongested(false, now: self.now)
            self[other].drive(self.now)
            self.write(from: other)
            if self[other].closed != nil { self[wireTo: role].finish(.orderly) }
        }
        try self.check(role)
    }

    private mutating func write(from role: Role) {
        let bytes = self[role].takeOutput()
        self[wireTo: Self.other(role)].write(bytes)
    }

    private mutating func check(_ role: Role) throws(Violation) {
        if let sentence = self[role].broken.first { throw self.violation("\(role): \(sentence)") }
        let held = self[role].connection.bufferedBytes
        // One message may be incomplete, one read may have come behind it.
        if held > 1_048_576 + 131_072 { throw self.violation("the \(role) holds \(held) bytes") }
        let sent = self[Self.other(role)].accepted
        let received = self[role].received
        guard received.count <= sent.count, received.elementsEqual(sent.prefix(received.count)) else {
            throw self.violation("the \(role) received what was not sent, or in another order")
        }
        for text in self[role].observed where text.contains(Self.secret) {
            throw self.violation("an event of the \(role) shows the secret: \(text)")
        }
    }

    /// After a clean end of a socket that was open on both sides everything that was accepted has arrived. A client
    /// that closes because its handshake failed takes no messages.
    private func checkNothingIsLost() throws(Violation) {
        guard self.client.closed?.clean == true, self.server.closed?.clean == true, self.client.opened != nil,
            self.server.opened != nil, self.scenario.dialect != .hixie75
        else { return }
        for (one, other) in [(self.client, self.server), (self.server, self.client)] {
            if one.accepted.count != other.received.count {
                throw self.violation(
                    "both ends are clean, and \(one.accepted.count - other.received.count) messages of the "
                        + "\(one.role) are lost"
                )
            }
        }
    }

    // MARK: Telling

    private mutating func note(_ sentence: String) {
        self.trace.append("\(self.now.uptimeNanoseconds / 1_000_000) \(sentence)")
    }

    private func violation(_ sentence: String) -> Violation {
        let scenario = self.scenario
        return Violation(
            description: """
                \(sentence)
                \(scenario.dialect), extended \(scenario.clientExtended)/\(scenario.serverExtended), \
                answers \(scenario.openingStatus) \(scenario.answers), legacy \(scenario.isLegacy), \
                deflate \(scenario.compresses), \(scenario.delivery), pings \(scenario.hasPings), \
                idle \(String(describing: scenario.idle)), observed \(scenario.isObserved), fault \(scenario.fault)
                \(self.trace.suffix(40).joined(separator: "\n"))
                """
        )
    }
}

/// Masks that differ from frame to frame and are the same in each run.
private struct CountedMasks: MaskSource {
    private var count: UInt32 = 0

    mutating func next() -> UInt32 {
        self.count &+= 0x9E37_79B9
        return self.count
    }
}
