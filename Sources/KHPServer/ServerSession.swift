// One accepted connection: decides about its requests by the endpoints' rules, runs the application once it is open.
// Everything here happens on the connection's event loop; what may take its time runs in a task and comes back.

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore
import NIOSSL

final class ServerSession: ConnectionDelegate {
    private let server: ServerState
    private let channel: any Channel
    private let entry: ServerState.Entry
    private var endpoint: ServedEndpoint?
    private var openingRequest: OpeningRequest?
    private var principal: String?
    /// Proves to a client that has answered a Digest challenge that we know its key too.
    private var confirmation: DigestConfirmation?
    private var attempt = 0
    private var decision: Task<Void, Never>?
    /// True while `decision` checks credentials.
    private var checksCredentials = false
    /// The address that limits count by: the peer's, or the one that a trusted proxy has named.
    private var client: SocketAddress?

    init(server: ServerState, channel: any Channel, entry: ServerState.Entry) {
        self.server = server
        self.channel = channel
        self.entry = entry
    }

    private var peer: String { self.channel.remoteAddress?.peerName ?? "" }

    // MARK: ConnectionDelegate

    func connected(_ handler: ConnectionHandler) {
        guard self.server.isObserved else { return }
        let tls = self.server.usesTLS ? TLSInfo.of(self.channel) : nil
        self.observe(.connected(peer: self.peer, tls: tls))
    }

    func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {
        switch action {
        case .decideOpening(let request):
            self.openingRequest = request
            self.decide(request, on: handler)
        case .decideExtended(let request):
            self.decide(request, on: handler)
        case .plainRequest(let request):
            self.answerPlain(request, on: handler)
        case .opened(let negotiation):
            self.opened(negotiation, on: handler)
        case .event(let event):
            self.observe(event)
        case .failed(let error):
            // Nothing that a peer sends makes an argument invalid: it is an answer of the application.
            let isOurs = error.code == .invalidArgument
            self.server.log(
                isOurs ? .error : .debug,
                isOurs ? "an answer of the application cannot be sent" : "handshake failed",
                ["peer": "\(self.peer)", "error": "\(error)"]
            )
            self.observe(.failed(error))
        case .closed:
            self.decision?.cancel()
            self.decision = nil
        case .message, .chunk, .peerClosing, .pong, .challenge, .hopEnded, .established:
            break
        }
    }

    private func observe(_ event: ConnectionEvent) {
        self.server.observe(event, id: self.entry.id, peer: self.channel.remoteAddress)
    }

    func inputEnded(_ handler: ConnectionHandler) {
        // A peer that says nothing any more cannot use a socket: its password need not be hashed.
        if self.checksCredentials { self.decision?.cancel() }
    }

    /// Refuses what is not to be served whoever asks: another host's requests, and those of an address that has too
    /// many connections pending behind a proxy.
    private func isWelcome(_ head: RequestHead, at authority: Authority?, on handler: ConnectionHandler) -> Bool {
        guard self.server.hosts.allows(authority) else {
            self.refuse(.misdirected(method: head.method), on: handler)
            return false
        }
        self.client = self.server.client(of: head, peer: self.channel.remoteAddress)
        guard self.server.count(self.entry, for: self.client) else {
            self.refuse(.tooManyPending(), on: handler)
            return false
        }
        return true
    }

    // MARK: The opening handshake

    private func decide(_ request: OpeningRequest, on handler: ConnectionHandler) {
        guard self.isWelcome(request.head, at: request.authority, on: handler) else { return }
        guard let endpoint = self.server.endpoint(at: request.path) else {
            return self.refuse(.notFound(), on: handler)
        }
        self.endpoint = endpoint
        guard request.dialect(among: endpoint.dialects) != nil else {
            return self.refuse(.dialectNotServed(endpoint.dialects), on: handler)
        }
        guard endpoint.origins.allows(request.origin, at: request.authority, isSecure: self.server.usesTLS) else {
            return self.refuse(.originRefused(), on: handler)
        }
        let extended = request.offersExtendedHandshake && endpoint.extendedHandshake != .off
        if !extended, endpoint.extendedHandshake == .required {
            // KHP-O5
            return self.refuse(
                Refusal(400, "This endpoint requires the subprotocol x-kaazing-handshake."),
                on: handler
            )
        }
        let challengesHere = endpoint.authentication.map { !extended || $0.place == .opening } ?? false
        if extended && !challengesHere { return self.accept(request, extended: true, on: handler) }
        // D24: whoever does not take part in the extended handshake gets the route's answer here.
        if !challengesHere && endpoint.respond == nil { return self.accept(request, extended: extended, on: handler) }
        self.attempt += 1
        let question = self.question(layer: .opening, request, nil)
        let admission = Admission(endpoint, asks: challengesHere, self.server, self.client)
        self.checksCredentials = challengesHere && question.presented != nil
        self.later(on: handler) {
            let principal: Principal
            switch await admission.decide(question) {
            case .refused(let answer): return (answer, nil)
            case .admitted(let admitted): principal = admitted
            }
            if extended { return (.complete(), principal) }
            return (await endpoint.respond?(question.with(principal: principal.name)) ?? .complete(), principal)
        } then: { session, answer, principal in
            session.admitted(principal)
            if answer.completes {
                session.accept(request, extended: extended, answer: answer, on: handler)
            } else {
                session.answerOpening(answer, on: handler)
            }
        }
    }

