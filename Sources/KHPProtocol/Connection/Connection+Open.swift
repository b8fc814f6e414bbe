// The open socket: messages both ways, pings, idle time, the closing handshake.

package import NIOCore

extension Connection {
    /// Both handshakes are complete: every message from now on is the application's.
    ///
    /// - Parameters:
    ///   - action: `opened`; made by the caller, since a copy of its summary is expensive.
    ///   - negotiated: the extensions that the summary names.
    ///   - isExtended: `true` after an extended handshake.
    mutating func open(
        _ action: ConnectionAction,
        negotiated: [NegotiatedExtension],
        isExtended: Bool = false,
        extensions: [any WebSocketExtension],
        sessionLifetime: TimeAmount? = nil,
        now: NIODeadline
    ) {
        self.becomeOpen()
        if !negotiated.isEmpty {
            let isNoneInForce = self.socket.extensions == nil
            self.install(
                negotiated.filter { isNoneInForce || $0.layer == .extended },
                from: extensions,
                now: now
            )
        }
        let streams = self.streamsMessages
        // Kaazing's peers, who alone complete an extended handshake, read and write binary in the hixie dialects.
        self.link.open(
            configuration: self.configuration,
            mode: streams ? .streaming : .whole,
            agreesOnBinary: isExtended
        )
        self.link.isPlain =
            self.socket.extensions == nil && !self.observesFrames && self.link.codec.readsWholeMessages
        self.link.codec.toleratesLongLength = self.role == .server && self.legacy != .off
        self.link.codec.allowedReservedBits = self.socket.extensions?.reservedBits ?? 0
        let waits = self.configuration.waits
        self.socket.open(
            waits,
            keepAlive: KeepAlive(
                pingInterval: self.link.codec.abilities.contains(.pings) ? waits.ping : nil,
                pongTimeout: waits.pong,
                messageTimeout: streams ? nil : waits.message,
                now: now
            ),
            sessionLifetime: sessionLifetime,
            now: now
        )
        if self.isObserved, case .opened(let summary) = action { self.actions.append(.event(.open(summary))) }
        // KHP-E13: not before now, and only once.
        self.actions.append(action)
        if self.socket.extensions != nil, case .opened(let summary) = action {
            self.extensionsOpened(at: summary.url, now: now)
        }
    }

    /// `true` where extensions are in force. Mutating in form only, as ``deadline`` is.
    package var hasExtensions: Bool {
        mutating get { self.socket.extensions != nil }
    }

    /// - Parameter isPlainTaken: as in ``next(now:isPaused:isPlainTaken:)``.
    mutating func nextWhileOpen(now: NIODeadline, isPlainTaken: Bool = false) -> ConnectionAction? {
        var isPlainTaken = isPlainTaken
        if self.socket.extensions != nil, let action = self.nextFromExtensions(now: now) { return action }
        guard self.inbound.readableBytes > 0, self.stage.takesMessages else { return nil }
        do throws(FrameViolation) {
            while true {
                let before = self.inbound.readableBytes
                guard let event = try self.link.codec.next(&self.inbound, isPlainTaken: isPlainTaken) else {
                    // Bytes that are taken without an event are those of a message that is not complete.
                    if self.inbound.readableBytes < before { self.socket.partMoved(now) }
                    break
                }
                isPlainTaken = false
                switch event {
                case .message(let kind, let payload, let reserved):
                    if reserved != 0 {
                        let piece = MessagePiece(kind, payload, reservedBits: ReservedBits(rawValue: reserved))
                        if let action = self.pass(piece, now: now) { return action }
                        if !self.stage.takesMessages { return nil }
                        continue
                    }
                    if self.socket.extensions == nil && !self.observesFrames {
                        self.socket.dataMoved(now)
                        return .message(kind: kind, payload: payload)
                    }
                    if let action = self.delivered(kind, payload, now: now) { return action }
                    if !self.stage.takesMessages { return nil }
                case .chunk(let kind, let payload, let isFirst, let isLast, let reserved):
                    if reserved != 0 {
                        if !isLast { self.socket.partMoved(now) }
                        let bits = ReservedBits(rawValue: reserved)
                        let piece = MessagePiece(kind, payload, reservedBits: bits, isFirst: isFirst, isLast: isLast)
                        if let action = self.pass(piece, now: now) { return action }
                        if !self.stage.takesMessages { return nil }
                        continue
                    }
                    self.socket.dataMoved(now)
                    let chunk = MessageChunk(kind: kind, bytes: payload, isFirst: isFirst, isLast: isLast)
                    return self.observesFrames ? self.observed(chunk, wireBytes: payload.readableBytes) : .chunk(chunk)
                case .ping, .pong, .close, .dropped:
                    // A control frame may come after a part of the message that it interrupts.
                    if before &- self.inbound.readableBytes > event.frameBytes(atServer: self.role == .server) {
                        self.socket.partMoved(now)
                    }
                    if let action = self.control(event, now: now) {
                        // The action may be the last of a read that began a message: this function is then not called again.
                        self.socket.keepAlive?.unfinishedMessage(self.link.codec.unfinishedMessage, now)
                        return action
                    }
                    if !self.stage.takesMessages { return nil }
                }
            }
        } catch {
            self.violated(error, now: now)
        }
        self.socket.keepAlive?.unfinishedMessage(self.link.codec.unfinishedMessage, now)
        return nil
    }

