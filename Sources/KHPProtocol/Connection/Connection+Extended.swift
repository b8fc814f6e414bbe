// The extended handshake as seen from the connection: messages in and out of its machine, control frames served
// meanwhile, nothing of it extending its deadline (D15).

import NIOCore

extension Connection {
    // MARK: Both roles

    mutating func advanceExtended(now: NIODeadline) {
        do throws(FrameViolation) {
            while case .handshake(let handshake) = self.stage, handshake.isExtended,
                let event = try self.nextHandshakeEvent()
            {
                switch event {
                case .message(_, let payload, _):
                    self.observeLegacy(payload, isEnd: false)
                    self.take(payload, in: handshake, now: now)
                    self.observeLegacy(payload, isEnd: true)
                case .close(let code, let reason):
                    self.closedDuringExtended(code, reason, now: now)
                case .ping, .pong, .dropped:
                    if let action = self.control(event, now: now) { self.actions.append(action) }
                case .chunk:
                    assertionFailure("a message comes in parts before the socket is open")
                }
                if !self.actions.isEmpty { return }
            }
        } catch {
            self.violatedDuringExtended(error, now: now)
        }
    }

    /// A message of the extended handshake.
    private mutating func take(_ payload: ByteBuffer, in handshake: Handshake, now: NIODeadline) {
        switch handshake {
        case .client(let client):
            guard case .extended(let extended) = client.state else {
                return assertionFailure("a message comes outside of the extended handshake")
            }
            self.perform(extended.machine.receive(payload, now: now), in: extended, now: now)
        case .server(let server):
            guard case .extended(let extended) = server.state else {
                return assertionFailure("a message comes outside of the extended handshake")
            }
            let action = extended.machine.receive(payload, date: self.configuration.date(), now: now)
            self.perform(action, in: extended, now: now)
        }
    }

    /// One whole message of the extended handshake; never shown to observers as a frame.
    mutating func writeHandshakeMessage(_ payload: ByteBuffer) {
        let mask = self.link.nextMask()
        self.link.codec.writeHandshake(payload, mask: mask, into: &self.output)
    }

    /// The 101 of the extended handshake as one whole message; never shown to observers as a frame.
    mutating func writeHandshakeMessage(_ acceptance: Acceptance) {
        let mask = self.link.nextMask()
        self.link.codec.writeHandshake(atMost: acceptance.capacity, mask: mask, into: &self.output) {
            acceptance.write(to: &$0)
        }
    }

    /// Reports to observers the messages that gateways add: a balancer message before its effects, the empty message after
    /// the response that it ends.
    private mutating func observeLegacy(_ payload: ByteBuffer, isEnd: Bool) {
        guard self.isObserved, self.role == .client else { return }
        if isEnd {
            // Observers get no event after the end.
            guard self.legacy.hasTerminator, payload.readableBytes == 0, !self.stage.isOver else { return }
            self.actions.append(.event(.kaazingLegacy(.endOfResponse)))
        } else if let message = KaazingLegacyMessage(balancer: payload) {
            self.actions.append(.event(.kaazingLegacy(message)))
        }
    }

    /// The peer closes the raw WebSocket during the extended handshake (KHP-E12).
    private mutating func closedDuringExtended(
        _ code: WebSocketCloseCode?,
        _ reason: String,
        now: NIODeadline
    ) {
        if let client = self.stage.client, self.settleAnswer(of: client, now: now) {
            self.peerClosed(code, reason, now: now)
            return
        }
        self.becomeLeaving()
        if self.role == .client {
            let words = code.map { " with \($0)" } ?? ""
            let error = self.located(
                WebSocketError(
                    .closedDuringHandshake,
                    "The server closed the connection\(words) during the extended handshake.",
                    closeCode: code,
                    phase: .extended
                )
            )
            self.failure = error
            self.actions.append(.failed(error))
        }
        self.peerClosed(code, reason, now: now)
    }

    mutating func violatedDuringExtended(_ violation: FrameViolation, now: NIODeadline) {
        let code: WebSocketError.Code =
            switch violation.closeCode {
            case .messageTooBig, .policyViolation: .limitExceeded
            default: .protocolViolation
            }
        let error = self.located(
            WebSocketError(
                code,
                "The peer broke the WebSocket protocol during the extended handshake: \(violation.message).",
                closeCode: violation.closeCode,
                phase: .extended
            )
        )
        self.failure = error
        self.becomeLeaving()
        self.actions.append(.failed(error))
        self.shouldLinger = self.role == .server
        // Close frames of a handshake carry no reason.
        self.perform(self.link.closing.fail(ClosePayload(code: violation.closeCode), now: now), now: now)
    }

    /// Client: the peer's stream ends during the extended handshake.
    mutating func streamEnded(in extended: ClientHandshake.Extended, now: NIODeadline) {
        if let action = extended.machine.settle(now: now) {
            self.perform(action, in: extended, now: now)
        } else {
            let error =
                self.failure
                ?? WebSocketError(
                    .closedDuringHandshake,
                    "The server ended the connection during the extended handshake.",
                    phase: .extended
                )
            self.fail(error, close: nil, now: now)
        }
        self.perform(self.link.closing.inputClosed(), now: now)
        self.end(clean: false)
    }
}
