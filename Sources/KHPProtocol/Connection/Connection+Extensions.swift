// The extensions in force on a connection: their life, the messages that pass them, and the messages of their own.

package import NIOCore

extension Connection {
    // MARK: Life

    /// Both handshakes are done: adds what was negotiated and is not in force yet.
    mutating func install(
        _ negotiated: [NegotiatedExtension],
        from extensions: [any WebSocketExtension],
        now: NIODeadline
    ) {
        guard !negotiated.isEmpty else { return }
        let stack = self.socket.extensions.take() ?? ExtensionStack(role: self.role, now: now)
        stack.add(negotiated.filter { $0.layer == .opening }, from: extensions)
        stack.add(negotiated.filter { $0.layer == .extended }, from: extensions)
        if !stack.isEmpty { self.socket.extensions = stack }
    }

    /// Client: what both handshakes agreed on is known. The socket opens, unless an extension is missing that the
    /// caller cannot do without (RFC 6455 section 7.4.1).
    mutating func openIfComplete(_ negotiation: HandshakeSummary, _ plan: ClientPlan, now: NIODeadline) {
        let missing = plan.requiredExtensions.subtracting(negotiation.extensions.map(\.name))
        guard !missing.isEmpty else {
            return self.open(
                .opened(negotiation),
                negotiated: negotiation.extensions,
                isExtended: negotiation.status != nil,
                extensions: plan.extensions,
                now: now
            )
        }
        let names = plan.extensions.map(\.name).filter { missing.contains($0) }.joined(separator: ", ")
        self.fail(
            WebSocketError(
                .extensionRequired,
                "The server did not agree on \(names), which this connect requires.",
                response: negotiation.response,
                closeCode: .mandatoryExtension,
                phase: negotiation.status == nil ? .opening : .extended
            ),
            close: .mandatoryExtension,
            reason: names,
            now: now
        )
    }

    /// Extensions of the opening are in force from its 101 on. Messages of the extended handshake are not the
    /// application's and pass no extension on their way out; but a peer whose WebSocket compresses all that it sends
    /// compresses these as well.
    mutating func installForHandshake(
        _ negotiated: [NegotiatedExtension],
        from extensions: [any WebSocketExtension],
        now: NIODeadline
    ) {
        self.install(negotiated, from: extensions, now: now)
        self.link.codec.allowedReservedBits = self.socket.extensions?.reservedBits ?? 0
    }

    /// `true` when the application gets chunks. Transforms of whole messages need the whole message.
    var streamsMessages: Bool {
        self.configuration.delivery == .chunks && self.socket.extensions?.needsWholeMessages != true
    }

    mutating func extensionsOpened(at url: WebSocketURL, now: NIODeadline) {
        do {
            try self.socket.extensions?.opened(url: url, now: now)
        } catch {
            return self.failExtension(error, now: now)
        }
        self.performOutgoing(now: now)
    }

    mutating func extensionsTimeReached(now: NIODeadline) {
        let received = self.socket.lastReceived
        do {
            try self.socket.extensions?.deadlineReached(now: now, received: received)
        } catch {
            return self.failExtension(error, now: now)
        }
        self.performOutgoing(now: now)
    }

    private mutating func failExtension(_ error: any Error, now: NIODeadline) {
        let known = error as? WebSocketError
        let code = known?.closeCode.flatMap { $0.isValidOnWire ? $0 : nil } ?? .internalError
        if self.failure == nil {
            self.failure =
                known.map { self.located($0) }
                ?? WebSocketError(
                    .extensionFailed,
                    "An extension could not handle a message: \(error).",
                    closeCode: code,
                    phase: .open
                )
        }
        if code != .internalError { self.shouldLinger = self.role == .server }
        self.perform(self.link.closing.fail(ClosePayload(code: code), now: now), now: now)
    }

    // MARK: Receiving

