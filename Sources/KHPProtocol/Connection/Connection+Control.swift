// Control frames: the answers to the peer's, and those that the application sends (RFC 6455 section 5.5).

package import NIOCore

extension Connection {
    /// A control frame, while open and during the extended handshake.
    mutating func control(_ event: InboundFrameEvent, now: NIODeadline) -> ConnectionAction? {
        if case .close(let code, let reason) = event { return self.closeReceived(code, reason, now: now) }
        // The rate does not count a close frame: no frame after it counts.
        guard self.link.admitsControlFrame(now) else {
            self.violated(ControlFrameRate.violation, now: now)
            return nil
        }
        switch event {
        case .ping(let payload):
            if self.observesFrames {
                self.actions.append(.event(.frameReceived(FrameInfo(kind: .ping, payload: payload))))
            }
            guard self.link.closing.canSend else { return nil }
            self.socket.pinged(payload)
            self.answerPendingPing(now: now)
        case .pong(let payload):
            if self.observesFrames {
                self.actions.append(.event(.frameReceived(FrameInfo(kind: .pong, payload: payload))))
            }
            guard let answer = self.socket.keepAlive?.pongReceived(payload, now) else { return nil }
            return .pong(number: answer.number, payload: payload, roundTrip: answer.roundTrip)
        case .dropped:
            self.reportDropped()
        case .message, .chunk, .close:
            assertionFailure("a frame that is no control frame is taken for one")
        }
        return nil
    }

    /// A frame of an unknown type (W10-8).
    private mutating func reportDropped() {
        guard self.isObserved else { return }
        let error = WebSocketError(
            .protocolViolation,
            "The peer sent a frame of a type that \(self.link.codec.dialect) does not know; it was passed over.",
            phase: .open
        )
        self.actions.append(.event(.violation(self.located(error))))
    }

    private mutating func closeReceived(
        _ code: WebSocketCloseCode?,
        _ reason: String,
        now: NIODeadline
    ) -> ConnectionAction? {
        guard self.socket.holdsClose, self.stage.isOpen, self.link.closing.canSend else {
            self.peerClosed(code, reason, now: now)
            return nil
        }
        // It may have been seen ahead of the messages before it: then its time runs already.
        let until = self.socket.heldClose?.until ?? now + self.configuration.waits.closeHold
        self.socket.ahead = nil
        self.socket.heldClose = (ClosePayload(code: code, reason: reason), until)
        return .peerClosing
    }

    // MARK: Pongs

    /// Answers the latest ping, once all bytes before the answer have left.
    mutating func answerPendingPing(now: NIODeadline) {
        guard self.socket.mayAnswerPings, self.link.closing.canSend else { return }
        if let payload = self.socket.takePong() {
            self.socket.pingAnswered()
            self.writePong(payload)
        }
        self.answerPingThroughExtensions(now: now)
    }

    /// True when a ping was answered since the last call: the shell then tells when the pong has left
    /// (``setBacklogged(_:now:)``).
    package mutating func takeAnsweredPing() -> Bool { self.socket.takeAnsweredPing() }

    mutating func writePong(_ payload: ByteBuffer) {
        let mask = self.link.nextMask()
        self.link.codec.writePong(payload, mask: mask, into: &self.output)
        if self.observesFrames { self.actions.append(.event(.frameSent(FrameInfo(kind: .pong, payload: payload)))) }
    }

    /// Queues a pong that answers nothing (RFC 6455 section 5.5.3).
    package mutating func pong(_ payload: ByteBuffer, now: NIODeadline) throws(WebSocketError) {
        try self.checkControl(payload)
        self.writePong(payload)
    }

    // MARK: Pings

    /// Queues a ping; the pong that answers it, or a later one, tells the round trip.
    /// - Parameter payload: at most 125 bytes; by default a number that no other ping of this connection has.
    /// - Returns: the ping's number.
    package mutating func ping(
        _ payload: ByteBuffer? = nil,
        now: NIODeadline
    ) throws(WebSocketError) -> UInt64 {
        try self.checkControl(payload ?? ByteBuffer())
        let number: UInt64?
        if let payload {
            number = self.socket.keepAlive?.noteSent(payload, now)
            self.writePing(payload)
        } else {
            let payload = self.socket.keepAlive?.ping(now)
            number = payload?.getInteger(at: 0)
            if let payload { self.writePing(payload) }
        }
        guard let number else { throw self.closedError }
        return number
    }

    mutating func writePing(_ payload: ByteBuffer) {
        let mask = self.link.nextMask()
        self.link.codec.writePing(payload, mask: mask, into: &self.output)
        if self.observesFrames { self.actions.append(.event(.frameSent(FrameInfo(kind: .ping, payload: payload)))) }
    }

    private func checkControl(_ payload: ByteBuffer) throws(WebSocketError) {
        guard self.stage.isOpen, self.link.closing.canSend else { throw self.closedError }
        try self.link.codec.checkPing()
        let limit = Limits.Fixed.controlPayloadBytes
        guard payload.readableBytes <= limit else {
            throw WebSocketError(
                .invalidArgument,
                "A ping or pong carries at most \(limit) bytes; \(payload.readableBytes) were given.",
                phase: .open
            )
        }
    }
}