    /// Fails an open connection (RFC 6455 section 7.1.7).
    mutating func violated(_ violation: FrameViolation, now: NIODeadline) {
        guard self.stage.takesMessages else { return self.violatedDuringExtended(violation, now: now) }
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
        self.perform(self.link.closing.fail(violation, now: now), now: now)
    }

    // MARK: Sending

    /// Queues a message.
    /// - Returns: how many bytes wait to be written.
    @discardableResult
    package mutating func send(_ message: WebSocketMessage, now: NIODeadline) throws(WebSocketError) -> Int {
        try self.checkSending()
        if self.socket.extensions == nil {
            try self.write(message, now: now)
        } else {
            try self.sendThroughExtensions(message, now: now)
        }
        self.socket.dataMoved(now)
        return self.output.pendingBytes
    }

    /// Queues a message from its bytes. Before the socket is open, and once it closes, this throws and nothing is kept (threat
    /// E17).
    /// - Returns: how many bytes wait to be written.
    @discardableResult
    package mutating func send(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        now: NIODeadline
    ) throws(WebSocketError) -> Int {
        // The path of nearly every message: small, and on a plain connection. `sendAny` takes all others.
        guard self.link.isPlain, self.role == .server, self.link.closing.canSend,
            self.socket.stream == nil, payload.readableBytes < OutboundQueue.gatherThreshold
        else { return try self.sendAny(kind, payload, now: now) }
        payload.withUnsafeReadableBytes { self.link.codec.writePlain(kind, $0, into: &self.output) }
        self.socket.dataMoved(now)
        self.socket.sentPayload &+= payload.readableBytes
        return self.output.pendingBytes
    }

    @inline(never)
    private mutating func sendAny(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        now: NIODeadline
    ) throws(WebSocketError) -> Int {
        try self.checkSending()
        if self.socket.extensions == nil {
            try self.write(kind, payload, now: now)
        } else {
            try self.sendThroughExtensions(kind, payload, now: now)
        }
        self.socket.dataMoved(now)
        return self.output.pendingBytes
    }

    /// Queues a piece of a message.
    /// - Parameter options: count with the first piece.
    /// - Returns: how many bytes wait to be written.
    @discardableResult
    package mutating func send(
        _ chunk: MessageChunk,
        options: SendOptions = [],
        now: NIODeadline
    ) throws(WebSocketError) -> Int {
        try self.write(chunk, options, now: now)
        self.socket.dataMoved(now)
        if chunk.isLast { self.performOutgoing(now: now) }
        return self.output.pendingBytes
    }

