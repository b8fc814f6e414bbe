// What a connection does otherwise in the dialects before RFC 6455: no masks, opcodes, fragments, pings or close codes.
//
//                hixie-75              hixie-76                          whatwg-2010
//   opens        on three lines        on two keys and eight bytes       as hixie-76
//   closes       by ending TCP         0xFF 0x00 each way                nine zero bytes each way
//   simply ends  as good as any end    no failure                        not clean
//   binary       where the extended handshake was agreed on (0x80)       never
//   streams      text                  text                              never: its frames begin with their length

import HTTPTypes
import NIOCore

/// The 101 that waits for the eight bytes behind its request.
struct AwaitedKey {
    var request: OpeningRequest
    var plan: EndpointPlan
    var head: ResponseHead
    var subprotocol: String?
    var isHeadSent: Bool
}

extension Connection {
    /// Frames and closing are of this dialect from now on.
    mutating func speak(_ dialect: Dialect) {
        self.dialect = dialect
        // Read until the socket opens, so within the extended handshake alone, whose messages may be of either kind.
        self.reader = MessageReader(
            dialect,
            role: self.role,
            limits: Limits.extendedHandshakeMessages,
            acceptsBinary: true
        )
        self.closing = ClosingHandshake(
            role: self.closingRole,
            timeout: min(self.configuration.waits.close, .seconds(2))
        )
    }

    /// RFC 6455 leaves it to the server to end TCP first; before, whoever has seen both closing frames did (W10-9).
    ///
    /// Mutating in form only, as ``deadline`` is.
    var closingRole: Role {
        mutating get { self.dialect.closing == .codes ? self.role : .server }
    }

    // MARK: Server: accepting

    mutating func accept(
        _ request: OpeningRequest,
        _ plan: EndpointPlan,
        response: HandshakeResponse?,
        in dialect: Dialect,
        now: NIODeadline
    ) {
        let subprotocol =
            plan.extended
            ? Subprotocols.extendedHandshake
            : response?.subprotocol ?? Subprotocols.choose(supported: plan.subprotocols, offered: request.subprotocols)
        // D40
        guard
            dialect != .whatwg2010 || subprotocol != nil || request.subprotocols.isEmpty
                || plan.servesWithoutSubprotocol
        else { return self.refuseOpening(.noSubprotocol(), now: now) }
        let head = OpeningServer.acceptance(
            of: request,
            in: dialect,
            location: self.url(of: request),
            subprotocol: subprotocol,
            fields: response?.headers ?? HTTPFields()
        )
        self.speak(dialect)
        self.server?.plan = plan
        var awaited = AwaitedKey(
            request: request,
            plan: plan,
            head: head,
            subprotocol: subprotocol,
            isHeadSent: false
        )
        if plan.answersBeforeKeys || dialect.opening == .invariant {
            self.output.write { head.write(into: &$0) }
            awaited.isHeadSent = true
        }
        guard dialect.opening == .twoKeys else { return self.accepted(awaited, now: now) }
        self.server?.awaiting = awaited
        self.phase = .awaitingKey
    }

    /// W10-7: the bytes come late, or with the first frames behind them. The opening's deadline bounds them (threat D5).
    mutating func advanceAwaitingKey(now: NIODeadline) {
        guard let awaited = self.server?.awaiting, let numbers = awaited.request.numbers,
            let key3 = self.inbound.readBytes(length: 8)
        else { return }
        self.server?.awaiting = nil
        guard let answer = HixieKeys.answer(numbers.first, numbers.second, key3) else {
            self.phase = .deciding
            return self.refuseOpening(Refusal(500, "This server cannot compute MD5."), now: now)
        }
        self.output.write { buffer in
            if !awaited.isHeadSent { awaited.head.write(into: &buffer) }
            buffer.writeBytes(answer)
        }
        self.accepted(awaited, now: now)
    }

