// A client's and a server's connection over a simulated wire and clock, hop by hop. A seed makes every choice; after each
// step the invariants are checked, and the first that does not hold ends the run.

import HTTPTypes
import KHPProtocol
import NIOCore

final class World {
    let scenario: Scenario
    let configuration: ConnectionConfiguration
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
    var trace: Trace
    var coverage = Coverage()
    var client: Side
    var server: Side
    var toServer = Wire()
    var toClient = Wire()
    var caller: Caller
    let endpoints: EndpointSet
    var asked: Asked
    var endpoint = Answering()
    var time = Lateness()
    /// True while nothing has gone wrong, and nobody was kept waiting for long.
    var isCalm = true
    /// An answer of an attacker's that refuses and does not end.
    var promise: Promise?
    /// An answer on its way to the client that no endpoint has given, with the bytes of it that have yet to arrive.
    var foreign: (status: Int, layer: HandshakeLayer, bytes: Int)?
    let revalidations = Revalidations()
    /// How many of them have been answered.
    var revalidated = 0
    /// More control frames of an attacker's than the limits allow, on their way to a side that is open.
    var flood: Flood?
    /// For choices that no step makes.
    var generator: SeededGenerator
    private let seed: UInt64
    private let steps: [(number: Int, step: Step)]
    private var messages = 0
    /// How many milliseconds there have been bytes on the wire to each side, or it has been paused.
    private var waited: [Role: Int] = [:]
    var steering: Steering?

    struct Promise {
        let status: Int
        /// The client acts on it by then.
        var until: NIODeadline
        var isDelivered = false
    }

    struct Flood {
        let role: Role
        let since: NIODeadline
        /// How much that side has read once all of them have come.
        let end: Int
    }

    /// A run of this seed.
    /// - Parameters:
    ///   - keeping: the steps to take, by number; all of them where there are none.
    ///   - without: parts to leave out of the scenario.
    ///   - tells: true for the story in words.
    ///   - isCompared: true for a trace that tells two runs apart by their words as well.
    init(
        seed: UInt64,
        keeping: Set<Int>? = nil,
        without: Set<Scenario.Part> = [],
        tells: Bool = false,
        isCompared: Bool = false
    ) throws(Violation) {
        var generator = SeededGenerator(seed: seed)
        var scenario = Scenario(&generator)
        let steps = Step.all(of: scenario, using: &generator).enumerated().map { (number: $0.offset, step: $0.element) }
        self.seed = seed
        self.steering = Steering(seed)
        self.steering?.shape(&scenario)
        for part in without { scenario = scenario.without(part) }
        self.scenario = scenario
        self.steps = keeping.map { kept in steps.filter { kept.contains($0.number) } } ?? steps
        self.generator = generator
        self.trace = Trace(tells: tells, isCompared: isCompared)
        let configuration = scenario.configuration
        self.configuration = configuration
        self.caller = try Caller(scenario, self.revalidations, &self.generator, now: self.now)
        self.client = try self.caller.connect(configuration, scenario, now: self.now)
        self.server = Self.listen(configuration, scenario, now: self.now)
        do throws(WebSocketError) {
            self.endpoints = try scenario.endpoints()
        } catch {
            throw Violation(.plan, "\(error)")
        }
        self.asked = Asked(self.endpoints)
        try self.comeUp()
    }

    /// The transports are up, and TLS may still be negotiated over them.
    func comeUp() throws(Violation) {
        for role in Self.roles {
            self[role].beginStep(self.now)
            self[role].connection.transportUp(now: self.now)
            try self.checkDeadline(self[role])
        }
    }

    static func listen(_ configuration: ConnectionConfiguration, _ scenario: Scenario, now: NIODeadline) -> Side {
        let connection = Connection(server: configuration, isSecure: false, now: now)
        return Side(.server, connection, holdsClose: scenario.holdsClose, now: now)
    }

    /// How many steps this seed has.
    static func stepCount(_ seed: UInt64) -> Int {
        var generator = SeededGenerator(seed: seed)
        let scenario = Scenario(&generator)
        return Step.all(of: scenario, using: &generator).count
    }

    subscript(role: Role) -> Side { role == .client ? self.client : self.server }

    /// The wire that this side reads from.
    subscript(wireTo role: Role) -> Wire {
        get { role == .client ? self.toClient : self.toServer }
        _modify {
            if role == .client { yield &self.toClient } else { yield &self.toServer }
        }
    }

    static func other(_ role: Role) -> Role { role == .client ? .server : .client }

    static let roles: [Role] = [.client, .server]

    // MARK: A run