    /// The pending output of the frame transforms.
    mutating func nextFromExtensions(now: NIODeadline) -> ConnectionAction? {
        while self.stage.takesMessages, !self.link.codec.isFinished, self.socket.extensions?.isPending == true {
            let event: InboundFrameEvent?
            let streams = self.streamsMessages
            let limit = self.configuration.limits.messages.messageBytes
            do throws(ExtensionStack.Failure) {
                event = try self.socket.extensions?.next(limit: limit, streams: streams)
            } catch {
                self.fail(error, now: now)
                return nil
            }
            switch event {
            case .message(let kind, let payload, _):
                if let action = self.delivered(kind, payload, self.socket.extensions?.wireBytes, now: now) {
                    return action
                }
            case .chunk(let kind, let payload, let isFirst, let isLast, _):
                self.socket.dataMoved(now)
                let chunk = MessageChunk(kind: kind, bytes: payload, isFirst: isFirst, isLast: isLast)
                guard self.observesFrames else { return .chunk(chunk) }
                let wireBytes = self.socket.extensions?.takeWireBytes() ?? 0
                return self.observed(chunk, wireBytes: wireBytes)
            default: return nil
            }
        }
        return nil
    }

    /// Takes a piece with reserved bits, as frames hold it.
    mutating func pass(_ piece: MessagePiece, now: NIODeadline) -> ConnectionAction? {
        self.socket.extensions?.receive(piece)
        return self.nextFromExtensions(now: now)
    }

    private mutating func fail(_ failure: ExtensionStack.Failure, now: NIODeadline) {
        // No byte after the failure counts.
        self.link.codec.stop()
        switch failure {
        case .violation(let violation): self.violated(violation, now: now)
        case .failed(let error): self.failExtension(error, now: now)
        }
    }

    /// A whole message, through the message transforms and past the observer to the application.
    mutating func delivered(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        _ wireBytes: Int? = nil,
        now: NIODeadline
    ) -> ConnectionAction? {
        var result: ConnectionAction? = .message(kind: kind, payload: payload)
        if self.socket.extensions?.needsWholeMessages == true {
            let message: WebSocketMessage =
                switch kind {
                case .text: .text(String(buffer: payload))
                case .binary: .binary(payload)
                }
            let received = self.socket.lastReceived
            do {
                switch try self.socket.extensions?.inbound(message, now: now, received: received) {
                case .text(let text): result = .message(kind: .text, payload: ByteBuffer(string: text))
                case .binary(let bytes): result = .message(kind: .binary, payload: bytes)
                case nil: result = nil
                }
            } catch {
                self.failExtension(error, now: now)
                return nil
            }
            // Threat C1: what an extension makes of a message counts, as what arrived did.
            let limit = self.configuration.limits.messages.messageBytes
            if case .message(_, let payload) = result, payload.readableBytes > limit {
                self.link.codec.stop()
                self.violated(.tooBig(limit: limit), now: now)
                return nil
            }
        }
        // A message that an extension keeps, such as a ping of its own, does not count as data.
        if result != nil { self.socket.dataMoved(now) } else { self.socket.partsDoNotCount() }
        if self.observesFrames {
            var info = FrameInfo(kind: FrameInfo.Kind(kind), payload: payload)
            if let wireBytes { info.wireBytes = wireBytes }
            self.actions.append(.event(.frameReceived(info)))
        }
        self.performOutgoing(now: now)
        if self.configuration.delivery == .chunks, case .message(let kind, let payload) = result {
            result = .chunk(MessageChunk(kind: kind, bytes: payload, isFirst: true, isLast: true))
        }
        guard self.observesFrames || !self.actions.isEmpty else { return result }
        if let result { self.actions.append(result) }
        return self.actions.popFirst()
    }

