// The server's extended handshake: requests go to the shell, its answers become messages, the completing one opens.

package import NIOCore

extension Connection {
    mutating func startExtended(
        _ request: OpeningRequest,
        _ accepted: AcceptedPlan,
        acceptValue: AcceptValue,
        negotiated: [NegotiatedExtension] = [],
        of server: ServerHandshake,
        now: NIODeadline
    ) {
        server.extend(
            ServerHandshake.Extended(
                // Made where it goes, as a copy of it costs as much as its request.
                ExtendedServer(
                    opening: request,
                    acceptValue: acceptValue,
                    negotiatedExtensions: negotiated,
                    server: self.configuration.serverName,
                    legacy: self.legacy,
                    url: request.url(isSecure: server.isSecure),
                    limits: self.configuration.limits,
                    waits: self.configuration.waits.handshake,
                    now: now
                ),
                opening: request,
                accepted: accepted,
                openingExtensions: negotiated
            )
        )
        // D7: the client sends nothing before it knows that no balancer message redirects it.
        if self.legacy.hasBalancer { self.sendLegacy(.noBalancer) }
    }

    /// The shell's answer to the last extended request. One that comes late, when the connection has ended by itself, is
    /// left alone.
    package mutating func answerExtended(_ response: HandshakeResponse, principal: String?, now: NIODeadline) {
        self.takeEarlyMessages(now: now)
        guard let extended = self.extendedServer, let request = extended.machine.request else { return }
        extended.accepted.principal = principal
        guard response.completes else { return self.answer(response, Agreement(), in: extended, now: now) }
        do throws(OfferedExtensions.Refused) {
            let negotiated = Agreement(
                subprotocol: response.subprotocol
                    ?? Subprotocols.choose(
                        supported: extended.accepted.plan.values.subprotocols,
                        offered: request.subprotocols
                    ),
                extensions: try OfferedExtensions.choose(
                    from: request.extensionOffers,
                    supported: extended.accepted.extensions.speakable(
                        over: self.link.codec.abilities,
                        asked: request.extensionOffers
                    ),
                    layer: .extended,
                    beside: extended.openingExtensions
                )
            )
            self.answer(response, negotiated, in: extended, now: now)
        } catch {
            self.answer(Refusal(error.status, error.sentence).response, Agreement(), in: extended, now: now)
        }
    }

    private mutating func answer(
        _ response: HandshakeResponse,
        _ negotiated: Agreement,
        in extended: ServerHandshake.Extended,
        now: NIODeadline
    ) {
        var response = response
        let dialect = self.link.codec.dialect
        // W10-8: a message is UTF-8 and nothing else.
        if dialect.framing == .whatwg2010, !response.body.withUnsafeReadableBytes({ UTF8Validator.isValid($0) }) {
            response.fault = "\(dialect) has no binary messages; the content of the answer must be UTF-8."
        }
        let date = self.configuration.date()
        let action = extended.machine.respond(response, negotiated: negotiated, date: date, now: now)
        if let fault = extended.machine.fault { self.reportFaultyAnswer(fault, phase: .extended) }
        self.perform(action, in: extended, now: now)
    }

    private var extendedServer: ServerHandshake.Extended? {
        guard let server = self.stage.server, case .extended(let extended) = server.state else { return nil }
        return extended
    }

    /// Takes all that came after the request, and so before the answer to it, however quick that is: messages are too
    /// early, control frames are served (KHP-E3, D33).
    private mutating func takeEarlyMessages(now: NIODeadline) {
        while self.inbound.readableBytes > 0, self.extendedServer != nil {
            let before = self.inbound.readableBytes
            self.advanceExtended(now: now)
            if self.inbound.readableBytes == before { break }
        }
        guard let extended = self.extendedServer, self.link.codec.hasBegunMessage(self.inbound) else { return }
        let action = extended.machine.receiveTooEarly(date: self.configuration.date())
        self.perform(action, in: extended, now: now)
    }

    mutating func perform(_ action: ExtendedServer.Action, in extended: ServerHandshake.Extended, now: NIODeadline) {
        switch action {
        case .none:
            break
        case .request(let request):
            if self.isObserved { self.actions.append(.event(.extendedRequest(head: request.head.redactedText))) }
            self.actions.append(.server(.decideExtended(request)))
        case .sendContinue(let message):
            self.send(message, in: extended)
        case .refuse(let message, let close, let explanation):
            if let message { self.send(message, in: extended) }
            self.shouldLinger = true
            // D6: 1008 and 1009 are for limits; whoever is late gets 1008 without an answer, or behind a 503.
            let isLate = close == .policyViolation && (message?.status ?? 503) == 503
            let isLimit = close == .policyViolation || close == .messageTooBig
            let code: WebSocketError.Code = isLate ? .timeout : isLimit ? .limitExceeded : .extendedInvalid
            self.fail(
                WebSocketError(
                    code,
                    explanation,
                    closeCode: close,
                    phase: .extended
                ),
                close: close,
                now: now
            )
        case .send(let message, let next):
            self.send(message, in: extended)
            switch next {
            case .open(let negotiated):
                if self.legacy.hasBalancer { self.sendLegacy(.noBalancer) }
                self.complete(extended, negotiated, now: now)
            case .balance(let message):
                self.sendLegacy(message)
                self.leave(.normalClosure, now: now)
            case .waitForReplay:
                extended.challenges += 1
            case .waitForAnswer:
                break
            case .close(let code):
                self.leave(code, now: now)
            }
        }
    }

    private mutating func complete(
        _ extended: ServerHandshake.Extended,
        _ negotiated: Agreement,
        now: NIODeadline
    ) {
        guard let server = self.stage.server else {
            return assertionFailure("the handshake completes outside of its stage")
        }
        let extensions =
            negotiated.extensions.isEmpty
            ? extended.openingExtensions : extended.openingExtensions + negotiated.extensions
        self.open(
            .opened(
                HandshakeSummary(
                    url: extended.opening.url(isSecure: server.isSecure),
                    dialect: self.link.codec.dialect,
                    subprotocol: negotiated.subprotocol,
                    extensions: extensions,
                    status: extended.lastStatus,
                    response: nil,
                    challenges: extended.challenges,
                    principal: extended.accepted.principal
                )
            ),
            negotiated: extensions,
            isExtended: true,
            extensions: extended.accepted.extensions,
            sessionLifetime: extended.accepted.plan.values.sessionLifetime,
            now: now
        )
    }

    private mutating func send(_ message: WrittenResponse, in extended: ServerHandshake.Extended) {
        switch message.content {
        case .bytes(let bytes, _): self.writeHandshakeMessage(bytes)
        case .acceptance(let acceptance): self.writeHandshakeMessage(acceptance)
        }
        let status = message.status
        extended.lastStatus = status
        // D7: the empty message after each response, whatever it says.
        defer { if self.legacy.hasTerminator { self.sendLegacy(.endOfResponse) } }
        guard self.isObserved else { return }
        let action = StatusAction.action(forStatus: status, expectsContinue: status == 100)
        let head = Redaction.head(of: message.bytes)
        self.actions.append(.event(.extendedResponse(head: head, status: status, action: action, body: message.body)))
    }

    mutating func sendLegacy(_ message: KaazingLegacyMessage) {
        self.writeHandshakeMessage(message.payload)
        if self.isObserved { self.actions.append(.event(.kaazingLegacy(message))) }
    }
}
