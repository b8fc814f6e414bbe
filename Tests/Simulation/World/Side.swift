// One end of a simulated connection: the sans-I/O core, driven as the channel handler drives it, and an application
// that takes note of everything.

import HTTPTypes
import KHPProtocol
import NIOCore

final class Side {
    let role: Role
    var connection: Connection
    /// Messages that `send` accepted, and messages that arrived, in order.
    private(set) var accepted: [Digest] = []
    private(set) var received: [Digest] = []
    /// How many of the received ones have been compared.
    var compared = 0
    /// How many bytes this side had written once each of the accepted ones was out.
    private(set) var outBehind: [Int] = []
    private var lengths: [Int] = []
    private var allWritten = 0
    private(set) var opened: HandshakeSummary?
    private(set) var established: ResponseHead?
    private(set) var failure: WebSocketError?
    private(set) var closed: CloseInfo?
    private(set) var hop: HopOutcome?
    /// Decisions that the application owes.
    var openingRequest: OpeningRequest?
    var extendedRequest: ExtendedRequest?
    var plainRequest: CheckedRequest?
    var challenge: (response: HandshakeResponse, layer: HandshakeLayer)?
    /// The application takes no messages now, or never again.
    var isPaused = false
    var isDeaf = false
    var isCongested = false
    /// Writes that never leave.
    var neverDrains = false
    var isBacklogged = false
    /// Set when its transport has failed while its socket was open, and nothing of the peer's was unread.
    var isLost = false
    /// Set when its transport has gone.
    private(set) var hasGone = false
    /// Set when this side's application has called `close`.
    var hasCalledClose = false
    /// Texts that observers have been told since they were looked at last.
    var observed: [String] = []
    /// The actions of the status table that it has been told of.
    var statusActions: [StatusAction] = []
    /// The statuses of answers that it has been told of.
    var statuses: [(status: Int, layer: HandshakeLayer)] = []
    private var partial = ByteBuffer()
    /// The pieces so far of a message that goes out in pieces.
    private(set) var streamed: ByteBuffer?
    private var lastPing: UInt64 = 0
    private var lastPong: UInt64 = 0
    var hasStarted = false
    // Work and time.
    private(set) var actions = 0
    private(set) var written = 0
    /// True where a deadline had passed before the step: its timer has yet to fire.
    private(set) var wasDue = false
    /// Bytes that the application may have had written in this step: those that it gave, with their frames.
    private var given = 0
    /// Bytes that this side has written by itself since its peer took any, while it knew that the peer takes none.
    private(set) var unasked = 0
    /// True where the step began on an open socket whose peer takes nothing.
    private var beganHeld = false
    private(set) var broken: Violation?
    /// The stage, and since when it has been that.
    private(set) var stage = StageName.connecting
    private(set) var stageSince = NIODeadline.uptimeNanoseconds(0)
    /// The state of the closing handshake, and since when.
    private(set) var closing = ClosingHandshake.State.open
    private(set) var closingSince = NIODeadline.uptimeNanoseconds(0)
    /// When the transport came up.
    let born: NIODeadline
    /// The last message, or piece of one, that went either way.
    private(set) var lastData = NIODeadline.uptimeNanoseconds(0)
    /// The message of the peer's that is unfinished, and since when the application has been waiting for its end.
    private(set) var unfinished: (number: UInt64, since: NIODeadline)?
    /// Since when the application takes no messages, as the steps tell it.
    private var pausedSince: NIODeadline?
    /// Server: how long the session of the accepted request may last.
    var sessionLifetime: TimeAmount?
    /// When that is over.
    var sessionEnd: NIODeadline?
    /// The extensions in force.
    private(set) var extensions: Set<ExtensionKind> = []
    /// Since when the extended handshake goes on.
    private(set) var extendedSince: NIODeadline?
    /// The last bytes that it wrote.
    private(set) var lastWritten = NIODeadline.uptimeNanoseconds(0)
    /// Bytes that this side has read.
    private(set) var read = 0
    /// The last sign that the peer takes bytes.
    var lastProgress = NIODeadline.uptimeNanoseconds(0)
    /// The last one while it did not keep up.
    private(set) var lastTaken = NIODeadline.uptimeNanoseconds(0)

    private let holdsClose: Bool
    /// Most actions that one step may lead to, beside those for its bytes.
    private static let mostActions = 2_000

