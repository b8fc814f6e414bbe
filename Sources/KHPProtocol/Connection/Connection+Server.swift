// The server's handshakes: a request is read and checked here; whether and how it is answered is the shell's decision.

import HTTPTypes
package import NIOCore

/// An endpoint's settings for a valid opening request that it accepts.
package struct EndpointPlan: Sendable {
    /// Supported dialects, in order of preference. The first whose opening matches the request is used (D1).
    package var dialects: [Dialect] = [.rfc6455]
    /// `true` when the head of a 101 goes out before the eight bytes behind the request have come: some proxies pass
    /// them on only then.
    package var answersBeforeKeys = false
    /// `true` when x-kaazing-handshake is chosen; the rest is then negotiated inside.
    package var extended = false
    package var subprotocols: [String] = []
    package var extensions: [any WebSocketExtension] = []
    /// Opens the socket without a subprotocol where none of those that the client asks for is spoken here, though its
    /// dialect has the server refuse it then (D40).
    package var servesWithoutSubprotocol = false
    package var principal: String?
    /// How long the open socket may last; `nil` for ever.
    package var sessionLifetime: TimeAmount?
    /// In place of the listener's; `nil` where the endpoint wants nothing else.
    package var configuration: ConnectionConfiguration?
    /// `true` when a client that asks for the Kaazing legacy exchange gets it (D7).
    package var kaazingLegacy = true

    package init() {}

    /// With the extensions as one connection negotiates them.
    func forConnection() -> EndpointPlan {
        guard !self.extensions.isEmpty else { return self }
        var plan = self
        plan.extensions = self.extensions.map { $0.forConnection(.server) }
        return plan
    }
}

/// The machines of a server's two handshakes. A class, since an open connection has no use for so much.
final class ServerHandshakes {
    let isSecure: Bool
    var opening: OpeningServer
    var request: OpeningRequest?
    var plan = EndpointPlan()
    /// The extensions that the opening negotiated beside x-kaazing-handshake.
    var openingExtensions: [NegotiatedExtension] = []
    var extended: ExtendedServer?
    /// The extended request that waits for its answer.
    var asked: ExtendedRequest?
    var lastStatus = 0
    var challenges = 0
    /// The 101 of a dialect that needs eight bytes more for it.
    var awaiting: AwaitedKey?

    init(isSecure: Bool, opening: OpeningServer) {
        self.isSecure = isSecure
        self.opening = opening
    }

    /// Goes on from the same place, for ``Connection/copy()``.
    func copy() -> ServerHandshakes {
        let copy = ServerHandshakes(isSecure: self.isSecure, opening: self.opening)
        copy.request = self.request
        copy.plan = self.plan
        copy.openingExtensions = self.openingExtensions
        copy.extended = self.extended
        copy.asked = self.asked
        copy.lastStatus = self.lastStatus
        copy.challenges = self.challenges
        copy.awaiting = self.awaiting
        return copy
    }
}

extension Connection {
    /// A server's connection.
    package init(
        server configuration: ConnectionConfiguration,
        isSecure: Bool,
        masks: any MaskSource = SystemMasks(),
        now: NIODeadline
    ) {
        self.init(role: .server, configuration: configuration, masks: masks, now: now)
        self.server = ServerHandshakes(isSecure: isSecure, opening: OpeningServer(limits: configuration.limits))
    }

    mutating func advanceServerOpening(now: NIODeadline) {
        do throws(Refusal) {
            guard let head = try self.server?.opening.receiveHead(&self.inbound) else { return }
            if self.isObserved { self.actions.append(.event(.openingRequest(head: head.redactedText))) }
            let checked = try CheckedRequest(head)
            guard OpeningServer.isWebSocketRequest(head) else {
                self.phase = .deciding
                self.actions.append(.plainRequest(checked))
                return
            }
            let request = try OpeningServer.check(checked, dialects: self.configuration.dialects, isUpgrade: true)
            self.server?.request = request
            self.phase = .deciding
            self.actions.append(.decideOpening(request))
        } catch {
            self.refuseOpening(error, now: now)
        }
    }

    /// While the shell decides, what a client sends ahead of the answer is kept, but not much of it (threat A5).
    mutating func boundEarlyData(now: NIODeadline) {
        guard self.inbound.readableBytes > 16_384 else { return }
        self.refuseOpening(Refusal(400, "Too much was sent ahead of the answer."), now: now)
    }

    mutating func serverOpeningTimedOut(now: NIODeadline) {
        if self.phase == .awaitingKey { return self.awaitedTooLong(now: now) }
        guard self.phase != .idle, self.server?.opening.isIdle == false || self.phase == .deciding else {
            // Nothing was asked, so nothing is answered.
            self.end(clean: false)
            return
        }
        // As inside, the status tells which side is late: a client may try again where it was the endpoint.
        let refusal =
            self.phase == .deciding
            ? Refusal(503, "The endpoint did not answer in time.")
            : Refusal(408, "The request was not complete in time.")
        self.refuseOpening(refusal, now: now)
    }

    // MARK: Answers of the shell to the opening request