    private mutating func accepted(_ awaited: AwaitedKey, now: NIODeadline) {
        if self.isObserved {
            self.actions.append(.event(.openingResponse(head: awaited.head.redactedText, status: 101)))
        }
        self.isFramed = true
        self.openingDeadline = nil
        guard !awaited.plan.extended else {
            return self.startExtendedServer(awaited.request, acceptValue: "", now: now)
        }
        let negotiation = HandshakeSummary(
            url: self.url(of: awaited.request),
            dialect: self.dialect,
            subprotocol: awaited.subprotocol,
            extensions: [],
            status: nil,
            response: nil,
            principal: awaited.plan.principal
        )
        self.open(negotiation, extensions: [], now: now)
    }

    mutating func awaitedTooLong(now: NIODeadline) {
        guard self.server?.awaiting?.isHeadSent == false else { return self.end(clean: false) }
        self.phase = .deciding
        self.refuseOpening(Refusal(408, "The eight bytes behind the request did not come in time."), now: now)
    }

    // MARK: Receiving

    /// A frame of an unknown type (W10-8).
    mutating func reportDropped() {
        guard self.isObserved else { return }
        let error = WebSocketError(
            .protocolViolation,
            "The peer sent a frame of a type that \(self.dialect) does not know; it was passed over.",
            phase: .open
        )
        self.actions.append(.event(.violation(self.located(error))))
    }

    // MARK: Sending

    @inline(never)
    mutating func sendInDialect(_ message: WebSocketMessage, now: NIODeadline) throws(WebSocketError) -> Int {
        if self.extensions == nil {
            try self.writeInDialect(message, now: now)
        } else {
            try self.sendThroughExtensions(message, now: now)
        }
        return self.output.pendingBytes
    }

    @inline(never)
    mutating func sendInDialect(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        now: NIODeadline
    ) throws(WebSocketError) -> Int {
        if self.extensions == nil {
            try self.writeInDialect(kind, payload, now: now)
        } else {
            let message: WebSocketMessage = kind == .text ? .text(String(buffer: payload)) : .binary(payload)
            try self.sendThroughExtensions(message, now: now)
        }
        return self.output.pendingBytes
    }

    /// A message as its frame, behind all extensions.
    mutating func writeInDialect(_ message: WebSocketMessage, now: NIODeadline) throws(WebSocketError) {
        switch message {
        case .text(let text): try self.writeInDialect(.text, ByteBuffer(string: text), now: now)
        case .binary(let bytes): try self.writeInDialect(.binary, bytes, now: now)
        }
    }

    private mutating func writeInDialect(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        now: NIODeadline
    ) throws(WebSocketError) {
        switch kind {
        case .text:
            try self.checkText(payload)
            self.writeText(payload)
        case .binary:
            guard self.sendsBinary else {
                throw WebSocketError(
                    .invalidArgument,
                    "\(self.dialect) has no binary messages; send text, or encode the bytes as text.",
                    phase: .open
                )
            }
            let writer = DialectFrameWriter(self.dialect)
            self.output.write { writer.writeBinary(payload, into: &$0) }
        }
        self.noteSent(kind == .text ? "text" : "binary", payload, now)
    }

    private mutating func noteSent(_ kind: String, _ payload: ByteBuffer, _ now: NIODeadline) {
        self.sentPayload &+= payload.readableBytes
        if self.idleSince != nil { self.idleSince = now }
        if self.isObserved { self.actions.append(.event(.frameSent(FrameInfo(kind: kind, payload: payload)))) }
    }

    mutating func writeText(_ payload: ByteBuffer) {
        let writer = DialectFrameWriter(self.dialect)
        self.output.write { output in
            payload.withUnsafeReadableBytes { writer.writeText($0, into: &output) }
        }
    }

    /// 0xFF is no part of UTF-8, and in the hixie dialects it would end the frame: what follows would be frames that
    /// nobody sent.
    func checkText(_ payload: ByteBuffer) throws(WebSocketError) {
        guard self.dialect.framing == .hixie, payload.readableBytesView.contains(0xFF) else { return }
        throw WebSocketError(.invalidArgument, "The text holds 0xFF, which is no UTF-8.", phase: .open)
    }

    func checkStreaming(_ kind: MessageKind) throws(WebSocketError) {
        switch self.dialect.framing {
        case .rfc6455: return
        case .hixie where kind == .text: return
        case .hixie, .whatwg2010:
            throw WebSocketError(
                .invalidArgument,
                "\(self.dialect) has no way to send \(kind) messages in pieces; send this one whole.",
                phase: .open
            )
        }
    }

