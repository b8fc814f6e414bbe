// The client's opening handshake: the request, its answer, and the replay of one that was challenged.

import HTTPTypes
package import NIOCore

extension Connection {
    /// A client's connection for one hop.
    /// - Parameter deadline: when the whole connect has to be complete.
    package init(
        _ prepared: PreparedClient,
        configuration: ConnectionConfiguration,
        masks: any MaskSource = SystemMasks(),
        deadline: NIODeadline?,
        now: NIODeadline
    ) {
        let client = ClientHandshake(prepared, limits: configuration.limits, connectDeadline: deadline)
        self.init(client: client, configuration: configuration, masks: masks, now: now)
        let plan = prepared.plan
        if plan.extended.policy != .off { self.legacy = KaazingLegacy(query: plan.openingURL.query) }
        // Dialects before RFC 6455 negotiate no extensions in the opening; the extended handshake can.
        if plan.dialect != .rfc6455 { self.link.speak(plan.dialect, configuration: configuration) }
    }

    /// A client's connection for one hop, of a plan that is checked now.
    /// - Parameters:
    ///   - key: the Sec-WebSocket-Key; sixteen random bytes in base64. Not used in dialects without one.
    ///   - deadline: when the whole connect has to be complete.
    /// - Throws: `invalidArgument` for an error of the caller's in the plan.
    package init(
        client plan: ClientPlan,
        configuration: ConnectionConfiguration,
        key: String,
        masks: any MaskSource = SystemMasks(),
        deadline: NIODeadline?,
        now: NIODeadline
    ) throws(WebSocketError) {
        let prepared = try PreparedClient(plan, key: key)
        self.init(prepared, configuration: configuration, masks: masks, deadline: deadline, now: now)
    }

    mutating func sendOpening(_ opening: ClientHandshake.Opening) {
        let head = opening.machine.requestHead
        let tail = opening.machine.requestTail
        self.output.write { buffer in
            head.write(into: &buffer)
            buffer.writeBytes(tail)
        }
        if self.isObserved { self.actions.append(.event(.openingRequest(head: head.redactedText))) }
    }

    mutating func advance(_ opening: ClientHandshake.Opening, of client: ClientHandshake, now: NIODeadline) {
        do throws(WebSocketError) {
            guard let outcome = try opening.machine.receive(&self.inbound) else {
                return client.boundContent(of: opening, until: now + Limits.Fixed.contentWait)
            }
            self.take(outcome, opening, client, now: now)
        } catch {
            if self.isObserved, let response = error.response {
                self.actions.append(
                    .event(.openingResponse(head: response.redactedHead, status: response.status))
                )
            }
            self.fail(error, close: nil, now: now)
        }
    }

    /// Ends the wait for an answer whose time is over: an answer with a complete head counts with the part of its content
    /// that has come (D28).
    /// - Returns: `true` when there was such an answer.
    mutating func settleAnswer(of client: ClientHandshake, now: NIODeadline) -> Bool {
        switch client.state {
        case .opening(let opening) where opening.machine.awaitsContent:
            self.streamEnded(in: opening, of: client, now: now)
            return true
        case .extended(let extended):
            guard let action = extended.machine.settle(now: now) else { return false }
            self.perform(action, in: extended, now: now)
            return true
        case .connecting, .opening, .challenged:
            return false
        }
    }

    mutating func streamEnded(in opening: ClientHandshake.Opening, of client: ClientHandshake, now: NIODeadline) {
        if let challenge = opening.challenge, opening.machine.hasHeardNothing {
            // Servers drop idle connections when they like; that says nothing about the credentials.
            self.failure = nil
            self.actions.append(
                .client(.hopEnded(HopOutcome(kind: .replayLost, layer: .opening, response: challenge)))
            )
            self.end(clean: false)
            return
        }
        let question = opening.machine.tlsQuestion
        do throws(WebSocketError) {
            if let outcome = try opening.machine.inputClosed() {
                self.take(outcome, opening, client, now: now)
            } else {
                self.end(clean: false)
            }
        } catch {
            var failure = self.failure ?? error
            if let question, self.failure?.message.hasSuffix(".") == true {
                // A server that speaks TLS may hang up on a request in the clear.
                failure.message = "\(failure.message.dropLast()); \(question)."
                failure.detail = .speaksTLS
            }
            self.fail(failure, close: nil, now: now)
        }
    }