    func run() throws(Violation) {
        var left = self.scenario.stepsBeforeStart
        try self.steer()
        for (number, step) in self.steps where !self.isOver || self.hasUnread {
            if left == 0 { try self.start() }
            left -= 1
            self.trace.note(self.now, "step \(number): \(step)")
            try self.take(step)
            try self.goOn()
            try self.steer()
            try self.stir(number)
        }
        try self.start()
        try self.finish()
        try self.checkOutcome()
        self.coverage.count(
            opened: self.client.opened != nil && self.server.opened != nil,
            clean: self.client.closed?.clean == true && self.server.closed?.clean == true
        )
        self.coverage.visit(self.client.opened != nil ? .opened : .failed, self.scenario.dialect)
    }

    var isOver: Bool { self.client.isOver && self.server.isOver && !self.caller.goesOn }

    /// True while an application has yet to take what had arrived before the end.
    var hasUnread: Bool { Self.roles.contains { self[$0].connection.hasUnread } }

    /// The transport is ready for bytes.
    func start() throws(Violation) {
        for role in Self.roles where !self[role].hasStarted && !self[role].isOver {
            self[role].hasStarted = true
            self[role].beginStep(self.now)
            self[role].connection.start(now: self.now)
            try self.after(role)
        }
    }

    /// An event on one side, and all that follows from it.
    func act(_ role: Role, _ event: Event, bytes: Int = 0, _ body: (Side) -> Void) throws(Violation) {
        let side = self[role]
        self.coverage.visit(side, event)
        side.beginStep(self.now)
        let held = side.connection.bufferedBytes
        body(side)
        try self.after(role, bytes: bytes + held)
    }

    /// Stages that few runs come to, and none stays in for long, are met with a fault or an event more often.
    private func stir(_ number: Int) throws(Violation) {
        for role in Self.roles {
            let side = self[role]
            switch side.connection.stageName {
            case .challenged, .awaitingKey, .decidingPlain, .unread, .closeHeld: break
            default:
                let state = side.connection.extendedClientState
                guard state == .balancing || state == .settling else { continue }
            }
            var generator = SeededGenerator(seed: self.seed &* 0x2545_F491 &+ UInt64(number))
            guard generator.once(in: 3) else { continue }
            if Bool.random(using: &generator) {
                let fault = Fault.allCases[Int.random(in: 0..<Fault.allCases.count, using: &generator)]
                try self.begin(fault, role, Int.random(in: 0..<100_000, using: &generator))
            } else {
                let event = Event.allCases[Int.random(in: 0..<Event.allCases.count, using: &generator)]
                self.trace.note(self.now, "the \(role) meets \(event) in \(side.connection.stageName)")
                try self.poke(role, event)
            }
        }
    }

    func take(_ step: Step) throws(Violation) {
        switch step {
        case .deliver(let role, let count): try self.deliver(to: role, atMost: count)
        case .decide: try self.decide()
        case .send(let role, let count, let isText): try self.send(from: role, count, isText)
        case .piece(let role, let count, let isLast):
            guard !self[role].isCongested else { return }
            self.messages += 1
            let bytes = Payloads.make(count, number: self.messages)
            try self.act(role, .send, bytes: count) { $0.sendPiece(bytes, isLast: isLast, self.now) }
        case .takeBackStream(let role): try self.act(role, .send) { $0.takeBackStream(self.now) }
        case .revalidate: try self.revalidate(.server)
        case .ping(let role): try self.act(role, .ping) { $0.ping(self.now) }
        case .close(let role):
            guard self[role].opened != nil else { return }
            try self.close(role)
        case .pause(let role):
            guard self[role].opened != nil, !self[role].isDeaf else { return }
            self[role].isPaused.toggle()
            try self.resume(role)
        case .pass(let milliseconds):
            if milliseconds > 3_000 { self.isCalm = false }
            for role in Self.roles { self.noteWait(for: role, milliseconds) }
            try self.advance(by: .milliseconds(Int64(milliseconds)))
        case .poke(let role, let event): try self.poke(role, event)
        case .fault(let fault, let role, let amount): try self.begin(fault, role, amount)
        case .heal(let role):
            guard self[wireTo: role].isStalled, self[wireTo: role].mayHeal else { return }
            self[wireTo: role].isStalled = false
        }
    }

