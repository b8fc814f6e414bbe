// Composes opening → extended → open → closing for one transport connection, in either role. Sans-I/O: bytes, events
// and the time in; actions, bytes and "wake me at" out.
//
//   idle ── start ──▶ opening ── 101 ──▶ extended ── completes ──▶ open ── close ──▶ ended
//                        │  └─ plain WebSocket ──────────────────▲                    ▲
//                        └──────── refusal, redirect, failure ── leaving ─────────────┘
//
// Where the peer leaves while the application takes nothing, `unread` stands for `ended` until all is taken.
//
// Three kinds of invalid: a call that makes no sense in a phase is our own bug and does nothing; a violation of the
// peer ends in `leaving` with an error and a close code; what the specifications say to ignore is ignored where it is
// read (a second close frame, data after a close).

package import NIOCore

package struct Connection {
    enum Phase: Equatable {
        /// The transport is not up, or the client has not started.
        case idle
        case opening
        /// Server: the shell decides about the opening request.
        case deciding
        /// Server: the opening is accepted, and the eight bytes behind the request are awaited (W10-7).
        case awaitingKey
        case extended
        case open
        /// The handshake has failed or was answered otherwise; the closing handshake runs, or the stream is drained.
        case leaving
        /// It has ended, as far as anybody else is concerned; the application still takes what had arrived.
        case unread
        case ended

        /// True while messages are handed out.
        var takesMessages: Bool { self == .open || self == .unread }
        /// True once the connection has told its end.
        var isOver: Bool { self == .unread || self == .ended }
    }

    package let role: Role
    package private(set) var configuration: ConnectionConfiguration
    package var output = OutboundQueue()

    var phase = Phase.idle
    var inbound = ByteBuffer()
    var actions = ActionQueue()
    var isInputClosed = false

    // Handshakes; freed when the socket opens.
    var client: ClientHandshakes?
    var server: ServerHandshakes?
    var openingDeadline: NIODeadline?
    var totalDeadline: NIODeadline?
    /// The part of the Kaazing legacy exchange that is spoken (D7).
    var legacy = KaazingLegacy.off

    /// Frames, from the 101 on.
    package internal(set) var link: FrameLink
    /// The negotiated extensions; `nil` on a connection without any, which then pays nothing for them.
    var extensions: ExtensionStack?

    // Open.
    var keepAlive: KeepAlive?
    var idleSince: NIODeadline?
    /// Server: when whoever authenticated has to do so again.
    var sessionEnd: NIODeadline?
    var congestedSince: NIODeadline?
    /// True while the network has not taken all that was written before.
    var isBacklogged = false
    /// The answer to the peer's latest ping, which waits until all that was said before has left.
    var pendingPong: ByteBuffer?
    /// True when a ping was answered since the shell looked last (``takeAnsweredPing()``).
    var hasAnsweredPing = false
    var streaming: StreamingState?
    /// Bytes of payload that the application has sent since the socket opened; it may wrap.
    package internal(set) var sentPayload = 0
    /// `true` when the answer to the peer's close frame waits, within bounds, until the application has taken the
    /// messages before it: its answers to them can then still be sent (RFC 6455 section 5.5.1 allows the delay).
    package var holdsClose = false
    package internal(set) var heldClose: (payload: ClosePayload, until: NIODeadline)?
    /// The contents of the bytes that nobody had taken when the peer's stream ended.
    var ahead: Ahead?
    var isTransportGone = false
    /// True when the end came because the peer took no bytes: what is still to be written will not be taken either.
    package internal(set) var hasStalled = false
    var wasOpen = false
    var failure: WebSocketError?
    package internal(set) var shouldLinger = false

    struct StreamingState {
        var kind: MessageKind
        var hasBegun: Bool
        var options: SendOptions
        /// A message that is collected to go out whole: the peer knows no fragments (D7), or an extension works on
        /// whole messages.
        var collected = ByteBuffer()
    }

    init(role: Role, configuration: ConnectionConfiguration, masks: any MaskSource, now: NIODeadline) {
        self.role = role
        self.configuration = configuration
        self.link = FrameLink(role: role, configuration: configuration, masks: masks, now: now)
    }

    /// Bytes that were received and not yet taken in, and bytes that wait to be written.
    package var bufferedBytes: Int { self.inbound.readableBytes + self.output.pendingBytes }

    /// Takes an endpoint's configuration in place of the listener's.
    mutating func adopt(_ configuration: ConnectionConfiguration) {
        self.configuration = configuration
    }

    /// A connection that goes on from here without a trace in this one, for tests that play many ends of one beginning.
    package func copy() -> Connection {
        var copy = self
        copy.client = self.client?.copy()
        copy.server = self.server?.copy()
        copy.link = self.link.copy()
        copy.extensions = self.extensions?.copy()
        return copy
    }

    package var isObserved: Bool { self.configuration.isObserved }

    /// `true` once this side has sent its close frame. Mutating in form only, as ``deadline`` is.
    package var isClosing: Bool {
        mutating get { !self.link.closing.canSend }
    }

    // MARK: Input

    /// TCP is up; TLS may still be negotiating. For a server the bound on the opening handshake begins; for a client
    /// that on TLS.
    package mutating func transportUp(now: NIODeadline) {
        guard self.phase == .idle, self.openingDeadline == nil else { return }
        self.openingDeadline =
            now + (self.role == .server ? self.configuration.waits.opening : self.configuration.waits.connect)
    }

    /// The transport is ready for bytes.
    package mutating func start(now: NIODeadline) {
        guard self.phase == .idle else { return }
        self.phase = .opening
        if self.role == .client {
            self.openingDeadline = now + self.configuration.waits.opening
            self.startClientOpening()
        }
    }

    /// Bytes arrived.
    package mutating func receive(_ bytes: ByteBuffer, now: NIODeadline) {
        if self.inbound.readableBytes == 0 {
            self.inbound = bytes
        } else {
            self.join(bytes)
        }
        self.keepAlive?.bytesReceived(now)
    }

    /// The peer has ended its stream in good order.
    package mutating func inputClosed(now: NIODeadline) {
        self.isInputClosed = true
    }

    /// The transport has failed; `next` tells of the end, behind what had arrived before.
    package mutating func transportFailed(_ error: WebSocketError, now: NIODeadline) {
        guard !self.phase.isOver else { return }
        // How the stream ends after both close frames is no news: many peers simply drop it.
        if self.failure == nil, !self.link.closing.isClean, self.heldClose == nil, !self.link.endsAnyhow {
            self.failure = self.placed(error)
        }
        self.isInputClosed = true
        self.isTransportGone = true
        if self.phase != .open { self.streamEnded(now: now) }
    }

    /// The transport is gone.
    package mutating func transportEnded(now: NIODeadline) {
        self.isInputClosed = true
        self.isTransportGone = true
    }

    /// The report when the transport is gone and nothing else was reported.
    package mutating func abandoned(now: NIODeadline) -> CloseInfo {
        self.phase = .ended
        self.forgetReceived()
        return self.closeInfo(clean: false)
    }

    // MARK: Actions

    /// The next thing to do, or `nil` when the connection waits for bytes, time or an answer.
    /// - Parameter isPaused: whether the application takes no messages now; everything else goes on.
    package mutating func next(now: NIODeadline, isPaused: Bool = false) -> ConnectionAction? {
        // The path of every message comes first; the rest is kept out of its way.
        if self.phase == .open, self.actions.isEmpty {
            if isPaused, self.link.closing.canSend {
                if !self.isInputClosed { return nil }
            } else if self.inbound.readableBytes > 0 {
                if let action = self.nextWhileOpen(now: now) { return action }
            } else if !self.isInputClosed, self.extensions == nil {
                self.releaseInbound()
                return nil
            }
        }
        return self.nextAnyhow(now: now, isPaused: isPaused)
    }

    /// Lets go of memory whose bytes have been taken: an idle connection keeps none, and the channel reads into it
    /// again.
    @inline(__always)
    private mutating func releaseInbound() {
        if self.inbound.readableBytes == 0, self.inbound.capacity > 0 { self.inbound = ByteBuffer() }
    }

    @inline(never)
    private mutating func nextAnyhow(now: NIODeadline, isPaused: Bool) -> ConnectionAction? {
        while true {
            if let action = self.actions.popFirst() { return action }
            if isPaused, self.phase == .open, self.link.closing.canSend {
                if self.isInputClosed { self.streamEndedUnread(now: now) }
                if self.actions.isEmpty { return nil }
                continue
            }
            self.releaseInbound()
            let before = self.inbound.readableBytes
            let phase = self.phase
            switch phase {
            case .open:
                if let action = self.nextWhileOpen(now: now) { return action }
            case .opening:
                if self.role == .client {
                    self.advanceClientOpening(now: now)
                } else {
                    self.advanceServerOpening(now: now)
                }
            case .extended:
                self.advanceExtended(now: now)
            case .deciding:
                self.boundEarlyData(now: now)
            case .awaitingKey:
                self.advanceAwaitingKey(now: now)
            case .leaving:
                self.advanceLeaving(now: now)
            case .idle, .ended:
                self.inbound.moveReaderIndex(to: self.inbound.writerIndex)
            case .unread:
                return nil
            }
            // Progress is bytes consumed, a phase left or an action made; without any of them there is no more to do.
            if self.phase == phase && self.actions.isEmpty && self.inbound.readableBytes == before {
                guard self.isInputClosed, self.phase != .ended, self.phase != .deciding else { return nil }
                if self.heldClose != nil, !self.isTransportGone { return nil }
                self.streamEnded(now: now)
                if self.actions.isEmpty { return nil }
            }
        }
    }

    // MARK: Leaving

    /// Fails the connection for something that went wrong before it was open: tells at once, then closes.
    mutating func fail(_ error: WebSocketError, close code: WebSocketCloseCode?, reason: String = "", now: NIODeadline)
    {
        guard !self.phase.isOver else { return }
        let error = self.located(error)
        if self.failure == nil { self.failure = error }
        let wasLeaving = self.phase == .leaving
        self.phase = .leaving
        if !wasLeaving { self.actions.append(.failed(error)) }
        self.leave(code, reason: reason, now: now)
    }

    /// Begins the closing handshake where frames are spoken; ends the stream where they are not.
    mutating func leave(_ code: WebSocketCloseCode?, reason: String = "", now: NIODeadline) {
        self.phase = .leaving
        if let code, self.link.isUp, !self.isInputClosed {
            self.perform(self.link.closing.close(ClosePayload(code: code, reason: reason), now: now), now: now)
        } else {
            self.shouldLinger = self.role == .server && !self.link.isUp
            self.end(clean: false)
        }
    }

    mutating func timedOut(_ message: String, now: NIODeadline) {
        let phase: WebSocketError.Phase =
            switch self.phase {
            case .idle: .tls
            case .extended: .extended
            default: .opening
            }
        self.fail(WebSocketError(.timeout, message, phase: phase), close: .policyViolation, now: now)
    }

    /// After a failure only the closing handshake counts; everything else is drained.
    mutating func advanceLeaving(now: NIODeadline) {
        guard self.link.isUp, !self.link.codec.isFinished else {
            self.inbound.moveReaderIndex(to: self.inbound.writerIndex)
            return
        }
        do throws(FrameViolation) {
            while let event = try self.link.codec.next(&self.inbound) {
                if case .close(let code, let reason) = event {
                    self.peerClosed(code, reason, now: now)
                }
            }
        } catch {
            self.perform(self.link.closing.fail(error, now: now), now: now)
        }
    }

    /// The peer's close frame, in any phase.
    mutating func peerClosed(_ code: WebSocketCloseCode?, _ reason: String, now: NIODeadline) {
        if self.isObserved { self.observeClose(code, reason) }
        self.perform(self.link.closing.received(ClosePayload(code: code, reason: reason), now: now), now: now)
    }

    private var maySimplyEnd: Bool {
        let isInside = self.ahead?.endsInside ?? (self.link.codec.unfinishedMessage != nil)
        return self.link.maySimplyEnd(insideMessage: isInside)
    }

    /// The end of the peer's stream, once everything before it has been taken.
    mutating func streamEnded(now: NIODeadline) {
        switch self.phase {
        case .opening where self.role == .client:
            self.clientOpeningStreamEnded(now: now)
        case .extended:
            self.extendedStreamEnded(now: now)
        case .open:
            self.answerHeldClose(now: now)
            if self.phase.isOver { return }
            if self.failure == nil, !self.link.closing.isClean, !self.maySimplyEnd {
                self.failure = WebSocketError(
                    .closed,
                    "The peer ended the connection without a closing handshake.",
                    closeCode: .abnormal,
                    phase: self.link.closing.canSend ? .open : .closing
                )
            }
            self.perform(self.link.closing.inputClosed(), now: now)
            self.end(clean: self.link.closing.isClean)
        case .leaving:
            self.perform(self.link.closing.inputClosed(), now: now)
            self.end(clean: self.link.closing.isClean)
        case .idle, .opening, .deciding, .awaitingKey:
            if self.role == .client, let failure { self.actions.append(.failed(failure)) }
            self.end(clean: false)
        case .unread, .ended:
            break
        }
    }

    mutating func perform(_ action: ClosingHandshake.Action, now: NIODeadline) {
        switch action {
        case .none:
            break
        case .send(let payload):
            self.idleSince = nil
            guard case .none(let isClean) = self.writeClose(payload, isLast: false) else { return }
            // H69-8: the peer's last bytes must not destroy ours.
            if self.link.codec.abilities.contains(.nothingElseEnds) { self.shouldLinger = true }
            self.end(clean: isClean)
        case .sendThenDisconnect(let payload):
            _ = self.writeClose(payload, isLast: true)
            self.end(clean: self.link.closing.isClean)
        case .disconnect:
            self.end(clean: self.link.closing.isClean)
        }
    }

    mutating func end(clean: Bool) {
        guard !self.phase.isOver else { return }
        self.phase = self.phase == .open && self.ahead != nil && !self.link.codec.isFinished ? .unread : .ended
        self.openingDeadline = nil
        self.totalDeadline = nil
        self.keepAlive = nil
        self.client = nil
        self.server = nil
        if self.phase == .ended { self.forgetReceived() }
        let info = self.closeInfo(clean: clean)
        if self.isObserved, self.wasOpen { self.actions.append(.event(.closed(info))) }
        self.actions.append(.closed(info))
    }

    func closeInfo(clean: Bool) -> CloseInfo {
        self.link.closeInfo(clean: clean, failure: self.failure, wasOpen: self.wasOpen)
    }

    // MARK: Writing frames

    mutating func writeClose(_ payload: ClosePayload, isLast: Bool) -> FrameCodec.CloseFrame {
        let mask = self.link.nextMask()
        let result = self.link.codec.writeClose(payload, isLast: isLast, mask: mask, into: &self.output)
        if self.isObserved, result == .written {
            var bytes = ByteBuffer()
            if self.link.codec.abilities.contains(.closeCodes) { payload.write(into: &bytes) }
            self.actions.append(.event(.frameSent(FrameInfo(kind: .close, payload: bytes))))
        }
        return result
    }

    /// One whole message of the extended handshake; never shown to observers as a frame.
    mutating func writeHandshakeMessage(_ payload: ByteBuffer) {
        let mask = self.link.nextMask()
        self.link.codec.writeHandshake(payload, mask: mask, into: &self.output)
    }
}