    /// The next event of the extended handshake, whose messages a peer may have sent through what the opening
    /// negotiated.
    mutating func nextHandshakeEvent() throws(FrameViolation) -> InboundFrameEvent? {
        guard self.socket.extensions != nil else { return try self.link.codec.next(&self.inbound) }
        while true {
            if self.socket.extensions?.isPending == true {
                let limit = Limits.extendedHandshakeMessages.messageBytes
                do throws(ExtensionStack.Failure) {
                    if let event = try self.socket.extensions?.next(limit: limit, streams: false) { return event }
                } catch {
                    throw error.violation
                }
            }
            guard let event = try self.link.codec.next(&self.inbound) else { return nil }
            switch event {
            case .message(let kind, let payload, let reserved) where reserved != 0:
                self.socket.extensions?.receive(MessagePiece(kind, payload, reservedBits: .init(rawValue: reserved)))
            case .chunk(let kind, let payload, let isFirst, let isLast, let reserved):
                let bits = ReservedBits(rawValue: reserved)
                self.socket.extensions?.receive(
                    MessagePiece(kind, payload, reservedBits: bits, isFirst: isFirst, isLast: isLast)
                )
            default: return event
            }
        }
    }

    // MARK: Sending

    mutating func sendThroughExtensions(
        _ message: WebSocketMessage,
        options: SendOptions = [],
        now: NIODeadline
    ) throws(WebSocketError) {
        guard self.socket.extensions?.needsWholeMessages == true else {
            return try self.writeThroughFrames(message, options, now: now)
        }
        let received = self.socket.lastReceived
        do {
            try self.socket.extensions?.outbound(message, now: now, received: received)
        } catch {
            // Messages that were to go ahead of it do not go either.
            _ = self.socket.extensions?.takeOutgoing()
            // The transforms before it may have counted the message as sent: their state then differs from the peer's.
            if self.socket.extensions?.messageTransforms != 1 { self.failExtension(error, now: now) }
            throw (error as? WebSocketError)
                ?? WebSocketError(.extensionFailed, "An extension refused the message: \(error).", phase: .open)
        }
        for outgoing in self.socket.extensions?.takeOutgoing() ?? [] { try self.perform(outgoing, options, now: now) }
    }

    mutating func sendThroughExtensions(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        options: SendOptions = [],
        now: NIODeadline
    ) throws(WebSocketError) {
        guard self.socket.extensions?.needsWholeMessages == true else {
            try self.write(MessagePiece(kind, payload, options: options), now: now)
            return
        }
        let message: WebSocketMessage = kind == .text ? .text(String(buffer: payload)) : .binary(payload)
        try self.sendThroughExtensions(message, options: options, now: now)
    }

    /// Queues a message with options.
    /// - Returns: how many bytes wait to be written.
    @discardableResult
    package mutating func send(
        _ message: WebSocketMessage,
        options: SendOptions,
        now: NIODeadline
    ) throws(WebSocketError) -> Int {
        try self.checkSending()
        if self.socket.extensions == nil {
            try self.write(message, now: now)
        } else {
            try self.sendThroughExtensions(message, options: options, now: now)
        }
        self.socket.dataMoved(now)
        return self.output.pendingBytes
    }

    private mutating func writeThroughFrames(
        _ message: WebSocketMessage,
        _ options: SendOptions,
        now: NIODeadline
    ) throws(WebSocketError) {
        guard self.socket.extensions?.transformsFrames == true else { return try self.write(message, now: now) }
        switch message {
        case .text(let text): try self.write(MessagePiece(.text, ByteBuffer(string: text), options: options), now: now)
        case .binary(let bytes): try self.write(MessagePiece(.binary, bytes, options: options), now: now)
        }
    }

    /// Writes a message, or a piece of one, through the frame transforms.
    /// - Returns: the frame that was written.
    @discardableResult
    mutating func write(_ piece: MessagePiece, now: NIODeadline) throws(WebSocketError) -> ExtensionStack.Frame? {
        let frame: ExtensionStack.Frame?
        do {
            frame = try self.socket.extensions?.encode(piece)
        } catch {
            // The state of the transforms may differ from the peer's: no message can follow.
            let known = error as? WebSocketError
            self.failExtension(error, now: now)
            throw known
                ?? WebSocketError(.extensionFailed, "An extension refused the message: \(error).", phase: .open)
        }
        guard let frame else { return nil }
        try self.write(frame, of: piece.kind, plain: piece.bytes, now: now)
        return frame
    }