    private func accept(
        _ request: OpeningRequest,
        extended: Bool,
        answer: HandshakeResponse? = nil,
        on handler: ConnectionHandler
    ) {
        guard let endpoint else { return }
        var plan = EndpointPlan()
        plan.dialects = endpoint.dialects
        plan.answersBeforeKeys = endpoint.answersBeforeKeys
        plan.extended = extended
        plan.extensions = endpoint.extensions
        plan.subprotocols = endpoint.subprotocols
        plan.servesWithoutSubprotocol = endpoint.servesWithoutSubprotocol
        var response = answer
        if let confirmation {
            var confirmed = response ?? .complete()
            confirmed.headers[.authenticationInfo] = confirmation.authenticationInfo()
            response = confirmed
            self.confirmation = nil
        }
        plan.sessionLifetime = endpoint.sessionLifetime
        plan.principal = self.principal
        plan.configuration = endpoint.configuration
        plan.kaazingLegacy = endpoint.kaazingLegacy
        handler.connection.acceptOpening(request, plan, response: response, now: .now())
        handler.proceed()
    }

    private func refuse(_ refusal: Refusal, on handler: ConnectionHandler) {
        handler.connection.refuseOpening(refusal, now: .now())
        handler.proceed()
    }

    private func answerOpening(_ answer: HandshakeResponse, on handler: ConnectionHandler) {
        // A status that only makes sense inside a connection cannot end an HTTP exchange.
        if let later = answer.next {
            self.later(on: handler) {
                (await later(), nil)
            } then: { session, answer, _ in
                guard let request = session.openingRequest else { return }
                if answer.completes {
                    session.accept(request, extended: false, answer: answer, on: handler)
                } else {
                    session.answerOpening(answer, on: handler)
                }
            }
            return
        }
        let request = self.endpoint?.kaazingLegacy == true ? self.openingRequest : nil
        let isBalanced = request.map { handler.connection.balanceOpening($0, answer, now: .now()) } ?? false
        if !isBalanced { handler.connection.refuseOpening(answer, now: .now()) }
        handler.proceed()
    }

    // MARK: The extended handshake

    private func decide(_ request: ExtendedRequest, on handler: ConnectionHandler) {
        guard let endpoint, let openingRequest else { return }
        let challengesHere = endpoint.authentication.map { $0.place == .extended } ?? false
        guard challengesHere || endpoint.respond != nil else {
            // Not before all of this read has been taken: what came with the request came before the answer (D33).
            return self.afterRead(on: handler) { session in session.answerExtended(.complete(), on: handler) }
        }
        self.attempt += 1
        let question = self.question(layer: .extended, openingRequest, request)
        let admission = Admission(endpoint, asks: challengesHere, self.server, self.client)
        self.checksCredentials = challengesHere && question.presented != nil
        let known = self.principal
        self.later(on: handler) {
            switch await admission.decide(question) {
            case .refused(let answer):
                return (answer, nil)
            case .admitted(var principal):
                if !challengesHere { principal.name = known }
                return (
                    await endpoint.respond?(question.with(principal: principal.name)) ?? .complete(), principal
                )
            }
        } then: { session, answer, principal in
            session.admitted(principal)
            session.answerExtended(answer, on: handler)
        }
    }

    private func admitted(_ principal: Principal?) {
        self.principal = principal?.name
        self.confirmation = principal?.confirmation
    }

    private func answerExtended(_ answer: HandshakeResponse, on handler: ConnectionHandler) {
        var response = answer
        if response.completes, let confirmation {
            let body = response.status == 201 ? response.body : ByteBuffer()
            response.headers[.authenticationInfo] = confirmation.authenticationInfo(entity: body)
        }
        handler.connection.answerExtended(response, principal: self.principal, now: .now())
        if let later = answer.next {
            self.later(on: handler) {
                (await later(), nil)
            } then: { session, answer, _ in
                session.answerExtended(answer, on: handler)
            }
        }
        handler.proceed()
    }

    // MARK: What takes its time