    /// 101.
    ///
    /// - Parameter response: the application's, where it has been asked.
    package mutating func acceptOpening(
        _ request: OpeningRequest,
        _ plan: EndpointPlan,
        response: HandshakeResponse? = nil,
        now: NIODeadline
    ) {
        let plan = plan.forConnection()
        guard self.phase == .deciding else { return }
        guard let dialect = request.dialect(among: plan.dialects) else {
            return self.refuseOpening(.dialectNotServed(plan.dialects), now: now)
        }
        if let response {
            let fault = AnswerFault.of(
                subprotocol: response.subprotocol,
                offered: request.subprotocols,
                fields: response.headers
            )
            if let fault = response.fault ?? fault { return self.refuseFaultyAnswer(fault, now: now) }
        }
        if let configuration = plan.configuration { self.adopt(configuration) }
        if plan.kaazingLegacy { self.legacy = KaazingLegacy(query: request.query) }
        self.link.codec.toleratesLongLength = self.legacy != .off
        guard dialect.opening == .acceptKey else {
            return self.accept(request, plan, response: response, in: dialect, now: now)
        }
        let acceptValue = AcceptKey.accept(for: request.key)
        let subprotocol =
            plan.extended
            ? Subprotocols.extendedHandshake
            : response?.subprotocol ?? Subprotocols.choose(supported: plan.subprotocols, offered: request.subprotocols)
        // Extensions that may be negotiated inside wait for that.
        let supported = plan.extended ? plan.extensions.filter { $0.layers == [.opening] } : plan.extensions
        let extensions: [NegotiatedExtension]
        do throws(OfferedExtensions.Refused) {
            extensions = try OfferedExtensions.choose(
                from: request.extensionOffers,
                supported: supported,
                layer: .opening
            )
        } catch {
            return self.refuseOpening(Refusal(error.status, error.sentence), now: now)
        }
        var acceptance = OpeningServer.acceptance(
            of: request,
            acceptValue: acceptValue,
            subprotocol: subprotocol,
            extensions: extensions,
            date: self.configuration.date(),
            server: self.configuration.serverName
        )
        if let response { acceptance.fields = response.headers }
        self.output.write { acceptance.write(into: &$0) }
        if self.isObserved {
            self.actions.append(.event(.openingResponse(head: acceptance.head.redactedText, status: 101)))
        }
        self.link.isUp = true
        self.openingDeadline = nil
        self.server?.plan = plan
        if plan.extended {
            self.server?.openingExtensions = extensions
            self.installForHandshake(extensions, from: supported, now: now)
            self.startExtendedServer(request, acceptValue: acceptValue, now: now)
        } else {
            // Made where it goes, as it is not small.
            self.open(
                HandshakeSummary(
                    url: self.url(of: request),
                    dialect: self.link.codec.dialect,
                    subprotocol: subprotocol,
                    extensions: extensions,
                    status: nil,
                    response: nil,
                    principal: plan.principal
                ),
                extensions: plan.extensions,
                now: now
            )
        }
    }

    /// A redirect for a client that asks for the Kaazing legacy exchange and offers no subprotocol: 101, then the
    /// balancer message, then 1000 (D7).
    /// - Returns: `false` where this is none, with nothing done.
    package mutating func balanceOpening(
        _ request: OpeningRequest,
        _ response: HandshakeResponse,
        now: NIODeadline
    ) -> Bool {
        guard self.phase == .deciding, StatusAction.namesAnotherPlace(response.status),
            KaazingLegacy(query: request.query).hasBalancer, request.subprotocols.isEmpty,
            !request.offersExtendedHandshake,
            let message = KaazingLegacyMessage.balancing(
                choices(of: response).first,
                at: self.url(of: request),
                query: request.query
            )
        else { return false }
        let acceptance = OpeningServer.acceptance(
            of: request,
            subprotocol: nil,
            date: self.configuration.date(),
            server: self.configuration.serverName
        )
        self.output.write { acceptance.write(into: &$0) }
        if self.isObserved {
            self.actions.append(.event(.openingResponse(head: acceptance.head.redactedText, status: 101)))
        }
        self.link.isUp = true
        self.openingDeadline = nil
        self.sendLegacy(message)
        self.leave(.normalClosure, now: now)
        return true
    }

    /// Anything but 101: the response, then the end of the connection (threat A4).
    package mutating func refuseOpening(_ refusal: Refusal, now: NIODeadline) {
        self.refuseOpening(refusal.response, method: refusal.method, now: now)
    }

    /// Anything but 101: the response, then the end of the connection (threat A4).
    package mutating func refuseOpening(
        _ response: HandshakeResponse,
        method: String = "GET",
        now: NIODeadline
    ) {
        guard self.phase == .deciding || self.phase == .opening else { return }
        let fault = AnswerFault.of(
            status: response.status,
            reason: response.reason,
            fields: response.headers,
            isFinal: true,
            isHandshake: self.server?.request != nil
        )
        if let fault = response.fault ?? fault { return self.refuseFaultyAnswer(fault, method: method, now: now) }
        var bytes = ByteBuffer()
        response.write(into: &bytes, layer: .opening, date: self.configuration.date(), method: method)
        self.output.append(bytes)
        if self.isObserved {
            self.actions.append(
                .event(.openingResponse(head: Redaction.head(of: bytes), status: response.status))
            )
        }
        self.leave(nil, now: now)
    }

    /// The application is told, and the client gets a 500 of our own.
    private mutating func refuseFaultyAnswer(_ fault: String, method: String = "GET", now: NIODeadline) {
        self.reportFaultyAnswer(fault, phase: .opening)
        self.refuseOpening(Refusal.faultyAnswer().response, method: method, now: now)
    }

    mutating func reportFaultyAnswer(_ fault: String, phase: WebSocketError.Phase) {
        self.actions.append(.failed(self.located(WebSocketError(.invalidArgument, fault, phase: phase))))
    }

    func url(of request: OpeningRequest) -> WebSocketURL {
        WebSocketURL(
            isSecure: self.server?.isSecure == true,
            authority: request.authority,
            path: request.path,
            query: request.query
        )
    }
}
