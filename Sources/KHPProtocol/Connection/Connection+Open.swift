// The open socket: messages both ways, pings, idle time, the closing handshake.

package import NIOCore

extension Connection {
    /// Both handshakes are complete: whatever comes now is the application's.
    mutating func open(_ negotiated: Negotiation, transforms: [any MessageTransform], now: NIODeadline) {
        self.phase = .open
        self.wasOpen = true
        self.openingDeadline = nil
        self.totalDeadline = nil
        self.client?.extended = nil
        if let lifetime = self.server?.plan.sessionLifetime { self.sessionEnd = now + lifetime }
        self.server = nil
        self.transforms = transforms
        self.closing = ClosingHandshake(role: self.role, timeout: self.settings.waits.close)
        // Transforms work on whole messages; with one in place chunks are not delivered before the message is there.
        let streams = self.settings.delivery == .chunks && transforms.isEmpty
        self.reader = MessageReader(
            role: self.role,
            limits: self.settings.limits.messages,
            mode: streams ? .streaming : .whole
        )
        let waits = self.settings.waits
        self.keepAlive = KeepAlive(
            pingInterval: waits.ping,
            pongTimeout: waits.pong,
            messageTimeout: streams ? nil : waits.message,
            now: now
        )
        if waits.idle != nil { self.idleSince = now }
        if self.isObserved { self.actions.append(.event(.open(negotiated))) }
        // KHP-E13: not before now, and only once.
        self.actions.append(.opened(negotiated))
    }

    mutating func nextWhileOpen(now: NIODeadline) -> ConnectionAction? {
        guard self.inbound.readableBytes > 0 else { return nil }
        do throws(FrameViolation) {
            while let event = try self.reader.next(&self.inbound) {
                switch event {
                case .message(let kind, let payload, _):
                    if self.idleSince != nil { self.idleSince = now }
                    if self.transforms.isEmpty && !self.isObserved { return .message(kind: kind, payload: payload) }
                    if let action = self.transformed(kind, payload, now: now) { return action }
                    if self.phase != .open { return nil }
                case .chunk(let kind, let payload, let isFirst, let isLast, _):
                    if self.idleSince != nil { self.idleSince = now }
                    return .chunk(MessageChunk(kind: kind, bytes: payload, isFirst: isFirst, isLast: isLast))
                case .ping, .pong, .close:
                    if let action = self.control(event, now: now) { return action }
                    if self.phase != .open { return nil }
                }
            }
        } catch {
            self.violated(error, now: now)
        }
        self.keepAlive?.unfinishedMessage(self.reader.unfinishedMessage, now)
        return nil
    }

    /// A control frame, in the open phase and during the extended handshake.
    mutating func control(_ event: InboundFrameEvent, now: NIODeadline) -> ConnectionAction? {
        guard self.controlRate.admit(now) else {
            self.violated(ControlFrameRate.violation, now: now)
            return nil
        }
        switch event {
        case .ping(let payload):
            if self.isObserved {
                self.actions.append(.event(.frameReceived(FrameInfo(kind: "ping", payload: payload))))
            }
            guard self.closing.canSend else { return nil }
            if self.congestedSince != nil {
                // Only the latest ping need be answered (RFC 6455 section 5.5.3): a peer that pings and does not read
                // must not fill our memory (threat B9).
                self.pendingPong = payload
            } else {
                self.writePong(payload)
            }
        case .pong(let payload):
            if self.isObserved {
                self.actions.append(.event(.frameReceived(FrameInfo(kind: "pong", payload: payload))))
            }
            guard let roundTrip = self.keepAlive?.pongReceived(payload, now),
                let number = payload.getInteger(at: payload.readerIndex, as: UInt64.self)
            else { return nil }
            return .pong(number: number, roundTrip: roundTrip)
        case .close(let code, let reason):
            guard self.holdsClose, self.phase == .open, self.closing.canSend else {
                self.peerClosed(code, reason, now: now)
                return nil
            }
            let until = now + self.settings.waits.closeHold
            self.heldClose = (ClosePayload(code: code, reason: reason), until)
            return .peerClosing
        case .message, .chunk:
            break
        }
        return nil
    }