    private func question(
        layer: HandshakeLayer,
        _ opening: OpeningRequest,
        _ extended: ExtendedRequest?
    ) -> HandshakeRequest {
        let tls = try? self.channel.pipeline.syncOperations.handler(type: NIOSSLHandler.self)
        return HandshakeRequest(
            layer: layer,
            subprotocols: extended?.subprotocols ?? opening.subprotocols,
            extensions: extended?.extensionOffers ?? opening.extensionOffers,
            principal: self.principal,
            peer: self.peer,
            clientCertificate: tls?.peerCertificate,
            attempt: self.attempt,
            openingRequest: opening,
            extendedRequest: extended
        )
    }

    /// Runs what an application decides in a task; what follows happens on the event loop, unless the connection has
    /// ended meanwhile: then the task was cancelled.
    private func later(
        on handler: ConnectionHandler,
        _ body: @escaping @Sendable () async -> (HandshakeResponse, Principal?),
        then: @escaping (ServerSession, HandshakeResponse, Principal?) -> Void
    ) {
        let bound = NIOLoopBound((self, then), eventLoop: handler.eventLoop)
        let eventLoop = handler.eventLoop
        self.decision = Task(executorPreference: handler.executor) {
            let (answer, principal) = await body()
            eventLoop.execute {
                let (session, then) = bound.value
                guard session.decision != nil else { return }
                session.decision = nil
                then(session, answer, principal)
            }
        }
    }

    /// On the event loop, once it has dealt with what the channel has read.
    private func afterRead(on handler: ConnectionHandler, _ body: @escaping (ServerSession) -> Void) {
        let bound = NIOLoopBound((self, body), eventLoop: handler.eventLoop)
        handler.eventLoop.execute {
            let (session, body) = bound.value
            body(session)
        }
    }

    // MARK: Other requests

    private func answerPlain(_ plain: CheckedRequest, on handler: ConnectionHandler) {
        let head = plain.head
        guard self.isWelcome(head, at: plain.authority, on: handler) else { return }
        if let preflight = CookiePreflight(plain), let endpoint = self.server.endpoint(at: preflight.path),
            endpoint.kaazingLegacy
        {
            return self.answer(preflight, at: endpoint, on: handler)
        }
        guard let answer = self.server.configuration.httpHandler else {
            let refusal = self.server.refusal(of: plain)
            return self.refuse(refusal, on: handler)
        }
        let request = HandshakeRequest.request(head)
        let bound = NIOLoopBound((self, handler), eventLoop: handler.eventLoop)
        let eventLoop = handler.eventLoop
        self.decision = Task(executorPreference: handler.executor) {
            let answer = await answer(request)
            eventLoop.execute {
                let (session, handler) = bound.value
                guard session.decision != nil else { return }
                session.decision = nil
                handler.connection.refuseOpening(answer, method: head.method, now: .now())
                handler.proceed()
            }
        }
    }

    /// Answers the request of Kaazing's Java client before it opens: an endpoint that challenges in the opening
    /// handshake does so here already.
    private func answer(_ preflight: CookiePreflight, at endpoint: ServedEndpoint, on handler: ConnectionHandler) {
        let challengesHere = endpoint.authentication.map { $0.place == .opening } ?? false
        let admission = Admission(endpoint, asks: challengesHere, self.server, self.client)
        self.checksCredentials = challengesHere && preflight.credentials != nil
        self.later(on: handler) {
            switch await admission.decide(preflight.credentials, confirms: false) {
            case .refused(let answer): (answer, nil)
            case .admitted: (preflight.answer, nil)
            }
        } then: { session, answer, _ in
            session.answerOpening(answer, on: handler)
        }
    }

    // MARK: Open

    private func opened(_ negotiation: HandshakeSummary, on handler: ConnectionHandler) {
        guard let endpoint else { return }
        switch endpoint.application {
        case .handler(let make):
            let application = make()
            handler.deliver(to: .handler(application))
            self.server.opened(self.entry)
            application.opened(EventLoopSocket(handler))
        case .task(let run):
            let inbox = Inbox(limits: handler.connection.configuration.limits)
            handler.connection.holdsClose = true
            handler.deliver(to: .inbox(inbox))
            let socket = WebSocket(
                handler: handler,
                inbox: inbox,
                negotiated: negotiation,
                address: self.channel.remoteAddress
            )
            let server = self.server
            let entry = self.entry
            let task = Task(executorPreference: handler.executor) {
                do {
                    try await socket.withOwner(run)
                    _ = try? await socket.close()
                } catch {
                    server.handlerFailed(error)
                    _ = try? await socket.close(code: .internalError)
                }
                server.taskEnded(entry)
            }
            server.opened(entry, task: task)
        case .none:
            self.server.opened(self.entry)
            handler.close(code: .normalClosure, reason: "")
        }
    }
}
