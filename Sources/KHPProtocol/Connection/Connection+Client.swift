// The client's handshakes: the opening request and its answer, then the extended request inside the WebSocket.

package import HTTPTypes
package import NIOCore

/// What one hop of a client asks for.
package struct ClientPlan: Sendable {
    package var url: WebSocketURL
    /// The application's subprotocols, without x-kaazing-handshake.
    package var subprotocols: [String] = []
    package var extensions: [any WebSocketExtension] = []
    package var extendedHandshake = ExtendedHandshakePolicy.preferred
    package var method = "GET"
    /// Whether 308 counts as a redirect (D4).
    package var followsPermanentRedirect = false
    package var body: ByteBuffer?
    package var origin: String?
    /// The caller's fields that may go to this hop's origin.
    package var headers = HTTPFields()
    package var extendedHeaders = HTTPFields()
    /// The Authorization value for the opening request, after its 401.
    package var authorization: String?
    /// What happened on the way here.
    package var redirects: [RedirectStep] = []
    package var challenges = 0

    package init(url: WebSocketURL) {
        self.url = url
    }
}

/// The machines of a client's two handshakes.
struct ClientHandshakes {
    var plan: ClientPlan
    var opening: OpeningClient?
    var extended: ExtendedClient?
    var result: OpeningResult?
    /// When the challenge was handed to the shell; the whole connect is paused meanwhile.
    var challengedAt: NIODeadline?
}

extension Connection {
    /// A client's connection for one hop.
    /// - Parameters:
    ///   - key: the Sec-WebSocket-Key; sixteen random bytes in base64.
    ///   - deadline: when the whole connect has to be complete.
    /// - Throws: `invalidArgument` for what a caller may have put wrong in the plan.
    package init(
        client plan: ClientPlan,
        settings: Settings,
        key: String,
        masks: any MaskSource = SystemMasks(),
        deadline: NIODeadline?,
        now: NIODeadline
    ) throws(WebSocketError) {
        self.init(role: .client, settings: settings, masks: masks, now: now)
        let opening = OpeningClientPlan(
            url: plan.url,
            key: key,
            subprotocols: Subprotocols.offered(plan.subprotocols, extendedHandshake: plan.extendedHandshake != .off),
            extensions: try ExtensionNegotiation(plan.extensions),
            origin: plan.origin,
            extraFields: plan.headers,
            authorization: plan.authorization
        )
        // R-U2: what is sent later only is checked now as well.
        let extended = ExtendedClientPlan(
            url: plan.url,
            method: plan.method,
            subprotocols: plan.subprotocols,
            extraFields: plan.extendedHeaders,
            acceptValue: ""
        )
        try extended.validate()
        self.client = ClientHandshakes(plan: plan, opening: try OpeningClient(opening, limits: settings.limits))
        self.totalDeadline = deadline
    }

    mutating func startClientOpening() {
        guard let head = self.client?.opening?.requestHead else { return }
        self.output.write { head.write(into: &$0) }
        if self.isObserved { self.actions.append(.event(.openingRequest(head: head.redactedText))) }
    }

    mutating func advanceClientOpening(now: NIODeadline) {
        do throws(WebSocketError) {
            guard let outcome = try self.client?.opening?.receive(&self.inbound) else { return }
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

    mutating func clientOpeningStreamEnded(now: NIODeadline) {
        do throws(WebSocketError) {
            if let outcome = try self.client?.opening?.inputClosed() {
                self.take(outcome, now: now)
            } else {
                self.end(clean: false)
            }
        } catch {
            self.fail(self.failure ?? error, close: nil, now: now)
        }
    }

    private mutating func take(_ outcome: OpeningClient.Outcome, now: NIODeadline) {
        self.openingDeadline = nil
        self.client?.opening = nil
        switch outcome {
        case .accepted(let result):
            if self.isObserved {
                self.actions.append(.event(.openingResponse(head: result.head.redactedText, status: 101)))
            }
            self.isFramed = true
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
            self.refuse(response, now: now)
        }
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
        let negotiation = Negotiation(
            url: plan.url,
            dialect: .rfc6455,
            subprotocol: result.subprotocol,
            extensions: result.extensions.negotiated,
            status: nil,
            response: HandshakeResponse(head: result.head),
            redirects: plan.redirects,
            challenges: plan.challenges
        )
        self.open(negotiation, extensions: plan.extensions, now: now)
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
                "The server refused the opening handshake with \(response.status)\(reason).",
                response: response,
                phase: .opening
            )
        self.fail(error, close: nil, now: now)
    }

    mutating func openingTimedOut(now: NIODeadline) {
        switch self.role {
        case .client where self.phase == .idle:
            self.timedOut(
                "The TLS handshake was not complete within \(self.settings.timeouts.connect.words).",
                now: now
            )
        case .client:
            self.timedOut(
                "The server did not answer the opening handshake within \(self.settings.timeouts.opening.words).",
                now: now
            )
        case .server:
            self.serverOpeningTimedOut(now: now)
        }
    }
}
