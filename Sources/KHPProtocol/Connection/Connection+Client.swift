// The client's handshakes: the opening request and its answer, then the extended request inside the WebSocket.

package import HTTPTypes
package import NIOCore

/// The plan of one hop of a client.
package struct ClientPlan: Sendable {
    package var url: WebSocketURL
    package var dialect = Dialect.rfc6455
    /// The keys of dialects that have two.
    package var keys: HixieKeys?
    /// The application's subprotocols, without x-kaazing-handshake.
    package var subprotocols: [String] = []
    package var extensions: [any WebSocketExtension] = []
    /// The names of those without which the socket does not open.
    package var requiredExtensions: Set<String> = []
    package var extendedHandshake = ExtendedHandshakePolicy.preferred
    /// `true` to ask for the Kaazing legacy exchange (D7).
    package var kaazingLegacy = false
    package var method = "GET"
    /// `true` when 308 counts as a redirect (D4).
    package var followsPermanentRedirect = false
    package var body: ByteBuffer?
    package var origin: String?
    /// The caller's fields that may go to this hop's origin.
    package var headers = HTTPFields()
    /// The value of Cookie, from the client's store.
    package var cookies: String?
    /// `true` when cookies that the server sets count.
    package var takesCookies = false
    /// The value of Sec-WebSocket-Version: 13, or 8 or 7 after a 426 that wants one of these.
    package var version = 13
    package var extendedHeaders = HTTPFields()
    /// For the opening request: the answer to its 401, or what is sent unasked.
    package var authorization: RequestAuthorization?
    /// For the extended request: what is sent unasked.
    package var extendedAuthorization: RequestAuthorization?
    /// The redirects on the way here.
    package var redirects: [RedirectStep] = []
    package var challenges = 0

    package init(url: WebSocketURL) {
        self.url = url
    }

    /// With fresh keys, where its dialect has any.
    package func withKeys(using generator: inout some RandomNumberGenerator) -> ClientPlan {
        guard self.dialect.opening == .twoKeys else { return self }
        var plan = self
        plan.keys = HixieKeys(using: &generator)
        return plan
    }
}

extension ClientPlan {
    /// The URL of the opening request: with `.kl=Y` where the Kaazing legacy exchange is asked for, on every hop (D7).
    /// A caller's own URL can ask for it as well.
    var openingURL: WebSocketURL {
        self.kaazingLegacy && self.extendedHandshake != .off ? self.url.askingForKaazingLegacy : self.url
    }
}

/// The parts of an opening request that change when it is sent once more, behind its 401.
package struct OpeningReplay: Sendable {
    let authorization: RequestAuthorization
    /// For the extended request.
    let extended: RequestAuthorization?
    /// The value of Cookie: the 401 may have set some (D44).
    package var cookies: String?
    /// How many challenges the connect has answered with this one.
    let challenges: Int

    package init(
        authorization: RequestAuthorization,
        extended: RequestAuthorization? = nil,
        cookies: String? = nil,
        challenges: Int
    ) {
        self.authorization = authorization
        self.extended = extended
        self.cookies = cookies
        self.challenges = challenges
    }
}

/// The machines of a client's two handshakes. A class, since an open connection has no use for so much.
final class ClientHandshakes {
    var plan: ClientPlan
    var opening: OpeningClient?
    var extended: ExtendedClient?
    var result: OpeningResult?
    /// When the challenge was handed to the shell; the whole connect is paused meanwhile.
    var challengedAt: NIODeadline?
    /// The 401 that the opening request on this connection replays, or waits to.
    var openingChallenge: HandshakeResponse?
    /// `true` when the server spoke without being asked: then it is asked nothing more.
    var isSpoiled = false
    /// True once the wait for the content of an opening response is bounded.
    var awaitsContent = false
    /// The proof that the answer to the last extended request owes.
    var proof: DigestProof?

    init(plan: ClientPlan) {
        self.plan = plan
    }