    /// Fails an open connection (RFC 6455 section 7.1.7).
    mutating func violated(_ violation: FrameViolation, now: NIODeadline) {
        guard self.phase == .open else { return self.violatedDuringExtended(violation, now: now) }
        let code: WebSocketError.Code =
            switch violation.closeCode {
            case .messageTooBig: .messageTooBig
            case .policyViolation: .limitExceeded
            default: .protocolViolation
            }
        if self.failure == nil {
            self.failure = self.located(
                WebSocketError(
                    code,
                    "The peer broke the protocol or a limit: \(violation.message).",
                    closeCode: violation.closeCode,
                    phase: .open
                )
            )
        }
        self.shouldLinger = self.role == .server
        self.perform(self.closing.fail(violation, now: now), now: now)
    }

    private mutating func transformed(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        now: NIODeadline
    ) -> ConnectionAction? {
        var result: ConnectionAction?
        if self.transforms.isEmpty {
            result = .message(kind: kind, payload: payload)
        } else {
            var message: WebSocketMessage? =
                switch kind {
                case .text: .text(String(buffer: payload))
                case .binary: .binary(payload)
                }
            do {
                for index in self.transforms.indices.reversed() {
                    guard let current = message else { break }
                    message = try self.transforms[index].inbound(current)
                }
            } catch {
                self.failTransform(error, now: now)
                return nil
            }
            switch message {
            case .text(let text): result = .message(kind: .text, payload: ByteBuffer(string: text))
            case .binary(let bytes): result = .message(kind: .binary, payload: bytes)
            case nil: result = nil
            }
        }
        if self.isObserved {
            let name = kind == .text ? "text" : "binary"
            self.actions.append(.event(.frameReceived(FrameInfo(kind: name, payload: payload))))
            if let message = result { self.actions.append(message) }
            return self.actions.popFirst()
        }
        return result
    }

    private mutating func failTransform(_ error: any Error, now: NIODeadline) {
        if self.failure == nil {
            self.failure =
                (error as? WebSocketError).map { self.located($0) }
                ?? WebSocketError(
                    .protocolViolation,
                    "An extension could not handle a message: \(error).",
                    closeCode: .internalError,
                    phase: .open
                )
        }
        self.perform(self.closing.fail(ClosePayload(code: .internalError), now: now), now: now)
    }

    // MARK: Sending

    /// Queues a message.
    /// - Returns: how many bytes wait to be written.
    @discardableResult
    package mutating func send(_ message: WebSocketMessage, now: NIODeadline) throws(WebSocketError) -> Int {
        try self.checkSending()
        if self.transforms.isEmpty {
            self.writeMessage(message, now: now)
        } else if let transformed = try self.transformOutbound(message) {
            self.writeMessage(transformed, now: now)
        }
        return self.output.pendingBytes
    }

    /// Queues a message from its bytes.
    /// - Returns: how many bytes wait to be written.
    @discardableResult
    package mutating func send(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        now: NIODeadline
    ) throws(WebSocketError) -> Int {
        guard self.transforms.isEmpty else {
            return try self.send(kind == .text ? .text(String(buffer: payload)) : .binary(payload), now: now)
        }
        try self.checkSending()
        self.writeData(kind == .text ? .text : .binary, payload, fin: true, now: now)
        return self.output.pendingBytes
    }

    /// Queues a piece of a message.
    /// - Returns: how many bytes wait to be written.
    @discardableResult
    package mutating func send(_ chunk: MessageChunk, now: NIODeadline) throws(WebSocketError) -> Int {
        try self.write(chunk, now: now)
        return self.output.pendingBytes
    }

