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
            if reading.machine.refused { self.lookForProxyHeader(in: reading.machine.takeUndecoded()) }
            self.refuseOpening(error, now: now)
        }
    }

    /// A balancer that names its clients where nobody asks for it is told of: each of its clients gets a 400.
    /// - Parameter taken: the bytes that have been read of a head that is none; those behind it follow.
    private mutating func lookForProxyHeader(in taken: ByteBuffer) {
        var bytes = taken
        if self.inbound.readableBytes > 0 { bytes.writeImmutableBuffer(self.inbound) }
        if ProxyHeader.begins(bytes.readableBytesView) { self.actions.append(.server(.proxyHeader)) }
    }

    /// Somebody else is to answer: gives back all that has come.
    /// - Parameter taken: the bytes that have been read; those behind them follow.
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

    /// 101. An answer that nobody waits for, as the connection has gone on by itself, is left alone.
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
        let own = plan.extensionsForConnection()
        guard request.opening == .acceptKey else {
            let accepted = AcceptedPlan(plan: plan, extensions: own, principal: principal)
            return self.accept(
                request,
                accepted,
                response: response,
                in: plan.values.dialects[place],
                of: server,
                now: now
            )
        }
        let acceptValue = request.acceptValue
        let subprotocol =
            plan.values.extended
            ? Subprotocols.extendedHandshake
            : response?.subprotocol
                ?? Subprotocols.choose(supported: plan.values.subprotocols, offered: request.subprotocols)
        // Extensions that may be negotiated inside wait for that.
        let supported = plan.values.extended ? own.filter { $0.layers == [.opening] } : own
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
        acceptance.write(into: &self.output)
        if self.isObserved {
            self.actions.append(.event(.openingResponse(head: acceptance.head.redactedText, status: 101)))
        }
        self.link.isUp = true
        if plan.values.extended {
            self.installForHandshake(extensions, from: supported, now: now)
            self.startExtended(
                request,
                AcceptedPlan(plan: plan, extensions: own, principal: principal),
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
                        principal: principal
                    )
                ),
                negotiated: extensions,
                extensions: own,
                sessionLifetime: plan.values.sessionLifetime,
                now: now
            )
        }
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
        acceptance.write(into: &self.output)
        if self.isObserved {
            self.actions.append(.event(.openingResponse(head: acceptance.head.redactedText, status: 101)))
        }
        self.link.isUp = true
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

    /// The application is told, and the client gets a 500 of our own.
    private mutating func refuseFaultyAnswer(_ fault: String, method: String = "GET", now: NIODeadline) {
        self.reportFaultyAnswer(fault, phase: .opening)
        self.refuseOpening(Refusal.faultyAnswer().response, method: method, now: now)
    }

    mutating func reportFaultyAnswer(_ fault: String, phase: WebSocketError.Phase) {
        self.actions.append(.failed(self.located(WebSocketError(.invalidArgument, fault, phase: phase))))
    }
}

extension OpeningRequest {
    func url(isSecure: Bool) -> WebSocketURL {
        WebSocketURL(isSecure: isSecure, authority: self.authority, path: self.path, query: self.query)
    }
}