    /// Everything goes its way again, within bounds: both applications read, close, and wait.
    private func finish() throws(Violation) {
        self.trace.note(self.now, "finish")
        for role in Self.roles where self[role].isPaused && !self[role].isDeaf {
            self[role].isPaused = false
            try self.resume(role)
        }
        for _ in 0..<80 where !self.isOver {
            try self.exchange()
            if self.isOver { break }
            try self.checkPings()
            // Some close at once, some after a while of silence, in which keep-alive has begun to ask.
            try self.advance(by: .seconds(Int64.random(in: 0...25, using: &self.generator)))
            try self.exchange()
            if self.client.opened != nil, !self.client.hasCalledClose { try self.close(.client) }
            try self.exchange()
            if self.server.opened != nil, !self.server.hasCalledClose, self.client.isOver { try self.close(.server) }
            try self.exchange()
            if !self.isOver { try self.advance(by: .seconds(20)) }
        }
        guard self.isOver else {
            throw Violation(
                .boundedTime,
                "half an hour later it is not over: the client is \(self.client.stage), the server \(self.server.stage)"
            )
        }
        for role in Self.roles {
            // Whoever was deaf takes what is left.
            self[role].isPaused = false
            self[role].drive(self.now, bytes: self[role].connection.bufferedBytes)
            try self.checkMessages(role)
            try self.checkArrived(role)
        }
        try self.checkEnd()
    }

    /// Delivers and decides until nothing is on its way.
    private func exchange() throws(Violation) {
        for _ in 0..<20_000 {
            var isQuiet = true
            for role in Self.roles where self[wireTo: role].hasNews(self.now) {
                if self[role].isOver {
                    // Nobody reads any more.
                    _ = self[wireTo: role].take(atMost: .max)
                    _ = self[wireTo: role].takeEnd()
                    continue
                }
                if self.isReadingPaused(role) { continue }
                isQuiet = false
                try self.deliver(to: role, atMost: Step.size(&self.generator))
            }
            if try self.decide() { isQuiet = false }
            if try self.goOn() { isQuiet = false }
            if isQuiet { return }
        }
        throw Violation(.boundedWork, "the two never come to rest")
    }

    // MARK: Steps

    private func isReadingPaused(_ role: Role) -> Bool {
        // While an application pauses the channel makes one more read; all that is left it makes at the end.
        self[role].isPaused && self[role].connection.bufferedBytes > 0 && self[wireTo: role].end == nil
    }

    func deliver(to role: Role, atMost count: Int) throws(Violation) {
        guard self[wireTo: role].hasNews(self.now), !self[role].isOver, !self.isReadingPaused(role) else { return }
        // Bytes before the transport is ready would be our own bug.
        guard self[role].hasStarted || self[wireTo: role].pendingBytes == 0 else { return }
        let isTampered = self[wireTo: role].isTampered
        let pending = self[wireTo: role].pendingBytes
        let count = count >= 0 ? count : max(min(pending + count, 65_536), 1)
        if count < pending { self.coverage.visit(self.place(of: role), .split) }
        let bytes = self[wireTo: role].take(atMost: count)
        if bytes.readableBytes > 0 {
            self.trace.note(self.now, "the \(role) reads \(bytes.readableBytes)")
            try self.noteProgress(of: Self.other(role))
            self[role].noteRead(bytes.readableBytes, self.now)
            if role == .client { self.noteForeign(bytes.readableBytes) }
            try self.act(role, isTampered ? .garbage : .bytes, bytes: bytes.readableBytes) {
                $0.connection.receive(bytes, now: self.now)
            }
            try self.checkFlood(role)
            try self.relieve(Self.other(role))
            if role == .client, self.promise?.isDelivered == false, self.toClient.pendingBytes == 0 {
                self.promise?.isDelivered = true
                self.promise?.until = self.now + .seconds(2)
            }
        } else if let end = self[wireTo: role].takeEnd() {
            self.trace.note(self.now, "the \(role) learns of the \(end) end")
            switch end {
            case .orderly: try self.act(role, .end) { $0.connection.inputClosed(now: self.now) }
            case .reset: try self.reset(role)
            }
        }
    }

    func reset(_ role: Role) throws(Violation) {
        // The peer's close frame may lie unread, and count.
        let side = self[role]
        if side.connection.stageName == .open, !side.isPaused, side.connection.bufferedBytes == 0 { side.isLost = true }
        try self.act(role, .reset) { side in
            side.connection.transportFailed(WebSocketError(.connectFailed, "The connection failed."), now: self.now)
            side.drive(self.now, bytes: side.connection.bufferedBytes)
            side.transportEnded(self.now)
        }
    }

    private func send(from role: Role, _ count: Int, _ isText: Bool) throws(Violation) {
        guard !self[role].isCongested else { return }
        if count > self.scenario.messageLimit { self.isCalm = false }
        self.messages += 1
        var bytes = Payloads.make(count, number: self.messages)
        if isText, self.messages % 3 == 0 {
            let lookalikes = self.scenario.extensionKinds.compactMap { $0.lookalike(self.messages / 3) }
            if let lookalike = lookalikes.first { bytes = lookalike }
        }
        try self.act(role, .send, bytes: bytes.readableBytes) { $0.send(isText ? .text : .binary, bytes, self.now) }
    }