    private mutating func write(_ chunk: MessageChunk, now: NIODeadline) throws(WebSocketError) {
        if chunk.isFirst {
            try self.checkSending()
            guard self.transforms.isEmpty else {
                throw WebSocketError(
                    .invalidArgument,
                    "An extension is in use that works on whole messages; send this one whole.",
                    phase: .open
                )
            }
            self.streaming = StreamingState(kind: chunk.kind, hasBegun: false)
            if chunk.bytes.readableBytes == 0, !chunk.isLast { return }
        } else if !self.closing.canSend || self.phase != .open {
            throw self.closedError
        }
        guard var state = self.streaming else { return }
        guard chunk.bytes.readableBytes > 0 || chunk.isLast else { return }
        let opcode: Opcode = state.hasBegun ? .continuation : (state.kind == .text ? .text : .binary)
        state.hasBegun = true
        self.streaming = chunk.isLast ? nil : state
        self.writeData(opcode, chunk.bytes, fin: chunk.isLast, now: now)
    }

    private func checkSending() throws(WebSocketError) {
        guard self.phase == .open, self.closing.canSend else { throw self.closedError }
        guard self.streaming == nil else {
            throw WebSocketError(
                .invalidArgument,
                "A message is being streamed; wait for its end before sending another.",
                phase: .open
            )
        }
    }

    private var closedError: WebSocketError {
        self.failure ?? WebSocketError(.closed, "The socket is closing or closed.", phase: .closing)
    }

    private mutating func transformOutbound(_ message: WebSocketMessage) throws(WebSocketError) -> WebSocketMessage? {
        var result: WebSocketMessage? = message
        do {
            for index in self.transforms.indices {
                guard let current = result else { break }
                result = try self.transforms[index].outbound(current)
            }
        } catch {
            throw (error as? WebSocketError)
                ?? WebSocketError(.invalidArgument, "An extension refused the message: \(error).", phase: .open)
        }
        return result
    }

    private mutating func writeMessage(_ message: WebSocketMessage, now: NIODeadline) {
        switch message {
        case .text(let text):
            if self.idleSince != nil { self.idleSince = now }
            let mask = self.nextMask()
            let writer = self.writer
            self.output.write { writer.write(text, mask: mask, into: &$0) }
            if self.isObserved {
                self.actions.append(.event(.frameSent(FrameInfo(kind: "text", payload: ByteBuffer(string: text)))))
            }
        case .binary(let bytes):
            self.writeData(.binary, bytes, fin: true, now: now)
        }
    }

    private mutating func writeData(_ opcode: Opcode, _ payload: ByteBuffer, fin: Bool, now: NIODeadline) {
        if self.idleSince != nil { self.idleSince = now }
        let mask = self.nextMask()
        let writer = self.writer
        if self.role == .server, payload.readableBytes >= OutboundQueue.gatherThreshold {
            self.output.write { writer.writeHeader(opcode, length: payload.readableBytes, fin: fin, into: &$0) }
            self.output.append(payload)
        } else {
            self.output.write { writer.write(opcode, payload: payload, fin: fin, mask: mask, into: &$0) }
        }
        if self.isObserved {
            let name =
                switch opcode {
                case .text: "text"
                case .continuation: "continuation"
                default: "binary"
                }
            self.actions.append(.event(.frameSent(FrameInfo(kind: name, payload: payload))))
        }
    }

    mutating func writePong(_ payload: ByteBuffer) {
        let mask = self.nextMask()
        let writer = self.writer
        self.output.write { writer.writePong(payload, mask: mask, into: &$0) }
        if self.isObserved { self.actions.append(.event(.frameSent(FrameInfo(kind: "pong", payload: payload)))) }
    }

    /// Queues a ping; the pong that answers it, or a later one, tells the round trip.
    /// - Returns: the ping's number.
    package mutating func ping(now: NIODeadline) throws(WebSocketError) -> UInt64 {
        guard self.phase == .open, self.closing.canSend else { throw self.closedError }
        guard let payload = self.keepAlive?.ping(now) else { throw self.closedError }
        self.writePing(payload)
        return payload.getInteger(at: payload.readerIndex, as: UInt64.self) ?? 0
    }

