// The server's opening handshake: a request is read and checked here; the shell decides how it is answered.

import HTTPTypes
package import NIOCore

extension Connection {
    /// A server's connection.
    /// - Parameter opensByConnect: true on a stream of HTTP/2, whose request is written as HTTP/1.1 would have it, but
    ///   without a key.
    package init(
        server configuration: ConnectionConfiguration,
        isSecure: Bool,
        opensByConnect: Bool = false,
        masks: any MaskSource = SystemMasks(),
        now: NIODeadline
    ) {
        let server = ServerHandshake(isSecure: isSecure, opensByConnect: opensByConnect)
        self.init(server: server, configuration: configuration, masks: masks, now: now)
    }

    mutating func advance(_ reading: ServerHandshake.Reading, of server: ServerHandshake, now: NIODeadline) {
        do throws(Refusal) {
            guard var head = try reading.machine.receiveHead(&self.inbound) else { return }
            if let isOwn = self.configuration.isOwn, !isOwn(head) { return self.handOn(head.fields.received) }
            // The request lasts through the extended handshake, which the channel is to read into the same memory again.
            if head.fields.contains(.subprotocol), OpeningServer.offersExtendedHandshake(head) { head.fields.detach() }
            if self.isObserved { self.actions.append(.event(.openingRequest(head: head.redactedText))) }
            let checked = try CheckedRequest(consume head)
            guard OpeningServer.isWebSocketRequest(checked.head) else {
                server.decide(nil)
                self.actions.append(.server(.plainRequest(checked)))
                return
            }
            let request = try OpeningServer.check(
                checked,
                dialects: self.configuration.dialects,
                isUpgrade: true,
                isConnect: server.opensByConnect
            )
            server.decide(request)
            self.actions.append(.server(.decideOpening(request)))
        } catch {
            // A head that we cannot read names no endpoint of ours, and the other may read it.
            if self.configuration.isOwn != nil, reading.machine.refused {
                return self.handOn(reading.machine.takeUndecoded())
            }
            if reading.machine.refused { self.reportProxyHeader(in: reading.machine.takeUndecoded()) }
            self.refuseOpening(error, now: now)
        }
    }

    /// Reports a header of the PROXY protocol in the place of a request: a balancer sends it to a listener that does not
    /// expect one, and all of its clients get a 400.
    /// - Parameter taken: the bytes that have been read of a head that is none; those after it follow.
    private mutating func reportProxyHeader(in taken: ByteBuffer) {
        var bytes = taken
        if self.inbound.readableBytes > 0 { bytes.writeImmutableBuffer(self.inbound) }
        if ProxyHeader.begins(bytes.readableBytesView) { self.actions.append(.server(.proxyHeader)) }
    }

    /// Ends this connection, so that another handler answers the request: gives back all bytes that have come.
    /// - Parameter taken: the bytes that have been read; those after them follow.
    private mutating func handOn(_ taken: ByteBuffer) {
        var bytes = taken
        if self.inbound.readableBytes > 0 { bytes.writeImmutableBuffer(self.inbound) }
        self.becomeEnded()
        self.actions.append(.server(.handOn(UndecodedBytes(bytes))))
    }

    /// While the shell decides, what a client sends ahead of the answer is kept, but not much of it (threat A5).
    mutating func boundEarlyData(now: NIODeadline) {
        guard self.inbound.readableBytes > 16_384 else { return }
        self.refuseOpening(Refusal(400, "Too much was sent ahead of the answer."), now: now)
    }

    // MARK: Answers of the shell to the opening request

    /// Accepts the opening request: the 101 is written. Does nothing where the connection has left the handshake by itself.
    ///
    /// - Parameters:
    ///   - principal: the name of the client, where it has proved that.
    ///   - response: the application's, where it has been asked.
    package mutating func acceptOpening(
        _ plan: EndpointPlan,
        principal: String? = nil,
        response: HandshakeResponse? = nil,
        now: NIODeadline
    ) {
        guard let server = self.stage.server, let request = server.openingRequest else { return }
        guard let place = plan.values.dialects.firstIndex(where: { $0.opening == request.opening }) else {
            return self.refuseOpening(.dialectNotServed(plan.values.dialects), now: now)
        }
        if let response {
            let fault = AnswerFault.of(
                subprotocol: response.subprotocol,
                offered: request.subprotocols,
                fields: response.headers
            )
            if let fault = response.fault ?? fault { return self.refuseFaultyAnswer(fault, now: now) }
        }
        if let configuration = plan.values.configuration { self.adopt(configuration) }
        if plan.values.kaazingLegacy { self.legacy = KaazingLegacy(query: request.query) }
        self.link.codec.toleratesLongLength = self.legacy != .off
        let accepted = AcceptedPlan(
            plan: plan,
            extensions: plan.extensionsForConnection(),
            principal: principal
        )
        guard request.opening == .acceptKey else {
            let dialect = plan.values.dialects[place]
            return self.accept(request, accepted, response: response, in: dialect, of: server, now: now)
        }
        self.acceptRFC6455(request, accepted, response: response, of: server, now: now)
    }