    func close(_ role: Role) throws(Violation) {
        self[role].hasCalledClose = true
        // Nobody takes messages any more, and nobody keeps the end waiting.
        self[role].isPaused = false
        try self.act(role, .close) { $0.connection.close(code: .normalClosure, reason: "", now: self.now) }
    }

    /// The application has caught up, unless it is paused.
    private func resume(_ role: Role) throws(Violation) {
        let side = self[role]
        side.beginStep(self.now)
        if !side.isPaused { side.readOn(self.now) }
        if !side.isPaused, side.connection.socket.heldClose != nil { side.connection.answerHeldClose(now: self.now) }
        try self.after(role, bytes: side.connection.bufferedBytes)
    }

    /// Bytes that lie on the wire for seconds, or before an application that takes none, are no calm, however short each
    /// pause is.
    private func noteWait(for role: Role, _ milliseconds: Int) {
        let waits = self[wireTo: role].pendingBytes > 0 || self[role].isPaused
        let waited = waits ? (self.waited[role] ?? 0) + milliseconds : 0
        self.waited[role] = waited
        if waited > 5_000 { self.isCalm = false }
    }

    // MARK: After each event

    /// The shell's work: drive, write, tell of congestion, end the transport; then the invariants.
    func after(_ role: Role, bytes: Int = 0) throws(Violation) {
        try self.drive(role, bytes: bytes)
        if role == .client { try self.answerRevalidations() }
    }

    private func drive(_ role: Role, bytes: Int) throws(Violation) {
        let side = self[role]
        let other = Self.other(role)
        side.drive(self.now, bytes: bytes)
        while role == .server, try self.consult() { side.drive(self.now, bytes: bytes) }
        try self.write(from: role)
        let pending = self[wireTo: other].pendingBytes
        let isCongested = side.neverDrains || pending > (side.isCongested ? 32 * 1024 : 64 * 1024)
        if isCongested != side.isCongested {
            // Room again means that bytes have left, were they lost in a reset.
            side.noteRoom(isCongested, self.now)
            side.connection.setCongested(isCongested, now: self.now)
            side.drive(self.now, bytes: bytes)
            try self.write(from: role)
        }
        if side.connection.takeAnsweredPing(), pending > 0 {
            side.isBacklogged = true
            side.connection.setBacklogged(true, now: self.now)
        }
        if side.isOver { self[wireTo: other].finish(side.connection.socket.hasStalled ? .reset : .orderly) }
        try self.check(role, bytes: bytes)
    }

    /// Bytes of this side have left: room for more.
    private func relieve(_ role: Role) throws(Violation) {
        let side = self[role]
        guard !side.isOver else { return }
        side.beginStep(self.now)
        let pending = self[wireTo: Self.other(role)].pendingBytes
        if side.isBacklogged, pending == 0 {
            side.isBacklogged = false
            side.connection.setBacklogged(false, now: self.now)
            try self.after(role)
        }
        if side.isCongested, pending <= 32 * 1024 { try self.after(role) }
    }

    private func noteProgress(of role: Role) throws(Violation) {
        let side = self[role]
        side.noteProgress(self.now)
        guard !side.isOver, side.isCongested else { return }
        side.beginStep(self.now)
        side.connection.writesProgressed(now: self.now)
        try self.checkDeadline(side)
    }

    private func write(from role: Role) throws(Violation) {
        let side = self[role]
        let bytes = side.takeOutput(self.now)
        guard bytes.readableBytes > 0 else { return }
        if role == .client, side.opened == nil { try self.checkBelonging(bytes) }
        self.trace.note(bytes)
        if role == .server, side.hasWrittenOnly(bytes.readableBytes) { self.writeProvisional() }
        self[wireTo: Self.other(role)].write(bytes)
    }

    /// An intermediary has something to say before the server's answer.
    private func writeProvisional() {
        guard let status = self.scenario.provisional, self.foreign == nil,
            self.client.connection.stageName == .opening, self.scenario.dialect == .rfc6455
        else { return }
        let bytes = ByteBuffer(string: "HTTP/1.1 \(status) Wait\r\nX-Note: a: b\r\n\r\n")
        guard self.toClient.write(bytes) else { return }
        self.server.noteForeign(bytes.readableBytes)
        self.foreign = (status, .opening, bytes.readableBytes)
    }

    private func noteForeign(_ count: Int) {
        guard let foreign else { return }
        guard foreign.bytes <= count else {
            self.foreign?.bytes -= count
            return
        }
        self.foreign = nil
        let stages: [StageName] = foreign.layer == .opening ? [.opening] : [.extended, .challengedInside]
        guard stages.contains(self.client.connection.stageName) else { return }
        self.coverage.visit(status: foreign.status, in: foreign.layer)
    }
}
