// Drives one connection through its stages, in either role: opening → extended → open → closing. Sans-I/O: bytes, events
// and the time in; actions, bytes and "wake me at" out.
//
//   handshake ── both handshakes complete ──▶ open ── both close frames, or the end of the stream ──▶ ended
//       │  └─ a response that opens nothing, given up before frames ──────────────────────────────────▲ ▲
//       └──── refusal, redirect, violation, deadline ──▶ leaving ── closing handshake, or the end ──────┘ │
//   open ── the stream ends while the application takes nothing ──▶ unread ── all is taken ───────────────┘
//
// Stages × events (the states of `handshake` have tables of their own in ``ClientHandshake`` and ``ServerHandshake``):
//              bytes                  end of the stream          deadline               close()        send, ping
//   handshake  of its state           ended; client: failed,     failed timeout,        opening: ended refused
//                                     or the response so far     leaving                inside: failed
//   open       messages, pongs,       ended; paused: unread      ping, or closed by     close frame    frames
//              the closing handshake                             the bound that passed
//   leaving    dropped up to the      ended                      ended                  left alone     refused
//              peer's close frame
//   unread     left alone             left alone                 none is set            left alone     refused
//   ended      dropped                left alone                 none is set            left alone     refused
//
// An answer of the shell counts in the state of the handshake that asked for it. It may come late, when the connection
// has ended by itself meanwhile: then it is left alone.
//
// A violation of the peer ends in `leaving` with an error and a close code; what the specifications say to ignore is
// ignored where it is read (a second close frame, data after a close).

package import NIOCore