    /// A piece of a text in a hixie dialect: its frame ends where 0xFF stands.
    mutating func writeInDialect(_ bytes: ByteBuffer, isFirst: Bool, isLast: Bool, _ now: NIODeadline) {
        self.output.write { output in
            if isFirst { output.writeInteger(0x00 as UInt8) }
            output.writeImmutableBuffer(bytes)
            if isLast { output.writeInteger(0xFF as UInt8) }
        }
        self.noteSent(isFirst ? "text" : "continuation", bytes, now)
    }

    func checkPing() throws(WebSocketError) {
        guard self.dialect.framing != .rfc6455 else { return }
        throw WebSocketError(.invalidArgument, "\(self.dialect) has no pings.", phase: .open)
    }

    // MARK: Closing

    mutating func performWithoutCodes(_ action: ClosingHandshake.Action, now: NIODeadline) {
        // The closing frame of hixie-76 begins with what ends a text: one that is still being sent would look whole.
        let isInText = self.dialect.framing == .hixie && self.streaming?.hasBegun == true
        switch action {
        case .none:
            break
        case .send:
            self.idleSince = nil
            if self.dialect.closing == .none {
                // H69-8. What the peer is still sending must not destroy what we sent.
                self.shouldLinger = true
                self.end(clean: !isInText)
            } else if isInText {
                self.end(clean: false)
            } else {
                self.writeClosingFrame()
            }
        case .sendThenDisconnect(let payload):
            // The answer to the peer's closing frame has no code; a failed connection has one, and just ends.
            if payload.code == nil, !isInText { self.writeClosingFrame() }
            self.end(clean: self.closing.isClean)
        case .disconnect:
            self.end(clean: self.closing.isClean)
        }
    }

    private mutating func writeClosingFrame() {
        let writer = DialectFrameWriter(self.dialect)
        self.output.write { writer.writeClose(into: &$0) }
        if self.isObserved { self.actions.append(.event(.frameSent(FrameInfo(kind: "close", payload: ByteBuffer())))) }
    }

    /// Whether an end of the stream without closing frames is no failure: it is how hixie-75 closes (H69-8), and how many
    /// peers of hixie-76 do. Not in the middle of a message.
    var maySimplyEnd: Bool {
        let isInside = self.ahead?.endsInside ?? (self.reader.unfinishedMessage != nil)
        return self.dialect.framing == .hixie && (!isInside || !self.closing.canSend)
    }

    /// Whether it makes no difference how the stream ends: we are closing, and the peer may just drop it.
    var endsAnyhow: Bool { self.dialect.framing == .hixie && !self.closing.canSend }

    func closeInfoWithoutCodes(isLocal: Bool) -> CloseInfo {
        let clean = self.dialect.closing == .none ? self.failure == nil : self.closing.isClean
        var failure = self.failure
        if failure == nil, !clean, self.wasOpen, self.dialect.framing == .whatwg2010 {
            failure = WebSocketError(
                .closed,
                "The connection ended before the closing handshake was complete.",
                phase: .closing
            )
        }
        return CloseInfo(
            code: nil,
            reason: "",
            clean: clean,
            initiator: isLocal ? .local : .peer,
            error: failure
        )
    }
}

extension [any WebSocketExtension] {
    /// Those that work in a dialect: only RFC 6455 has reserved bits to claim, and pings. Elsewhere the promise of
    /// x-kaazing-idle-timeout can be kept with the pings of x-kaazing-ping-pong alone.
    /// - Parameter asked: server: what the client offers.
    func speakable(in dialect: Dialect, asked: [ExtensionOffer]? = nil) -> [any WebSocketExtension] {
        guard dialect.framing != .rfc6455 else { return self }
        let pings = self.first { $0 is KaazingPingPong }
        let hasPings = pings.map { known in asked?.contains { $0.name == known.name } ?? true } ?? false
        return self.filter { $0.reservedBits.isEmpty && (hasPings || !($0 is KaazingIdleTimeout)) }
    }
}