    private mutating func write(
        _ chunk: MessageChunk,
        _ options: SendOptions,
        now: NIODeadline
    ) throws(WebSocketError) {
        if chunk.isFirst {
            try self.checkSending()
            try self.link.codec.checkStreaming(chunk.kind)
            self.socket.stream = OpenSocket.Stream(kind: chunk.kind, hasBegun: false, options: options)
            if chunk.bytes.readableBytes == 0, !chunk.isLast { return }
        } else if !self.link.closing.canSend || !self.stage.isOpen {
            throw self.closedError
        }
        guard var state = self.socket.stream else {
            throw WebSocketError(.invalidArgument, "The message that this belongs to has ended.", phase: .open)
        }
        guard chunk.bytes.readableBytes > 0 || chunk.isLast else { return }
        if self.socket.extensions?.needsWholeMessages == true
            || self.legacy != .off && self.link.codec.abilities.contains(.fragments)
        {
            return try self.collect(chunk, state, now: now)
        }
        let isFirst = !state.hasBegun
        state.hasBegun = true
        if self.socket.extensions?.transformsFrames == true {
            self.socket.stream = chunk.isLast ? nil : state
            try self.write(
                MessagePiece(
                    state.kind,
                    chunk.bytes,
                    isFirst: isFirst,
                    isLast: chunk.isLast,
                    options: state.options
                ),
                now: now
            )
        } else {
            try self.write(state.kind, chunk.bytes, isFirst: isFirst, isLast: chunk.isLast, now: now)
            self.socket.stream = chunk.isLast ? nil : state
        }
    }

    /// Kaazing's clients take a fragment for the whole message (D7), and some extensions work on whole messages:
    /// the pieces are collected up to the message limit and go out as one. A message that grows beyond it is given up,
    /// and nothing of it was sent.
    private mutating func collect(
        _ chunk: MessageChunk,
        _ state: OpenSocket.Stream,
        now: NIODeadline
    ) throws(WebSocketError) {
        var state = state
        let limit = self.configuration.limits.messages.messageBytes
        guard chunk.bytes.readableBytes <= limit - state.collected.readableBytes else {
            self.socket.stream = nil
            throw WebSocketError(
                .messageTooBig,
                "What was negotiated takes whole messages only, so a streamed one is limited to \(limit) bytes.",
                phase: .open
            )
        }
        self.socket.stream = nil
        state.collected.writeImmutableBuffer(chunk.bytes)
        if chunk.isLast {
            if self.socket.extensions == nil {
                try self.write(state.kind, state.collected, now: now)
            } else {
                try self.sendThroughExtensions(state.kind, state.collected, options: state.options, now: now)
            }
        } else {
            self.socket.stream = state
        }
    }

    /// Gives up a message that is being sent in pieces, if nothing of it has gone out.
    /// - Returns: `true` when nothing had gone out; otherwise the connection can only be closed.
    package mutating func takeBackStream(now: NIODeadline) -> Bool {
        guard self.stage.isOpen, self.socket.stream?.hasBegun != true else { return false }
        self.socket.stream = nil
        self.performOutgoing(now: now)
        return true
    }

    /// True while a message is being sent in pieces: nothing else can be.
    package var isStreaming: Bool { self.socket.stream != nil }

    @inline(__always)
    func checkSending() throws(WebSocketError) {
        guard self.stage.isOpen, self.link.closing.canSend else { throw self.closedError }
        guard self.socket.stream == nil else { throw Self.streams }
    }

    private static var streams: WebSocketError {
        WebSocketError(
            .invalidArgument,
            "A message is being streamed; wait for its end before sending another.",
            phase: .open
        )
    }

    /// The error with the URL of this connection, where it has none.
    func located(_ error: WebSocketError) -> WebSocketError {
        var error = error
        if error.url == nil { error.url = self.connectedURL?.url }
        return error
    }

    /// The error of a caller who sends on a connection that closes or has closed.
    package var closedError: WebSocketError {
        self.failure ?? WebSocketError(.closed, "The socket is closing or closed.", phase: .closing)
    }