    init(_ role: Role, _ connection: consuming Connection, holdsClose: Bool, now: NIODeadline) {
        self.role = role
        self.connection = connection
        self.holdsClose = holdsClose
        self.stageSince = now
        self.lastProgress = now
        self.born = now
    }

    func beginStep(_ now: NIODeadline) {
        self.wasDue = self.connection.deadline.map { $0 <= now } ?? false
        self.actions = 0
        self.written = 0
        // The pieces of a message that goes out whole may all do so now.
        self.given = self.streamed?.readableBytes ?? 0
        self.beganHeld =
            (self.isCongested || self.isBacklogged)
            && [.open, .closeHeld, .closing].contains(self.connection.stageName)
    }

    /// The peer has taken bytes.
    func noteProgress(_ now: NIODeadline) {
        self.lastProgress = now
        if self.isCongested { self.lastTaken = now }
        self.unasked = 0
    }

    /// The peer no longer keeps up, or does again.
    func noteRoom(_ isCongested: Bool, _ now: NIODeadline) {
        self.lastProgress = now
        if self.isCongested { self.lastTaken = now }
        self.isCongested = isCongested
    }

    /// The most that an application's bytes come to in frames, incompressible ones deflated among them.
    private func give(_ count: Int) { self.given += count + count / 8 + 256 }

    func noteStage(_ now: NIODeadline) {
        let closing = self.connection.closingState
        if closing != self.closing {
            self.closing = closing
            self.closingSince = now
        }
        let stage = self.connection.stageName
        // Messages are counted anew from there on.
        if stage == .open, self.stage != .open { self.unfinished = nil }
        self.noteUnfinished(now)
        guard stage != self.stage else { return }
        self.stage = stage
        if [.extended, .decidingInside, .challengedInside].contains(stage), self.extendedSince == nil {
            self.extendedSince = now
        }
        self.stageSince = now
    }

    /// While nothing is read, it is not the peer that keeps a message from ending. Behind the pause it has no more than all of
    /// its time; the connection takes off what had passed before.
    private func noteUnfinished(_ now: NIODeadline) {
        self.pausedSince = self.isPaused ? self.pausedSince ?? now : nil
        let number = self.connection.link.codec.unfinishedMessage
        if number != self.unfinished?.number || self.isPaused { self.unfinished = number.map { ($0, now) } }
        // The peer is not idle while its bytes come; whether they do is the connection's to see.
        if number != nil { self.lastData = now }
    }

    /// The application reads again, as the channel handler tells the connection.
    func readOn(_ now: NIODeadline) {
        self.connection.readingResumes(now: now, pausedSince: self.pausedSince ?? now)
        self.unfinished?.since = now
        self.lastData = now
    }

    func noteRead(_ count: Int, _ now: NIODeadline) {
        self.read += count
    }

    /// Takes the actions, as the channel handler does after each event.
    func drive(_ now: NIODeadline, bytes: Int) {
        while self.closed == nil {
            // Whoever closes reads on, so that the peer's close frame is met.
            let takesMessages = !self.isPaused || self.connection.closingState == .closing
            guard let action = self.connection.next(now: now, isPaused: self.isPaused) else { break }
            self.count(bytes)
            if !takesMessages, action.isMessage { self.violate(.paused, "it is handed a message in \(self.stage)") }
            if self.broken != nil { return }
            self.take(action, now)
        }
        guard self.closed != nil else { return }
        // The shell asks no more.
        if let action = self.connection.next(now: now, isPaused: self.isPaused) {
            self.violate(.once, "an action comes behind the end: \(action)")
        }
        // Messages that had arrived before the end stay for the application.
        while !self.isPaused, let action = self.connection.nextUnread(now: now) {
            self.count(bytes)
            if self.broken != nil { return }
            self.take(action, now)
        }
    }

    private func count(_ bytes: Int) {
        self.actions += 1
        // An observed message of two bytes makes two actions, a close a few more.
        if self.actions > Self.mostActions + 2 * bytes {
            self.violate(.boundedWork, "a step with \(bytes) bytes leads to \(self.actions) actions")
        }
    }

    private func violate(_ invariant: Violation.Invariant, _ sentence: String) {
        if self.broken == nil { self.broken = Violation(invariant, "the \(self.role): \(sentence)") }
    }