    private mutating func writePing(_ payload: ByteBuffer) {
        let mask = self.nextMask()
        let writer = self.writer
        self.output.write { writer.writePing(payload, mask: mask, into: &$0) }
        if self.isObserved { self.actions.append(.event(.frameSent(FrameInfo(kind: "ping", payload: payload)))) }
    }

    /// The application has taken all that came before the peer's close frame, or will not.
    package mutating func answerHeldClose(now: NIODeadline) {
        guard let payload = self.heldClose?.payload else { return }
        self.heldClose = nil
        self.peerClosed(payload.code, payload.reason, now: now)
    }

    /// Begins the closing handshake; in a handshake, gives it up.
    package mutating func close(code: WebSocketCloseCode, reason: String, now: NIODeadline) {
        switch self.phase {
        case .open where self.heldClose != nil:
            self.answerHeldClose(now: now)
        case .open:
            self.perform(self.closing.close(ClosePayload(code: code, reason: reason), now: now), now: now)
        case .extended:
            self.fail(
                WebSocketError(.closed, "The connection was closed before it was open."),
                close: code,
                now: now
            )
        case .idle, .opening, .deciding:
            self.end(clean: false)
        case .leaving, .ended:
            break
        }
    }

    /// Whether the peer keeps up with what is written.
    package mutating func setCongested(_ isCongested: Bool, now: NIODeadline) {
        if isCongested {
            if self.congestedSince == nil { self.congestedSince = now }
        } else {
            self.congestedSince = nil
            if let payload = self.pendingPong {
                self.pendingPong = nil
                if self.closing.canSend { self.writePong(payload) }
            }
        }
    }

    /// Nothing is read from the peer, since the application does not keep up: its silence is our doing.
    package mutating func readingIsPaused(now: NIODeadline) {
        self.keepAlive?.bytesReceived(now)
        self.keepAlive?.unfinishedMessage(nil, now)
    }

    /// Some of what was written has left: a slow peer is not a stalled one.
    package mutating func writesProgressed(now: NIODeadline) {
        if self.congestedSince != nil { self.congestedSince = now }
    }

    mutating func openTimeReached(now: NIODeadline) {
        if let heldClose, heldClose.until <= now { return self.answerHeldClose(now: now) }
        if let congestedSince, congestedSince + self.settings.waits.stalledWrite <= now {
            self.drop("The peer did not take any bytes for too long.", now: now)
            return
        }
        if let sessionEnd, sessionEnd <= now {
            self.sessionEnd = nil
            self.close(code: .policyViolation, reason: Self.sessionIsOver, now: now)
            return
        }
        if let idleSince, let idle = self.settings.waits.idle, idleSince + idle <= now {
            let payload = ClosePayload(code: .goingAway, reason: "idle for too long")
            self.perform(self.closing.close(payload, now: now), now: now)
            return
        }
        guard self.closing.canSend else { return }
        // What was unfinished after some read may have been completed by one that left nothing behind.
        self.keepAlive?.unfinishedMessage(self.reader.unfinishedMessage, now)
        switch self.keepAlive?.expired(now) {
        case .sendPing(let payload): self.writePing(payload)
        case .messageTooSlow: self.drop("A message was not complete in time.", now: now)
        case .timedOut, .idle: self.drop("The peer did not answer a ping in time.", now: now)
        case nil: break
        }
    }

    /// What a client is told with 1008; one that connects again is challenged anew.
    private static let sessionIsOver = "the session is over; authenticate again"

    private mutating func drop(_ message: String, now: NIODeadline) {
        if self.failure == nil {
            self.failure = self.located(WebSocketError(.timeout, message, closeCode: .abnormal, phase: .open))
        }
        self.perform(self.closing.fail(ClosePayload(code: .policyViolation, reason: message), now: now), now: now)
    }

    mutating func observeClose(_ code: WebSocketCloseCode?, _ reason: String) {
        var bytes = ByteBuffer()
        ClosePayload(code: code, reason: reason).write(into: &bytes)
        self.actions.append(.event(.frameReceived(FrameInfo(kind: "close", payload: bytes))))
    }
}