package struct Connection {
    package let role: Role
    /// True when the transport reads on after the last write, so that a reset does not destroy our bytes. Stands here
    /// to use padding.
    package internal(set) var shouldLinger = false
    package private(set) var configuration: ConnectionConfiguration
    private(set) var stage: Stage
    /// Frames, from the 101 on.
    package internal(set) var link: FrameLink
    package var socket = OpenSocket()
    package var output = OutboundQueue()
    /// The bytes that were received and not taken in yet.
    var inbound = ByteBuffer()
    var actions = ActionQueue()
    private var stream = PeerStream.open

    /// The part of the Kaazing legacy exchange that is spoken (D7).
    var legacy = KaazingLegacy.off
    /// Client: the URL that errors name.
    let connectedURL: ConnectedURL?
    var failure: WebSocketError?

    /// The peer's half of the transport.
    private enum PeerStream {
        case open
        /// The peer sends no more; bytes that this side writes may still arrive.
        case ended
        /// Nothing goes either way.
        case gone
    }

    /// A client's connection, before the transport is up.
    init(
        client: ClientHandshake,
        configuration: ConnectionConfiguration,
        masks: any MaskSource,
        now: NIODeadline
    ) {
        self.role = .client
        self.configuration = configuration
        self.link = FrameLink(role: .client, configuration: configuration, masks: masks, now: now)
        self.connectedURL = ConnectedURL(client.plan.url)
        self.stage = .handshake(.client(client))
    }

    /// A server's connection, before the transport is up.
    init(
        server: ServerHandshake,
        configuration: ConnectionConfiguration,
        masks: any MaskSource,
        now: NIODeadline
    ) {
        self.role = .server
        self.configuration = configuration
        self.link = FrameLink(role: .server, configuration: configuration, masks: masks, now: now)
        self.connectedURL = nil
        self.stage = .handshake(.server(server))
    }

    /// Server, in its handshakes: `true` where the client has come by TLS.
    package var isSecure: Bool { self.stage.server?.isSecure ?? false }

    /// Bytes that were received and not yet taken in, and bytes that wait to be written.
    package var bufferedBytes: Int { self.inbound.readableBytes + self.output.pendingBytes }

    /// Takes an endpoint's configuration in place of the listener's.
    mutating func adopt(_ configuration: ConnectionConfiguration) {
        self.configuration = configuration
    }

    /// A copy that shares no state with this one, for tests that play many ends of one beginning.
    package func copy() -> Connection {
        var copy = self
        if case .handshake(let handshake) = self.stage { copy.stage = .handshake(handshake.copy()) }
        copy.link = self.link.copy()
        copy.socket = self.socket.copy()
        return copy
    }

    package var isObserved: Bool { self.configuration.isObserved }
    package var observesFrames: Bool { self.configuration.observesFrames }

    /// `true` once this side has sent its close frame. Mutating in form only, as ``deadline`` is.
    package var isClosing: Bool {
        mutating get { !self.link.closing.canSend }
    }

    /// `true` once this side has closed with 1008: the application gets no message of the peer's from then on.
    package var isWithdrawn: Bool {
        mutating get { self.link.closing.isWithdrawal }
    }

    // MARK: Input

    /// TCP is up; TLS may still be negotiating. For a server the bound on the opening handshake begins; for a client
    /// that on TLS.
    package mutating func transportUp(now: NIODeadline) {
        let waits = self.configuration.waits
        switch self.stage {
        case .handshake(.client(let client)): client.transportUp(until: now + waits.connect)
        case .handshake(.server(let server)): server.transportUp(until: now + waits.opening)
        case .open, .leaving, .unread, .ended: break
        }
    }

    /// The transport is ready for bytes.
    package mutating func start(now: NIODeadline) {
        switch self.stage {
        case .handshake(.client(let client)):
            let opening = client.start(until: now + self.configuration.waits.opening)
            if let opening { self.sendOpening(opening) }
        case .handshake(.server(let server)):
            server.start(limits: self.configuration.limits)
        case .open, .leaving, .unread, .ended:
            break
        }
    }

    /// Bytes arrived.
    package mutating func receive(_ bytes: ByteBuffer, now: NIODeadline) {
        if self.inbound.readableBytes == 0 {
            self.inbound = bytes
        } else {
            self.join(bytes)
        }
        self.socket.keepAlive?.bytesReceived(now)
    }

    /// The peer has ended its stream in good order.
    package mutating func inputClosed(now: NIODeadline) {
        if case .open = self.stream { self.stream = .ended }
    }

    /// The transport has failed; `next` tells of the end, after what had arrived before.
    package mutating func transportFailed(_ error: WebSocketError, now: NIODeadline) {
        guard !self.stage.isOver else { return }
        // A failure after both close frames is none of the connection: many peers simply drop the stream.
        if self.failure == nil, !self.link.closing.isClean, self.socket.heldClose == nil,
            !self.link.mayPeerDropStream
        {
            self.failure = self.placed(error)
        }
        self.stream = .gone
        if !self.stage.isOpen { self.streamEnded(now: now) }
    }

    /// The transport is gone.
    package mutating func transportEnded(now: NIODeadline) { self.stream = .gone }

    /// True once nothing more comes from the peer.
    var isInputClosed: Bool {
        if case .open = self.stream { false } else { true }
    }

    /// True once nothing that we write can arrive.
    var isTransportGone: Bool {
        if case .gone = self.stream { true } else { false }
    }

    /// The report when the transport is gone and nothing else was reported.
    package mutating func abandoned(now: NIODeadline) -> CloseInfo {
        self.becomeEnded()
        self.socket.heldClose = nil
        return self.closeInfo(clean: false)
    }

    // MARK: Actions

    /// The next thing to do, or `nil` when the connection waits for bytes, time or an answer.
    /// - Parameters:
    ///   - isPaused: `true` while the application takes no messages; everything else goes on.
    ///   - isPlainTaken: true after ``nextPlain(_:_:_:now:)`` that has found no more.
    package mutating func next(
        now: NIODeadline,
        isPaused: Bool = false,
        isPlainTaken: Bool = false
    ) -> ConnectionAction? {
        // The path of every message comes first; the rest is kept out of its way.
        if self.stage.isOpen, self.actions.isEmpty {
            if isPaused, self.link.closing.canSend {
                if !self.isInputClosed { return nil }
            } else if self.inbound.readableBytes > 0 {
                if let action = self.nextWhileOpen(now: now, isPlainTaken: isPlainTaken) { return action }
                // The part of a message has been taken, and nothing else is to be done.
                if self.inbound.readableBytes == 0, self.link.isPlain, self.actions.isEmpty,
                    !self.isInputClosed
                {
                    self.releaseInbound()
                    return nil
                }
            } else if !self.isInputClosed, self.socket.extensions == nil {
                self.releaseInbound()
                return nil
            }
        }
        return self.nextOfAnyStage(now: now, isPaused: isPaused)
    }

    /// Lets go of memory whose bytes have been taken: an idle connection keeps none, and the channel reads into it
    /// again.
    @inline(__always)
    private mutating func releaseInbound() {
        if self.inbound.readableBytes == 0, self.inbound.capacity > 0 { self.inbound = ByteBuffer() }
    }

    @inline(never)
    private mutating func nextOfAnyStage(now: NIODeadline, isPaused: Bool) -> ConnectionAction? {
        while true {
            if let action = self.actions.popFirst() { return action }
            if isPaused, self.stage.isOpen, self.link.closing.canSend {
                if self.isInputClosed { self.streamEndedUnread(now: now) }
                if self.actions.isEmpty { return nil }
                continue
            }
            self.releaseInbound()
            let before = self.inbound.readableBytes
            let hasMoved: Bool
            switch self.stage {
            case .handshake(let handshake):
                hasMoved = self.advance(handshake, now: now)
            case .open:
                if let action = self.nextWhileOpen(now: now) { return action }
                hasMoved = !self.stage.isOpen
            case .leaving:
                self.advanceLeaving(now: now)
                hasMoved = !self.stage.isLeaving
            case .ended:
                self.dropInbound()
                hasMoved = false
            case .unread:
                return nil
            }
            // Progress is bytes consumed, a state left or an action made; without any of them there is no more to do.
            if !hasMoved, self.actions.isEmpty, self.inbound.readableBytes == before {
                guard self.isInputClosed, !self.waitsWithoutInput else { return nil }
                if self.socket.heldClose != nil, !self.isTransportGone { return nil }
                self.streamEnded(now: now)
                if self.actions.isEmpty { return nil }
            }
        }
    }

    /// True where the end of the peer's stream changes nothing: the shell decides, or all is told.
    private var waitsWithoutInput: Bool {
        switch self.stage {
        case .handshake(.server(let server)): server.isDeciding
        case .ended: true
        case .handshake(.client), .open, .leaving, .unread: false
        }
    }

    /// - Returns: `true` when the handshake has come to another state, or to its end.
    private mutating func advance(_ handshake: Handshake, now: NIODeadline) -> Bool {
        let before = handshake.transitions
        switch handshake {
        case .client(let client): self.advance(client, now: now)
        case .server(let server): self.advance(server, now: now)
        }
        guard case .handshake = self.stage else { return true }
        return handshake.transitions != before
    }

    private mutating func advance(_ client: ClientHandshake, now: NIODeadline) {
        switch client.state {
        case .connecting:
            assert(self.inbound.readableBytes == 0, "bytes came before the transport was ready")
            self.dropInbound()
        case .opening(let opening): self.advance(opening, of: client, now: now)
        case .challenged(let challenged):
            // No request is out: these bytes belong to no response.
            if self.inbound.readableBytes > 0 { challenged.hasUnexpectedBytes = true }
            self.dropInbound()
        case .extended: self.advanceExtended(now: now)
        }
    }

    private mutating func advance(_ server: ServerHandshake, now: NIODeadline) {
        switch server.state {
        case .connecting:
            assert(self.inbound.readableBytes == 0, "bytes came before the transport was ready")
            self.dropInbound()
        case .reading(let reading): self.advance(reading, of: server, now: now)
        case .deciding: self.boundEarlyData(now: now)
        case .awaitingKey(let awaited): self.advance(awaited, of: server, now: now)
        case .extended: self.advanceExtended(now: now)
        }
    }

    /// Takes the bytes after the request: another handler reads on.
    mutating func takeInbound() -> ByteBuffer {
        defer { self.inbound = ByteBuffer() }
        return self.inbound
    }

    private mutating func dropInbound() { self.inbound.moveReaderIndex(to: self.inbound.writerIndex) }

    // MARK: Stages

    /// Both handshakes are complete, and their state goes.
    mutating func becomeOpen() { self.move(to: .open) }

    /// Nothing opens any more.
    mutating func becomeLeaving() { self.move(to: .leaving) }

    /// The end is told. Where messages are left that nobody has taken, these can still be taken.
    private mutating func becomeOver() {
        let isUnread = self.stage.isOpen && self.socket.ahead != nil && !self.link.codec.isFinished
        self.move(to: isUnread ? .unread : .ended)
        // Nobody is answered any more, however it ended.
        self.socket.heldClose = nil
        if !isUnread { self.forgetReceived() }
    }

    /// The application has taken all messages, or takes no more.
    mutating func becomeEnded() {
        self.move(to: .ended)
        self.forgetReceived()
    }

    /// Clears `isPlain` at each change of stage; only `open` sets it again.
    private mutating func move(to stage: Stage) {
        self.stage = stage
        self.link.isPlain = false
    }

    // MARK: Leaving

    /// Fails the connection before the socket is open: reports the error at once, then closes.
    mutating func fail(_ error: WebSocketError, close code: WebSocketCloseCode?, reason: String = "", now: NIODeadline)
    {
        guard !self.stage.isOver else { return }
        let error = self.located(error)
        if self.failure == nil { self.failure = error }
        let wasLeaving = self.stage.isLeaving
        self.becomeLeaving()
        if !wasLeaving { self.actions.append(.failed(error)) }
        self.leave(code, reason: reason, now: now)
    }

    /// Begins the closing handshake where frames are spoken; ends the stream where they are not.
    mutating func leave(_ code: WebSocketCloseCode?, reason: String = "", now: NIODeadline) {
        self.becomeLeaving()
        if let code, self.link.isUp, !self.isInputClosed {
            self.perform(self.link.closing.close(ClosePayload(code: code, reason: reason), now: now), now: now)
        } else {
            self.shouldLinger = self.role == .server && !self.link.isUp
            self.end(clean: false)
        }
    }

    mutating func timedOut(_ message: String, now: NIODeadline) {
        self.fail(WebSocketError(.timeout, message, phase: self.errorPhase), close: .policyViolation, now: now)
    }

    /// After a failure only the closing handshake counts; everything else is drained.
    mutating func advanceLeaving(now: NIODeadline) {
        guard self.link.isUp, !self.link.codec.isFinished else { return self.dropInbound() }
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

    /// The peer's close frame, in any stage.
    mutating func peerClosed(_ code: WebSocketCloseCode?, _ reason: String, now: NIODeadline) {
        if self.observesFrames { self.observeClose(code, reason) }
        self.perform(self.link.closing.received(ClosePayload(code: code, reason: reason), now: now), now: now)
    }

    private var mayEndWithoutClose: Bool {
        let isInside = self.socket.ahead?.endsInside ?? (self.link.codec.unfinishedMessage != nil)
        return self.link.mayEndWithoutClose(insideMessage: isInside)
    }

    /// The end of the peer's stream, once everything before it has been taken.
    mutating func streamEnded(now: NIODeadline) {
        switch self.stage {
        case .handshake(let handshake):
            self.streamEnded(in: handshake, now: now)
        case .open:
            self.answerHeldClose(now: now)
            if self.stage.isOver { return }
            if self.failure == nil, !self.link.closing.isClean, !self.mayEndWithoutClose {
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
        case .unread, .ended:
            break
        }
    }

    private mutating func streamEnded(in handshake: Handshake, now: NIODeadline) {
        switch handshake {
        case .client(let client):
            switch client.state {
            case .connecting:
                if let failure { self.actions.append(.failed(failure)) }
                self.end(clean: false)
            case .challenged:
                self.end(clean: false)
            case .opening(let opening): self.streamEnded(in: opening, of: client, now: now)
            case .extended(let extended): self.streamEnded(in: extended, now: now)
            }
        case .server(let server):
            if case .extended = server.state { self.perform(self.link.closing.inputClosed(), now: now) }
            self.end(clean: false)
        }
    }

    mutating func perform(_ action: ClosingHandshake.Action, now: NIODeadline) {
        switch action {
        case .none:
            break
        case .send(let payload):
            self.socket.stopIdleTime()
            guard case .none(let isClean) = self.writeClose(payload, isLast: false) else { return }
            // H69-8: the peer's last bytes must not destroy ours.
            if self.link.codec.abilities.contains(.nothingElseEnds) { self.shouldLinger = true }
            self.keepUnread()
            self.end(clean: isClean)
        case .sendThenDisconnect(let payload):
            if self.writeClose(payload, isLast: true) != .written { self.link.closing.sentNothing() }
            self.end(clean: self.link.closing.isClean)
        case .disconnect:
            self.end(clean: self.link.closing.isClean)
        }
    }

    mutating func end(clean: Bool) {
        guard !self.stage.isOver else { return }
        self.becomeOver()
        self.socket.keepAlive = nil
        let info = self.closeInfo(clean: clean)
        if self.isObserved, self.socket.hasOpened { self.actions.append(.event(.closed(info))) }
        self.actions.append(.closed(info))
    }

    func closeInfo(clean: Bool) -> CloseInfo {
        self.link.closeInfo(clean: clean, failure: self.failure, wasOpen: self.socket.hasOpened)
    }

    // MARK: Writing frames

    mutating func writeClose(_ payload: ClosePayload, isLast: Bool) -> FrameCodec.CloseFrame {
        let mask = self.link.nextMask()
        let result = self.link.codec.writeClose(payload, isLast: isLast, mask: mask, into: &self.output)
        if self.observesFrames, result == .written {
            var bytes = ByteBuffer()
            if self.link.codec.abilities.contains(.closeCodes) { payload.write(into: &bytes) }
            self.actions.append(.event(.frameSent(FrameInfo(kind: .close, payload: bytes))))
        }
        return result
    }
}