    /// Writes an output of the frame transforms, or a frame that equals it.
    mutating func write(
        _ frame: ExtensionStack.Frame,
        of kind: MessageKind,
        plain: ByteBuffer,
        now: NIODeadline
    ) throws(WebSocketError) {
        try self.write(
            kind,
            frame.bytes,
            isFirst: frame.isFirst,
            isLast: frame.isLast,
            reservedBits: frame.reservedBits,
            plain: plain,
            now: now
        )
    }

    // MARK: Answers of extensions

    /// Asks the peer to prove anew who it is, by an HTTP request for a path, where an extension can.
    /// - Returns: `false` where none can.
    package mutating func askToRevalidate(_ path: String, now: NIODeadline) throws(WebSocketError) -> Bool {
        guard self.stage.isOpen, self.link.closing.canSend else { throw self.closedError }
        guard let extensions = self.socket.extensions else { return false }
        let isAsked: Bool
        do {
            isAsked = try extensions.askToRevalidate(path, now: now, received: self.socket.lastReceived)
        } catch {
            throw (error as? WebSocketError)
                ?? WebSocketError(.extensionFailed, "An extension could not ask: \(error).", phase: .open)
        }
        self.performOutgoing(now: now)
        return isAsked
    }

    /// Answers the peer's latest ping in messages.
    mutating func answerPingThroughExtensions(now: NIODeadline) {
        guard self.stage.isOpen, let extensions = self.socket.extensions else { return }
        do {
            guard try extensions.answerPing(now: now, received: self.socket.lastReceived) else { return }
        } catch {
            return self.failExtension(error, now: now)
        }
        self.socket.pingAnswered()
        self.performOutgoing(now: now)
    }

    /// Does the work that hooks have asked for. Never interleaves messages with one that the application sends in
    /// pieces: they wait for its end. Where an extension handles messages, none of those pieces is out yet.
    mutating func performOutgoing(now: NIODeadline) {
        guard self.socket.extensions?.hasOutgoing == true else { return }
        let isInside = self.socket.stream != nil && self.socket.extensions?.needsWholeMessages != true
        var waiting: [ExtensionStack.Outgoing] = []
        for outgoing in self.socket.extensions?.takeOutgoing() ?? [] {
            if case .message = outgoing, isInside {
                waiting.append(outgoing)
                continue
            }
            // A transform that fails has failed the connection.
            do throws(WebSocketError) { try self.perform(outgoing, [], now: now) } catch { return }
        }
        guard !waiting.isEmpty else { return }
        guard waiting.count <= Self.waitingMessages else {
            let sentence = "An extension sends more than can wait for the end of a message that is sent in pieces."
            return self.failExtension(WebSocketError(.limitExceeded, sentence, phase: .open), now: now)
        }
        self.socket.extensions?.putBack(waiting)
    }

    /// How many messages of extensions may wait: what needs more should not be sent in pieces, or not by the clock.
    private static let waitingMessages = 64

    private mutating func perform(
        _ outgoing: ExtensionStack.Outgoing,
        _ options: SendOptions,
        now: NIODeadline
    ) throws(WebSocketError) {
        guard self.stage.isOpen, self.link.closing.canSend else { return }
        switch outgoing {
        case .message(let message): try self.writeThroughFrames(message, options, now: now)
        // The older dialects have none.
        case .ping where !self.link.codec.abilities.contains(.pings): break
        case .ping:
            let payload = self.socket.keepAlive?.pingAside(now) ?? ByteBuffer()
            self.socket.extensions?.sent(now: now)
            self.writePing(payload)
        case .control:
            guard self.link.admitsControlFrame(now) else { return self.violated(ControlFrameRate.violation, now: now) }
            self.answerPendingPing(now: now)
        case .close(let code, let reason): self.close(code: code, reason: reason, now: now)
        }
    }
}

extension ExtensionStack.Failure {
    /// As the extended handshake has it, which knows no other errors.
    fileprivate var violation: FrameViolation {
        switch self {
        case .violation(let violation): return violation
        case .failed(let error):
            let code = (error as? WebSocketError)?.closeCode ?? .internalError
            return FrameViolation(closeCode: code, message: "an extension could not handle a message")
        }
    }
}