    private func take(_ action: ConnectionAction, _ now: NIODeadline) {
        switch action {
        case .message(let kind, let payload):
            self.lastData = now
            if self.opened == nil { self.violate(.once, "a message comes before the socket is open") }
            self.received.append(Digest(kind, payload))
        case .chunk(let chunk):
            self.lastData = now
            if chunk.isFirst { self.partial = ByteBuffer() }
            self.partial.writeImmutableBuffer(chunk.bytes)
            if chunk.isLast {
                self.received.append(Digest(chunk.kind, self.partial))
                self.partial = ByteBuffer()
            }
        case .peerClosing:
            // The application takes its time, or its handler has none.
            if !self.holdsClose { self.connection.answerHeldClose(now: now) }
        case .pong(let number, _, _):
            if number <= self.lastPong {
                self.violate(.once, "the pong of ping \(number) comes again")
            }
            self.lastPong = number
        case .server(.decideOpening(let request)):
            if self.openingRequest != nil { self.violate(.once, "two opening requests wait") }
            self.openingRequest = request
        case .server(.decideExtended(let request)):
            if self.extendedRequest != nil { self.violate(.once, "two extended requests wait") }
            self.extendedRequest = request
        case .server(.plainRequest(let request)):
            self.plainRequest = request
        case .server(.handOn):
            self.violate(.once, "a request is handed on that is the server's own")
        case .server(.proxyHeader):
            break
        case .failed(let error):
            self.fail(error)
        case .client(.established(let head)):
            if self.established != nil { self.violate(.once, "the opening completes twice") }
            self.established = head
            self.statuses.append((head.status, .opening))
        case .client(.challenge(let response, let layer)):
            if self.challenge != nil { self.violate(.once, "two challenges wait") }
            self.challenge = (response, layer)
            self.statuses.append((response.status, layer))
        case .opened(let negotiation):
            if self.opened != nil { self.violate(.once, "it opens twice") }
            if self.failure != nil, self.role == .client { self.violate(.once, "it opens after it failed") }
            self.opened = negotiation
            if self.role == .client {
                self.statuses.append((negotiation.status ?? 101, negotiation.status == nil ? .opening : .extended))
            }
            self.sessionEnd = self.sessionLifetime.map { now + $0 }
            self.extensions = Set(negotiation.extensions.compactMap { ExtensionKind(name: $0.name) })
            if self.isDeaf { self.isPaused = true }
            if self.holdsClose { self.connection.socket.holdsClose = true }
        case .client(.hopEnded(let outcome)):
            if self.hop != nil { self.violate(.once, "the hop ends twice") }
            self.hop = outcome
            self.statuses.append((outcome.response.status, outcome.layer))
        case .closed(let info):
            self.closed = info
        case .event(let event):
            self.observe(event)
        }
    }

    private func observe(_ event: ConnectionEvent) {
        switch event {
        // Of an open socket: payloads are the application's own.
        case .frameReceived where self.opened != nil, .frameSent where self.opened != nil: break
        case .frameReceived(let frame), .frameSent(let frame): self.observed.append(String(buffer: frame.payload))
        default: self.observed.append("\(event)")
        }
        guard self.role == .client else { return }
        switch event {
        case .openingResponse(_, let status): self.statuses.append((status, .opening))
        case .extendedResponse(_, let status, let action, _):
            self.statuses.append((status, .extended))
            self.statusActions.append(action)
        default: break
        }
    }

    private func fail(_ error: WebSocketError) {
        if self.role == .client, self.failure != nil { self.violate(.once, "it fails twice: \(error)") }
        if self.role == .client, self.opened != nil { self.violate(.once, "it fails after it opened: \(error)") }
        self.failure = error
        if self.role == .client, let response = error.response {
            self.statuses.append((response.status, error.phase == .opening ? .opening : .extended))
        }
        self.observed.append("\(error)")
    }

    // MARK: The application

    /// - Returns: false where the message was refused: no part of it may arrive.
    @discardableResult
    func send(_ kind: MessageKind, _ payload: ByteBuffer, _ now: NIODeadline) -> Bool {
        self.give(payload.readableBytes)
        do throws(WebSocketError) {
            if kind == .text {
                try self.connection.send(.text(String(buffer: payload)), now: now)
            } else {
                try self.connection.send(.binary, payload, now: now)
            }
            self.note(kind, payload)
            self.lastData = now
            return true
        } catch {
            if error.code == .closed, self.connection.stageName == .open {
                self.violate(.errorTold, "an open socket refuses a message as closed")
            }
            return false
        }
    }

