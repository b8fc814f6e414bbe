// The server's extended handshake: requests go to the shell, its answers become messages, the completing one opens.

package import NIOCore

extension Connection {
    mutating func startExtendedServer(_ request: OpeningRequest, acceptValue: String, now: NIODeadline) {
        let url = self.url(of: request)
        let negotiated = self.server?.openingExtensions ?? []
        self.server?.extended = ExtendedServer(
            opening: request,
            acceptValue: acceptValue,
            negotiatedExtensions: negotiated,
            server: self.configuration.serverName,
            legacy: self.legacy,
            url: url,
            limits: self.configuration.limits,
            now: now
        )
        self.phase = .extended
        // D7: the client says nothing before it knows that it is at the right place.
        if self.legacy.hasBalancer { self.sendLegacy(.noBalancer) }
    }

    /// The shell's answer to the last extended request.
    package mutating func answerExtended(_ response: HandshakeResponse, principal: String?, now: NIODeadline) {
        self.takeEarlyMessages(now: now)
        guard self.phase == .extended, let request = self.server?.asked else { return }
        self.server?.plan.principal = principal
        var response = response
        var negotiated = Agreement()
        if response.completes {
            let subprotocols = self.server?.plan.subprotocols ?? []
            do throws(OfferedExtensions.Refused) {
                negotiated = Agreement(
                    subprotocol: response.subprotocol
                        ?? Subprotocols.choose(supported: subprotocols, offered: request.subprotocols),
                    extensions: try OfferedExtensions.choose(
                        from: request.extensionOffers,
                        supported: (self.server?.plan.extensions ?? []).speakable(
                            over: self.link.codec.abilities,
                            asked: request.extensionOffers
                        ),
                        layer: .extended,
                        beside: self.server?.openingExtensions ?? []
                    )
                )
            } catch {
                response = Refusal(error.status, error.sentence).response
            }
        }
        let date = self.configuration.date()
        let action = self.server?.extended?.respond(response, negotiated: negotiated, date: date, now: now)
        if let action {
            if let fault = self.server?.extended?.fault { self.reportFaultyAnswer(fault, phase: .extended) }
            self.perform(action, now: now)
        }
    }

    /// Takes all that came behind the request, and so before the answer to it, however quick that is: messages are too
    /// early, control frames are served (KHP-E3, D33).
    private mutating func takeEarlyMessages(now: NIODeadline) {
        while self.phase == .extended {
            let before = self.inbound.readableBytes
            self.advanceExtended(now: now)
            if self.inbound.readableBytes == before { break }
        }
        guard self.phase == .extended, self.link.codec.hasBegunMessage(self.inbound),
            let action = self.server?.extended?.receiveTooEarly(date: self.configuration.date())
        else { return }
        self.perform(action, now: now)
    }

    mutating func perform(_ action: ExtendedServer.Action, now: NIODeadline) {
        switch action {
        case .none:
            break
        case .request(let request):
            if self.isObserved { self.actions.append(.event(.extendedRequest(head: request.head.redactedText))) }
            self.server?.asked = request
            self.actions.append(.decideExtended(request))
        case .sendContinue(let message):
            self.sendExtendedAnswer(message)
        case .refuse(let message, let close, let explanation):
            if let message { self.sendExtendedAnswer(message) }
            self.shouldLinger = true
            let isLate = close == .policyViolation
            self.fail(
                WebSocketError(
                    isLate ? .timeout : .extendedInvalid,
                    explanation,
                    closeCode: close,
                    phase: .extended
                ),
                close: close,
                now: now
            )
        case .send(let message, let next):
            self.sendExtendedAnswer(message)
            switch next {
            case .open(let negotiated):
                if self.legacy.hasBalancer { self.sendLegacy(.noBalancer) }
                self.completeExtended(negotiated, now: now)
            case .balance(let message):
                self.sendLegacy(message)
                self.leave(.normalClosure, now: now)
            case .waitForReplay:
                self.server?.challenges += 1
            case .waitForAnswer:
                break
            case .close(let code):
                self.leave(code, now: now)
            }
        }
    }

    private mutating func completeExtended(_ negotiated: Agreement, now: NIODeadline) {
        guard let request = self.server?.request else { return }
        let extensions = self.server?.plan.extensions ?? []
        self.open(
            HandshakeSummary(
                url: self.url(of: request),
                dialect: self.link.codec.dialect,
                subprotocol: negotiated.subprotocol,
                extensions: (self.server?.openingExtensions ?? []) + negotiated.extensions,
                status: self.server?.lastStatus,
                response: nil,
                challenges: self.server?.challenges ?? 0,
                principal: self.server?.plan.principal
            ),
            extensions: extensions,
            now: now
        )
    }

    private mutating func sendExtendedAnswer(_ message: WrittenResponse) {
        self.writeHandshakeMessage(message.bytes)
        let status = message.status
        self.server?.lastStatus = status
        // D7: the empty message behind each response, whatever it says.
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