    /// Writes a whole message, after all extensions.
    mutating func write(_ message: WebSocketMessage, now: NIODeadline) throws(WebSocketError) {
        switch message {
        case .text(let text):
            let mask = self.link.nextMask()
            try self.link.codec.write(text, mask: mask, into: &self.output)
            self.socket.extensions?.sent(now: now)
            self.socket.sentPayload &+= text.utf8.count
            if self.observesFrames {
                self.actions.append(.event(.frameSent(FrameInfo(kind: .text, payload: ByteBuffer(string: text)))))
            }
        case .binary(let bytes):
            try self.write(.binary, bytes, now: now)
        }
    }

    /// Writes a message or a piece of one, after all extensions.
    /// - Parameter plain: the payload as the application gave it, for observers.
    @inline(__always)
    mutating func write(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        isFirst: Bool = true,
        isLast: Bool = true,
        reservedBits: UInt8 = 0,
        plain: ByteBuffer? = nil,
        now: NIODeadline
    ) throws(WebSocketError) {
        let mask = self.link.nextMask()
        try self.link.codec.write(
            kind,
            payload,
            isFirst: isFirst,
            isLast: isLast,
            reservedBits: reservedBits,
            mask: mask,
            into: &self.output
        )
        self.socket.extensions?.sent(now: now)
        self.socket.sentPayload &+= payload.readableBytes
        if self.observesFrames {
            let frame = isFirst ? FrameInfo.Kind(kind) : .continuation
            var info = FrameInfo(kind: frame, payload: plain ?? payload)
            info.wireBytes = payload.readableBytes
            self.actions.append(.event(.frameSent(info)))
        }
    }

    /// The application has taken all that came before the peer's close frame, or will not.
    package mutating func answerHeldClose(now: NIODeadline) {
        guard let payload = self.socket.heldClose?.payload else { return }
        self.socket.heldClose = nil
        self.peerClosed(payload.code, payload.reason, now: now)
        // The peer's stream has ended; the bytes before its end are not read just to find that end.
        guard self.isInputClosed, self.stage.isOpen else { return }
        self.perform(self.link.closing.inputClosed(), now: now)
        self.end(clean: self.link.closing.isClean)
    }

    /// Begins the closing handshake; in a handshake, gives it up.
    package mutating func close(code: WebSocketCloseCode, reason: String, now: NIODeadline) {
        switch self.stage {
        case .open where self.socket.heldClose != nil:
            self.answerHeldClose(now: now)
        case .open:
            self.perform(self.link.closing.close(ClosePayload(code: code, reason: reason), now: now), now: now)
            if self.isWithdrawn { self.link.isPlain = false }
        case .handshake(let handshake) where handshake.isExtended:
            self.fail(
                WebSocketError(.closed, "The connection was closed before it was open."),
                close: code,
                now: now
            )
        case .handshake:
            self.end(clean: false)
        case .leaving, .unread, .ended:
            break
        }
    }

    mutating func observeClose(_ code: WebSocketCloseCode?, _ reason: String) {
        var bytes = ByteBuffer()
        ClosePayload(code: code, reason: reason).write(into: &bytes)
        self.actions.append(.event(.frameReceived(FrameInfo(kind: .close, payload: bytes))))
    }

    /// A piece of a message, past the observer.
    mutating func observed(_ chunk: MessageChunk, wireBytes: Int) -> ConnectionAction? {
        let kind = chunk.isFirst ? FrameInfo.Kind(chunk.kind) : .continuation
        var info = FrameInfo(kind: kind, payload: chunk.bytes)
        info.wireBytes = wireBytes
        self.actions.append(.event(.frameReceived(info)))
        self.actions.append(.chunk(chunk))
        return self.actions.popFirst()
    }
}

extension InboundFrameEvent {
    /// The size of the frame that a ping or a pong came in; no other event comes within a message.
    fileprivate func frameBytes(atServer isMasked: Bool) -> Int {
        switch self {
        case .ping(let payload), .pong(let payload): payload.readableBytes &+ (isMasked ? 6 : 2)
        case .message, .chunk, .close, .dropped: .max
        }
    }
}