    /// Goes on from the same place, for ``Connection/copy()``.
    func copy() -> ClientHandshakes {
        let copy = ClientHandshakes(plan: self.plan)
        copy.opening = self.opening
        copy.extended = self.extended
        copy.result = self.result
        copy.challengedAt = self.challengedAt
        copy.openingChallenge = self.openingChallenge
        copy.isSpoiled = self.isSpoiled
        copy.awaitsContent = self.awaitsContent
        copy.proof = self.proof
        return copy
    }

    func opening(key: String, limits: Limits) throws(WebSocketError) -> OpeningClient {
        OpeningClient(try self.plan.opening(key: key), limits: limits)
    }
}

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
        self.init(role: .client, configuration: configuration, masks: masks, now: now)
        let plan = prepared.plan
        if plan.extendedHandshake != .off { self.legacy = KaazingLegacy(query: plan.openingURL.query) }
        // Where the opening negotiates no extensions, the extended handshake can.
        if plan.dialect != .rfc6455 { self.link.speak(plan.dialect, configuration: configuration) }
        let client = ClientHandshakes(plan: plan)
        client.opening = OpeningClient(prepared.opening, limits: configuration.limits)
        self.client = client
        self.totalDeadline = deadline
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

    mutating func startClientOpening() {
        guard let head = self.client?.opening?.requestHead else { return }
        let tail = self.client?.opening?.requestTail ?? []
        self.output.write { buffer in
            head.write(into: &buffer)
            buffer.writeBytes(tail)
        }
        if self.isObserved { self.actions.append(.event(.openingRequest(head: head.redactedText))) }
    }

    mutating func advanceClientOpening(now: NIODeadline) {
        if self.client?.challengedAt != nil {
            // Nothing was asked: what comes now belongs to nothing that will be.
            if self.inbound.readableBytes > 0 { self.client?.isSpoiled = true }
            self.inbound.moveReaderIndex(to: self.inbound.writerIndex)
            return
        }
        do throws(WebSocketError) {
            guard let outcome = try self.client?.opening?.receive(&self.inbound) else {
                self.boundContent(now: now)
                return
            }
            self.take(outcome, now: now)
        } catch {
            if self.isObserved, let response = error.response {
                self.actions.append(
                    .event(.openingResponse(head: response.redactedHead, status: response.status))
                )
            }
            self.fail(error, close: nil, now: now)
        }
    }

    /// D28: the wait for the content of a refusal begins with its head.
    private mutating func boundContent(now: NIODeadline) {
        guard self.client?.awaitsContent == false, self.client?.opening?.awaitsContent == true else { return }
        self.client?.awaitsContent = true
        let bound = now + Limits.Fixed.contentWait
        self.openingDeadline = self.openingDeadline.map { min($0, bound) } ?? bound
    }

    /// The time is over: an answer whose head is there counts with what came of its content (D28).
    /// - Returns: whether there was one.
    mutating func settleAnswer(now: NIODeadline) -> Bool {
        switch self.phase {
        case .opening where self.client?.opening?.awaitsContent == true:
            self.clientOpeningStreamEnded(now: now)
            return true
        case .extended:
            guard let action = self.client?.extended?.settle(now: now) else { return false }
            self.perform(action, now: now)
            return true
        default:
            return false
        }
    }

    mutating func clientOpeningStreamEnded(now: NIODeadline) {
        if let challenge = self.client?.openingChallenge, self.client?.opening?.hasHeardNothing == true {
            // Servers drop idle connections when they like; that says nothing about the credentials.
            self.failure = nil
            self.actions.append(.hopEnded(HopOutcome(kind: .replayLost, layer: .opening, response: challenge)))
            self.end(clean: false)
            return
        }
        let question = self.client?.opening?.tlsQuestion
        do throws(WebSocketError) {
            if let outcome = try self.client?.opening?.inputClosed() {
                self.take(outcome, now: now)
            } else {
                self.end(clean: false)
            }
        } catch {
            var failure = self.failure ?? error
            if let question, self.failure?.message.hasSuffix(".") == true {
                // One that speaks TLS may hang up on what is none.
                failure.message = "\(failure.message.dropLast()); \(question)."
                failure.detail = .speaksTLS
            }
            self.fail(failure, close: nil, now: now)
        }
    }

    private mutating func take(_ outcome: OpeningClient.Outcome, now: NIODeadline) {
        self.openingDeadline = nil
        let isReusable = self.client?.opening?.leavesConnectionUsable ?? false
        self.client?.opening = nil
        self.client?.awaitsContent = false
        switch outcome {
        case .accepted(let result):
            if self.isObserved {
                self.actions.append(.event(.openingResponse(head: result.head.redactedText, status: 101)))
            }
            do throws(WebSocketError) {
                try self.client?.plan.authorization?.proof?.check(result.head.fields.all("Authentication-Info"))
            } catch {
                var error = error
                error.response = HandshakeResponse(head: result.head)
                error.phase = .opening
                self.fail(error, close: nil, now: now)
                return
            }
            self.link.isUp = true
            self.client?.result = result
            if result.selectsExtendedHandshake {
                self.startExtended(result, now: now)
            } else {
                self.openPlain(result, now: now)
            }
        case .response(let response):
            if self.isObserved {
                self.actions.append(
                    .event(.openingResponse(head: response.redactedHead, status: response.status))
                )
            }
            if response.status == 401, isReusable, self.inbound.readableBytes == 0, !self.isInputClosed {
                self.client?.openingChallenge = response
                self.client?.challengedAt = now
                self.totalDeadline = nil
                self.actions.append(.challenge(response, .opening))
            } else {
                self.refuse(response, now: now)
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
        guard self.phase == .opening, let client = self.client, client.challengedAt != nil else { return false }
        client.plan.authorization = replay.authorization
        client.plan.extendedAuthorization = replay.extended
        client.plan.cookies = replay.cookies
        guard !client.isSpoiled, self.inbound.readableBytes == 0, !self.isInputClosed,
            let opening = try? client.opening(key: key, limits: self.configuration.limits)
        else {
            self.end(clean: false)
            return false
        }
        client.opening = opening
        client.challengedAt = nil
        client.plan.challenges = replay.challenges
        self.totalDeadline = deadline
        self.openingDeadline = now + self.configuration.waits.opening
        self.startClientOpening()
        return true
    }

    /// KHP-O4: without x-kaazing-handshake there is no extended handshake.
    private mutating func openPlain(_ result: OpeningResult, now: NIODeadline) {
        guard let plan = self.client?.plan else { return }
        if plan.extendedHandshake == .required {
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
        self.openIfComplete(negotiation, now: now)
    }

    /// A final response to the opening other than 101.
    private mutating func refuse(_ response: HandshakeResponse, now: NIODeadline) {
        let kind: HopOutcome.Kind? =
            switch response.status {
            case 300: .choose
            case 301, 302, 303, 307, 308: .redirect
            case 401: .challenge
            case 426: .upgrade
            default: nil
            }
        if let kind {
            self.actions.append(.hopEnded(HopOutcome(kind: kind, layer: .opening, response: response)))
            self.leave(nil, now: now)
            return
        }
        let reason = response.reason.isEmpty ? "" : " \(response.reason)"
        let doubt = self.doubt(about: response)
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
                "The server refused the opening handshake with \(response.status)\(reason)\(doubt).",
                response: response,
                phase: .opening
            )
        self.fail(error, close: nil, now: now)
    }

    /// A server that takes an offer of a subprotocol that it does not know for a bad request cannot say so.
    private func doubt(about response: HandshakeResponse) -> String {
        guard response.status == 400, let plan = self.client?.plan, plan.extendedHandshake != .off else { return "" }
        return "; it may not take the offer of \(Subprotocols.extendedHandshake)"
    }

    mutating func openingTimedOut(now: NIODeadline) {
        if self.role == .client, self.settleAnswer(now: now) { return }
        switch self.role {
        case .client where self.phase == .idle:
            self.timedOut(
                "The TLS handshake was not complete within \(self.configuration.timeouts.connect.words).",
                now: now
            )
        case .client:
            self.timedOut(
                "The server did not answer the opening handshake within \(self.configuration.timeouts.opening.words).",
                now: now
            )
        case .server:
            self.serverOpeningTimedOut(now: now)
        }
    }
}