    private mutating func take(
        _ outcome: OpeningClient.Outcome,
        _ opening: ClientHandshake.Opening,
        _ client: ClientHandshake,
        now: NIODeadline
    ) {
        switch outcome {
        case .accepted(let result):
            if self.isObserved {
                self.actions.append(.event(.openingResponse(head: result.head.redactedText, status: 101)))
            }
            do throws(WebSocketError) {
                try client.plan.authorization?.proof?.check(result.head.fields.all("Authentication-Info"))
            } catch {
                var error = error
                error.response = HandshakeResponse(head: result.head)
                error.phase = .opening
                self.fail(error, close: nil, now: now)
                return
            }
            self.link.isUp = true
            if result.selectsExtendedHandshake {
                self.startExtended(result, client, now: now)
            } else {
                self.openPlain(result, client.plan, now: now)
            }
        case .response(let response):
            if self.isObserved {
                self.actions.append(
                    .event(.openingResponse(head: response.redactedHead, status: response.status))
                )
            }
            let isReusable = opening.machine.leavesConnectionUsable
            if response.status == 401, isReusable, self.inbound.readableBytes == 0, !self.isInputClosed {
                client.challenge(response)
                self.actions.append(.client(.challenge(response, .opening)))
            } else {
                self.refuse(response, client.plan, now: now)
            }
        }
    }

    /// The shell has credentials for a challenge of the opening handshake: the request once more on the same
    /// connection.
    /// - Parameters:
    ///   - key: a fresh Sec-WebSocket-Key.
    ///   - deadline: the end of the whole connect, moved by the time that the handler took.
    /// - Returns: `false` when the connection cannot be used any more, and ends; a fresh one is to be used.
    package mutating func replayOpening(
        _ replay: OpeningReplay,
        key: String,
        deadline: NIODeadline,
        now: NIODeadline
    ) -> Bool {
        guard let client = self.stage.client, case .challenged(let challenged) = client.state else { return false }
        let opening =
            self.inbound.readableBytes > 0 || self.isInputClosed
            ? nil
            : client.replay(
                replay,
                of: challenged,
                key: key,
                limits: self.configuration.limits,
                connectDeadline: deadline,
                answerDeadline: now + self.configuration.waits.opening
            )
        guard let opening else {
            self.end(clean: false)
            return false
        }
        self.sendOpening(opening)
        return true
    }

    /// KHP-O4: without x-kaazing-handshake there is no extended handshake.
    private mutating func openPlain(_ result: OpeningResult, _ plan: ClientPlan, now: NIODeadline) {
        if plan.extended.policy == .required {
            self.fail(
                WebSocketError(
                    .extendedRequired,
                    "The server does not speak x-kaazing-handshake, which this connect requires.",
                    phase: .opening
                ),
                close: .normalClosure,
                now: now
            )
            return
        }
        let negotiation = HandshakeSummary(
            url: plan.url,
            dialect: self.link.codec.dialect,
            subprotocol: result.subprotocol,
            extensions: result.extensions.negotiated,
            status: nil,
            response: HandshakeResponse(head: result.head),
            redirects: plan.redirects,
            challenges: plan.challenges,
            // H69-5, W10-11: the connection stands.
            setCookies: plan.takesCookies ? setCookies(in: result.head) : []
        )
        self.openIfComplete(negotiation, plan, now: now)
    }

    /// A final response to the opening other than 101.
    private mutating func refuse(_ response: HandshakeResponse, _ plan: ClientPlan, now: NIODeadline) {
        let kind: HopOutcome.Kind? =
            switch response.status {
            case 300: .choose
            case 301, 302, 303, 307, 308: .redirect
            case 401: .challenge
            case 426: .upgrade
            default: nil
            }
        if let kind {
            self.actions.append(.client(.hopEnded(HopOutcome(kind: kind, layer: .opening, response: response))))
            self.leave(nil, now: now)
            return
        }
        let reason = response.reason.isEmpty ? "" : " \(response.reason)"
        let hint = Self.offerHint(for: response, plan)
        let error =
            response.status == 407
            ? WebSocketError(
                .proxyAuthenticationRequired,
                "A proxy on the way asks for credentials (407).",
                response: response,
                phase: .opening
            )
            : WebSocketError(
                .openingRefused,
                "The server refused the opening handshake with \(response.status)\(reason)\(hint).",
                response: response,
                phase: .opening
            )
        self.fail(error, close: nil, now: now)
    }

    /// The hint for a 400 that may mean the offer of x-kaazing-handshake, which the server cannot name in its answer.
    private static func offerHint(for response: HandshakeResponse, _ plan: ClientPlan) -> String {
        guard response.status == 400, plan.extended.policy != .off else { return "" }
        return "; it may not take the offer of \(Subprotocols.extendedHandshake)"
    }
}