    /// The 101 of RFC 6455 section 4.2.2, with the extensions that are negotiated in it.
    private mutating func acceptRFC6455(
        _ request: OpeningRequest,
        _ accepted: AcceptedPlan,
        response: HandshakeResponse?,
        of server: ServerHandshake,
        now: NIODeadline
    ) {
        let plan = accepted.plan
        let acceptValue = request.acceptValue
        let subprotocol = plan.openingSubprotocol(of: request, chosen: response?.subprotocol)
        // The extended handshake negotiates the extensions that may be negotiated there.
        let supported =
            plan.values.extended ? accepted.extensions.filter { $0.layers == [.opening] } : accepted.extensions
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
        let acceptance = OpeningServer.acceptance(
            of: request,
            acceptValue: acceptValue,
            subprotocol: subprotocol,
            extensions: extensions,
            date: self.configuration.date(),
            server: self.configuration.serverName,
            fields: response?.headers
        )
        self.writeAcceptance(acceptance)
        if plan.values.extended {
            self.installForHandshake(extensions, from: supported, now: now)
            self.startExtended(
                request,
                accepted,
                acceptValue: acceptValue,
                negotiated: extensions,
                of: server,
                now: now
            )
        } else {
            self.open(
                .opened(
                    HandshakeSummary(
                        url: request.url(isSecure: server.isSecure),
                        dialect: self.link.codec.dialect,
                        subprotocol: subprotocol,
                        extensions: extensions,
                        status: nil,
                        response: nil,
                        principal: accepted.principal
                    )
                ),
                negotiated: extensions,
                extensions: accepted.extensions,
                sessionLifetime: plan.values.sessionLifetime,
                now: now
            )
        }
    }

    /// Writes the 101, after which bytes of the WebSocket may be written.
    private mutating func writeAcceptance(_ acceptance: Acceptance) {
        acceptance.write(into: &self.output)
        if self.isObserved {
            self.actions.append(.event(.openingResponse(head: acceptance.head.redactedText, status: 101)))
        }
        self.link.isUp = true
    }

    /// A redirect for a client that asks for the Kaazing legacy exchange and offers no subprotocol: 101, then the
    /// balancer message, then 1000 (D7).
    /// - Returns: `false` where this is none, with nothing done.
    package mutating func balanceOpening(_ response: HandshakeResponse, now: NIODeadline) -> Bool {
        guard let server = self.stage.server, let request = server.openingRequest,
            StatusAction.namesAnotherPlace(response.status),
            KaazingLegacy(query: request.query).hasBalancer, request.subprotocols.isEmpty,
            !request.offersExtendedHandshake,
            let message = KaazingLegacyMessage.balancing(
                choices(of: response).first,
                at: request.url(isSecure: server.isSecure),
                query: request.query
            )
        else { return false }
        let acceptance = OpeningServer.acceptance(
            of: request,
            subprotocol: nil,
            date: self.configuration.date(),
            server: self.configuration.serverName
        )
        self.writeAcceptance(acceptance)
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
        guard let server = self.stage.server, server.takesResponse else { return }
        let fault = AnswerFault.of(
            status: response.status,
            reason: response.reason,
            fields: response.headers,
            isFinal: true,
            isHandshake: server.openingRequest != nil
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

    /// Reports to the application that its response cannot be sent, and answers 500.
    private mutating func refuseFaultyAnswer(_ fault: String, method: String = "GET", now: NIODeadline) {
        self.reportFaultyAnswer(fault, phase: .opening)
        self.refuseOpening(Refusal.faultyAnswer().response, method: method, now: now)
    }

    /// Reports to the application that its response cannot be sent.
    mutating func reportFaultyAnswer(_ fault: String, phase: WebSocketError.Phase) {
        self.actions.append(.failed(self.located(WebSocketError(.invalidArgument, fault, phase: phase))))
    }
}

extension OpeningRequest {
    func url(isSecure: Bool) -> WebSocketURL {
        WebSocketURL(isSecure: isSecure, authority: self.authority, path: self.path, query: self.query)
    }
}
