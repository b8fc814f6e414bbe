// The client's extended handshake: the actions of its machine become frames, steps for the shell, or the open socket.

import HTTPTypes
package import NIOCore

extension Connection {
    /// KHP-E1: x-kaazing-handshake was chosen, so the extended handshake is mandatory.
    mutating func startExtended(_ result: OpeningResult, _ client: ClientHandshake, now: NIODeadline) {
        let plan = client.plan
        var extended = ExtendedClientPlan(
            url: plan.url,
            method: plan.extended.method,
            subprotocols: plan.subprotocols,
            extensions: result.extensions,
            extraFields: plan.extended.headers,
            body: plan.extended.body,
            authorization: plan.extended.authorization?.value,
            acceptValue: result.acceptValue,
            followsPermanentRedirect: plan.extended.followsPermanentRedirect,
            legacy: self.legacy
        )
        extended.ignoresAcceptValue = result.opensByConnect
        var machine = ExtendedClient(
            extended,
            limits: self.configuration.limits,
            waits: self.configuration.waits.handshake
        )
        let request = machine.begin(now: now)
        client.extend(machine, opened: result)
        self.installForHandshake(result.extensions.negotiated, from: plan.extensions, now: now)
        self.actions.append(.client(.established(result.head)))
        if let request { self.sendExtendedRequest(request) }
    }

    private mutating func sendExtendedRequest(_ request: ByteBuffer) {
        self.writeHandshakeMessage(request)
        if self.isObserved { self.actions.append(.event(.extendedRequest(head: Redaction.requestHead(of: request)))) }
    }

    /// Sends the request again, with credentials for its challenge, on the same WebSocket (KHP-E17). Does nothing where the
    /// challenge is over.
    /// - Parameters:
    ///   - challenges: how many challenges the connect has answered with this one.
    ///   - deadline: the end of the whole connect, moved by the time that the handler took.
    package mutating func answerChallenge(
        _ authorization: RequestAuthorization,
        challenges: Int,
        deadline: NIODeadline,
        now: NIODeadline
    ) {
        guard let client = self.stage.client, case .extended(let extended) = client.state else { return }
        let request = client.replay(
            authorization,
            in: extended,
            challenges: challenges,
            connectDeadline: deadline,
            now: now
        )
        if let request { self.sendExtendedRequest(request) }
    }

    mutating func perform(_ action: ExtendedClient.Action, in extended: ClientHandshake.Extended, now: NIODeadline) {
        switch action {
        case .none:
            break
        case .complete(let result):
            if !self.legacy.hasBalancer { self.observe(result.response, .complete) }
            self.complete(extended, result, now: now)
        case .settled(let result):
            self.observe(result.response, .complete)
        case .sendRequest(let request):
            self.sendExtendedRequest(request)
        case .balanced(let target):
            // It stands for the 302 that a gateway sends to those who know nothing of its balancer (D7).
            let response = HandshakeResponse(status: 302, headers: [.location: target])
            let outcome = HopOutcome(kind: .balancer, layer: .extended, response: response)
            self.actions.append(.client(.hopEnded(outcome)))
            self.leave(.normalClosure, now: now)
        case .waiting(let response, _):
            self.observe(response, .wait)
        case .sendBody(let body, let response):
            if let response { self.observe(response, .sendBody) }
            self.writeHandshakeMessage(body)
        case .continued(let response):
            self.observe(response, .sendBody)
        case .challenge(let response):
            self.observe(response, .challenge)
            guard let client = self.stage.client else {
                return assertionFailure("a challenge comes outside of the handshake")
            }
            client.challengeInside()
            self.actions.append(.client(.challenge(response, .extended)))
        case .challengeAfresh(let response):
            self.hopEnded(.challenge, response, .challenge, now: now)
        case .redirect(let response):
            self.hopEnded(.redirect, response, .redirect, now: now)
        case .choose(let response):
            self.hopEnded(.choose, response, .choose, now: now)
        case .upgrade(let response):
            self.hopEnded(.upgrade, response, .upgrade, now: now)
        case .proxyAuthentication(let response):
            self.observe(response, .proxyAuth)
            self.fail(
                WebSocketError(
                    .proxyAuthenticationRequired,
                    "The server answered the extended handshake with 407: a proxy asks for credentials.",
                    response: response,
                    closeCode: .normalClosure,
                    phase: .extended
                ),
                close: .normalClosure,
                now: now
            )
        case .fail(let error, let close):
            if let response = error.response { self.observe(response, .close) }
            self.fail(error, close: close, now: now)
        }
    }

    private mutating func complete(
        _ extended: ClientHandshake.Extended,
        _ result: ExtendedResult,
        now: NIODeadline
    ) {
        guard let plan = self.stage.client?.plan else {
            return assertionFailure("the handshake completes outside of its stage")
        }
        if let proof = extended.proof {
            do throws(WebSocketError) {
                try proof.check(result.head.fields.all("Authentication-Info"), entity: result.entity)
            } catch {
                var error = error
                error.response = result.response
                error.phase = .extended
                self.fail(error, close: .internalError, now: now)
                return
            }
        }
        // Threat G15, W10-11: the cookies of the two answers that opened the socket, and of no other.
        let setCookies =
            plan.takesCookies
            ? KHPProtocol.setCookies(in: extended.opened.head) + KHPProtocol.setCookies(in: result.head) : []
        let negotiation = HandshakeSummary(
            url: plan.url,
            dialect: self.link.codec.dialect,
            subprotocol: result.subprotocol,
            extensions: result.extensions.negotiated,
            status: result.status,
            response: result.response,
            redirects: plan.redirects,
            challenges: plan.challenges,
            setCookies: setCookies
        )
        self.openIfComplete(negotiation, plan, now: now)
    }

    private mutating func hopEnded(
        _ kind: HopOutcome.Kind,
        _ response: HandshakeResponse,
        _ action: StatusAction,
        now: NIODeadline
    ) {
        self.observe(response, action)
        self.actions.append(.client(.hopEnded(HopOutcome(kind: kind, layer: .extended, response: response))))
        self.leave(.normalClosure, now: now)
    }

    private mutating func observe(_ response: HandshakeResponse, _ action: StatusAction) {
        guard self.isObserved else { return }
        self.actions.append(
            .event(
                .extendedResponse(
                    head: response.redactedHead,
                    status: response.status,
                    action: action,
                    body: response.body
                )
            )
        )
    }
}
