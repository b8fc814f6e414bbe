// The server's handshakes: a request is read and checked here; whether and how it is answered is the shell's decision.

package import HTTPTypes
package import NIOCore

/// What an endpoint says to a valid opening request that it accepts.
package struct EndpointPlan: Sendable {
    /// Whether x-kaazing-handshake is chosen; the rest is then negotiated inside.
    package var extended = false
    package var subprotocols: [String] = []
    package var chosenSubprotocol: String?
    package var extensions: [any WebSocketExtension] = []
    package var fields = HTTPFields()
    package var principal: String?
    package var limits: Limits?
    package var delivery = Delivery.messages

    package init() {}
}

/// The machines of a server's two handshakes.
struct ServerHandshakes {
    var isSecure: Bool
    var opening: OpeningServer
    var request: OpeningRequest?
    var plan = EndpointPlan()
    /// What the opening negotiated beside x-kaazing-handshake.
    var openingExtensions: [NegotiatedExtension] = []
    var extended: ExtendedServer?
    /// The extended request that waits for its answer.
    var asked: ExtendedRequest?
    var lastStatus = 0
    var challenges = 0
}

extension Connection {
    /// A server's connection.
    package init(
        server settings: Settings,
        isSecure: Bool,
        masks: any MaskSource = SystemMasks(),
        now: NIODeadline
    ) {
        self.init(role: .server, settings: settings, masks: masks, now: now)
        self.server = ServerHandshakes(isSecure: isSecure, opening: OpeningServer(limits: settings.limits))
    }

    mutating func advanceServerOpening(now: NIODeadline) {
        do throws(Refusal) {
            guard let head = try self.server?.opening.receiveHead(&self.inbound) else { return }
            if self.isObserved { self.actions.append(.event(.openingRequest(head: head.redactedText))) }
            guard OpeningServer.isWebSocketRequest(head) else {
                self.phase = .deciding
                self.actions.append(.plainRequest(head))
                return
            }
            let request = try OpeningServer.check(head)
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
        guard self.phase != .idle, self.server?.opening.isIdle == false || self.phase == .deciding else {
            // Nothing was asked, so nothing is answered.
            self.end(clean: false)
            return
        }
        self.refuseOpening(Refusal(408, "The request was not complete in time."), now: now)
    }

    // MARK: Answers of the shell to the opening request

    /// 101.
    package mutating func acceptOpening(
        _ request: OpeningRequest,
        _ plan: EndpointPlan,
        now: NIODeadline
    ) {
        guard self.phase == .deciding else { return }
        if let limits = plan.limits {
            self.settings.limits = limits
            self.settings.applyTimeouts()
        }
        self.settings.delivery = plan.delivery
        let acceptValue = AcceptKey.accept(for: request.key)
        let subprotocol =
            plan.extended
            ? Subprotocols.extendedHandshake
            : plan.chosenSubprotocol ?? Subprotocols.choose(supported: plan.subprotocols, offered: request.subprotocols)
        // What may be negotiated inside waits for that.
        let supported = plan.extended ? plan.extensions.filter { $0.layers == [.opening] } : plan.extensions
        let extensions: [NegotiatedExtension]
        do throws(ExtensionNegotiation.Refused) {
            extensions = try ExtensionNegotiation.choose(
                from: request.extensionOffers,
                supported: supported,
                layer: .opening
            )
        } catch {
            return self.refuseOpening(.badRequest(error.sentence), now: now)
        }
        var acceptance = OpeningServer.acceptance(
            of: request,
            acceptValue: acceptValue,
            subprotocol: subprotocol,
            extensions: extensions,
            date: self.settings.date(),
            server: self.settings.serverName
        )
        acceptance.fields = plan.fields
        self.output.write { acceptance.write(into: &$0) }
        if self.isObserved {
            self.actions.append(.event(.openingResponse(head: acceptance.head.redactedText, status: 101)))
        }
        self.isFramed = true
        self.openingDeadline = nil
        self.server?.plan = plan
        if plan.extended {
            self.server?.openingExtensions = extensions
            self.installForHandshake(extensions, from: supported, now: now)
            self.startExtendedServer(request, acceptValue: acceptValue, now: now)
        } else {
            let negotiation = Negotiation(
                url: self.url(of: request),
                dialect: request.dialect,
                subprotocol: subprotocol,
                extensions: extensions,
                status: nil,
                response: nil,
                principal: plan.principal
            )
            self.open(negotiation, extensions: plan.extensions, now: now)
        }
    }

    /// Anything but 101: the response, then the end of the connection (threat A4).
    package mutating func refuseOpening(_ refusal: Refusal, now: NIODeadline) {
        self.refuseOpening(refusal.answer, method: refusal.method, now: now)
    }

    /// Anything but 101: the response, then the end of the connection (threat A4).
    package mutating func refuseOpening(
        _ answer: ServerAnswer,
        method: String = "GET",
        now: NIODeadline
    ) {
        guard self.phase == .deciding || self.phase == .opening else { return }
        var bytes = ByteBuffer()
        answer.write(into: &bytes, layer: .opening, date: self.settings.date(), method: method)
        self.output.append(bytes)
        if self.isObserved {
            self.actions.append(
                .event(.openingResponse(head: Redaction.head(of: bytes), status: answer.status))
            )
        }
        self.leave(nil, now: now)
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