    private func note(_ kind: MessageKind, _ payload: ByteBuffer) {
        self.accepted.append(Digest(kind, payload))
        self.lengths.append(payload.readableBytes)
    }

    /// A piece of a message: the first where none is under way.
    func sendPiece(_ piece: ByteBuffer, isLast: Bool, _ now: NIODeadline) {
        self.give(piece.readableBytes)
        let before = self.streamed ?? ByteBuffer()
        let chunk = MessageChunk(kind: .binary, bytes: piece, isFirst: self.streamed == nil, isLast: isLast)
        do throws(WebSocketError) {
            try self.connection.send(chunk, now: now)
            self.lastData = now
            var whole = before
            whole.writeImmutableBuffer(piece)
            self.streamed = isLast ? nil : whole
            if isLast { self.note(.binary, whole) }
        } catch {
            self.streamed = nil
        }
    }

    func takeBackStream(_ now: NIODeadline) {
        guard self.streamed != nil, self.connection.takeBackStream(now: now) else { return }
        self.streamed = nil
    }

    /// - Returns: false where no extension can ask.
    func revalidate(_ path: String, _ now: NIODeadline) -> Bool {
        self.give(path.utf8.count)
        return (try? self.connection.askToRevalidate(path, now: now)) ?? false
    }

    func ping(_ now: NIODeadline) {
        self.give(0)
        guard let number = try? self.connection.ping(now: now) else { return }
        if number <= self.lastPing { self.violate(.once, "two pings have the number \(number)") }
        self.lastPing = number
    }

    /// The application's latest ping, where neither its pong nor that of a later one has come.
    var unansweredPing: UInt64? { self.lastPong < self.lastPing ? self.lastPing : nil }

    /// All that an answer of the application's changes.
    var standing: Standing {
        Standing(
            stage: self.connection.stageName,
            written: self.allWritten,
            extended: self.connection.extendedClientState,
            isOver: self.isOver,
            deadline: self.connection.deadline
        )
    }

    struct Standing: Equatable {
        let stage: StageName
        let written: Int
        let extended: ExtendedClient.State?
        let isOver: Bool
        let deadline: NIODeadline?
    }

    // MARK: The transport

    /// The bytes that the shell writes.
    func takeOutput(_ now: NIODeadline) -> ByteBuffer {
        var bytes = self.connection.output.next() ?? ByteBuffer()
        while let buffer = self.connection.output.next() { bytes.writeImmutableBuffer(buffer) }
        if self.beganHeld { self.unasked += max(bytes.readableBytes - self.given, 0) }
        self.given = max(self.given - bytes.readableBytes, 0)
        if bytes.readableBytes > 0 { self.lastWritten = now }
        self.written += bytes.readableBytes
        self.allWritten += bytes.readableBytes
        while self.outBehind.count < self.accepted.count { self.outBehind.append(self.allWritten) }
        return bytes
    }

    /// True where it has written so many bytes and no more.
    func hasWrittenOnly(_ count: Int) -> Bool { self.allWritten == count }

    /// Bytes of somebody else's go before its own.
    func noteForeign(_ count: Int) { self.allWritten += count }

    /// How many of the accepted messages lie whole in the first bytes that this side has written, up to one that is longer
    /// than the peer takes.
    func messages(inFirst bytes: Int, upTo limit: Int) -> Int {
        zip(self.outBehind, self.lengths).prefix { $0 <= bytes && $1 <= limit }.count
    }

    /// How many messages were accepted, up to one that is longer than the peer takes.
    func messages(upTo limit: Int) -> Int { self.lengths.prefix { $0 <= limit }.count }

    /// The transport is gone: acts as the handler does then.
    func transportEnded(_ now: NIODeadline) {
        guard self.closed == nil else { return }
        self.hasGone = true
        self.connection.transportEnded(now: now)
        self.drive(now, bytes: self.connection.bufferedBytes)
        if self.closed == nil { self.closed = self.connection.abandoned(now: now) }
        self.drive(now, bytes: 0)
    }

    /// True while the peer may still say something that counts.
    var isOver: Bool { self.closed != nil }
}

extension ConnectionAction {
    fileprivate var isMessage: Bool {
        switch self {
        case .message, .chunk: true
        default: false
        }
    }
}
