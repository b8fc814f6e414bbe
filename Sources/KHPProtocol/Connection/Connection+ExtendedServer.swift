// The server's extended handshake: requests go to the shell, its answers become messages, the completing one opens.

package import NIOCore

extension Connection {
    mutating func startExtendedServer(_ request: OpeningRequest, acceptValue: String, now: NIODeadline) {
        self.server?.extended = ExtendedServer(
            opening: request,
            acceptValue: acceptValue,
            server: self.settings.serverName,
            limits: self.settings.limits,
            now: now
        )
        self.phase = .extended
    }

    /// The shell's answer to the last extended request.
    package mutating func answerExtended(
        _ answer: ServerAnswer,
        subprotocol: String?,
        principal: String?,
        now: NIODeadline
    ) {
        guard self.phase == .extended, let request = self.server?.asked else { return }
        self.server?.plan.principal = principal
        var extended = ExtendedAnswer(
            status: answer.status,
            reason: answer.reason,
            fields: answer.fields,
            entity: answer.entity
        )
        extended.isStale = answer.isStale
        if extended.completes {
            let subprotocols = self.server?.plan.subprotocols ?? []
            let extensions = self.server?.plan.extensions ?? []
            extended.negotiated = Negotiated(
                subprotocol: subprotocol
                    ?? Subprotocols.choose(supported: subprotocols, offered: request.subprotocols),
                extensions: ExtensionNegotiation.choose(
                    from: request.extensionOffers,
                    supported: extensions,
                    layer: .extended
                )
            )
        }
        let date = self.settings.date()
        if let action = self.server?.extended?.respond(extended, date: date, now: now) {
            self.perform(action, now: now)
        }
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
                self.completeExtended(negotiated, now: now)
            case .waitForReplay:
                self.server?.challenges += 1
            case .waitForAnswer:
                break
            case .close(let code):
                self.leave(code, now: now)
            }
        }
    }

    private mutating func completeExtended(_ negotiated: Negotiated, now: NIODeadline) {
        guard let request = self.server?.request else { return }
        let negotiation = Negotiation(
            url: self.url(of: request),
            dialect: request.dialect,
            subprotocol: negotiated.subprotocol,
            extensions: negotiated.extensions,
            status: self.server?.lastStatus,
            response: nil,
            challenges: self.server?.challenges ?? 0,
            principal: self.server?.plan.principal
        )
        let transforms = negotiated.extensions.transforms(from: self.server?.plan.extensions ?? [], role: .server)
        self.open(negotiation, transforms: transforms, now: now)
    }

    private mutating func sendExtendedAnswer(_ message: ByteBuffer) {
        self.writeHandshakeMessage(message)
        // "HTTP/1.1 200": the digits stand at a fixed place in what we write.
        let digits = message.getString(at: message.readerIndex + 9, length: 3)
        let status = digits.flatMap { Int($0) } ?? 0
        self.server?.lastStatus = status
        guard self.isObserved else { return }
        let action = StatusAction.action(forStatus: status, expectsContinue: status == 100)
        var body = message
        var decoder = ResponseHeadDecoder(limits: Redaction.unlimited)
        _ = try? decoder.decode(&body)
        self.actions.append(
            .event(
                .extendedResponse(head: Redaction.head(of: message), status: status, action: action, body: body)
            )
        )
    }
}
