// One accepted connection: asks what the decisions about its requests depend on, and runs the application once it is open.
// Everything here happens on the connection's event loop; what may take its time runs in a task and comes back.

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore
import NIOSSL

final class ServerSession: ConnectionDelegate {
    let server: ServerState
    /// The endpoints that its request is looked up in.
    private var table: EndpointTable
    let channel: any Channel
    let entry: ServerState.Entry
    /// Empty until the request is known to be an endpoint's.
    private(set) var instruments: ServerInstruments
    let transport: Transport
    /// Another framework's HTTP, which gets the connection where its request is no endpoint's.
    private let port: SharedPort?
    /// `false` while observers know nothing of the connection, since another framework may yet get it.
    private var isAnnounced = false
    /// Unchecked, as the task below: on the connection's event loop only, and the decisions call nothing that comes back
    /// here but ``roomRefusal(_:)``, which looks at neither.
    @exclusivity(unchecked) var decisions: ServerDecisions
    /// The task of the question that waits for its reply.
    @exclusivity(unchecked) private var asking: Task<Void, Never>?
    /// The value that the endpoint has made for a handshake which may open the socket still.
    private var context: HandshakeContext?
    /// The address that a trusted proxy has named.
    var named: SocketAddress? {
        didSet { if self.named != oldValue { self.tellNamed() } }
    }
    /// The common name that the proxy has verified, where its header has one.
    var namedCertificate: String?

    init(
        server: ServerState,
        table: EndpointTable,
        channel: any Channel,
        entry: ServerState.Entry,
        transport: Transport = .socket,
        port: SharedPort? = nil
    ) {
        self.server = server
        self.table = table
        self.channel = channel
        self.entry = entry
        self.transport = transport
        self.port = port
        self.isAnnounced = port == nil
        self.instruments = port == nil ? Self.instruments(server, channel, entry) : ServerInstruments()
        self.decisions = ServerDecisions(table.endpoints)
    }

    /// The address that limits count by.
    private var client: SocketAddress? { self.named ?? self.channel.remoteAddress }

    private var peer: String { self.channel.remoteAddress?.peerName ?? "" }

    // MARK: ConnectionDelegate

    func connected(_ handler: ConnectionHandler) {
        if self.isAnnounced { self.tellConnected() }
    }

    private func tellConnected() {
        guard self.server.isObserved else { return }
        self.observe(.connected(peer: self.peer, tls: TLSInfo.of(self.channel, self.transport)))
    }

    /// The connection of a shared port is ours: observers are told of it.
    private func announce() {
        self.isAnnounced = true
        self.instruments = Self.instruments(self.server, self.channel, self.entry)
        self.tellNamed()
        self.tellConnected()
    }

    private static func instruments(
        _ server: ServerState,
        _ channel: any Channel,
        _ entry: ServerState.Entry
    ) -> ServerInstruments {
        ServerInstruments(
            server.configuration.instruments,
            ConnectionInfo(id: entry.id, role: .server, peer: channel.remoteAddress?.peerName ?? "")
        )
    }

    func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {
        switch action {
        case .server(.decideOpening(let request)):
            self.port?.isOwn()
            self.lookUpInForce()
            if self.server.isObserved, let match = try? self.table.endpoints.match(request.path) {
                self.observe(.routed(endpoint: match.endpoint.values.path))
            }
            let next = self.decisions.decide(request, on: &handler.connection, now: .now()) {
                self.roomRefusal { request.head }
            }
            self.follow(next, on: handler)
        case .server(.decideExtended(let request)):
            self.follow(self.decisions.decide(request), on: handler)
        case .server(.plainRequest(let request)):
            self.port?.isOwn()
            self.lookUpInForce()
            let next = self.decisions.decide(request, on: &handler.connection, now: .now()) {
                self.roomRefusal { request.head }
            }
            self.follow(next, on: handler)
        case .server(.handOn(let undecoded)):
            self.handOn(undecoded.bytes, handler)
        case .server(.proxyHeader):
            self.server.tellUnwantedProxyHeader(at: self.entry.entrance, from: self.channel.remoteAddress)
        case .opened:
            self.opened(action, on: handler)
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
            self.decisions.ended()
            self.asking?.cancel()
            self.asking = nil
            if self.context?.lastsAsLongAsChannel != true { self.dropContext() }
        case .client:
            assertionFailure("a server's connection asks what only a client decides")
        case .message, .chunk, .peerClosing, .pong:
            break
        }
    }

    /// The connection may have waited for its request while other endpoints came into force.
    private func lookUpInForce() {
        let table = self.server.table
        guard table !== self.table else { return }
        self.table = table
        self.decisions.lookUp(in: table.endpoints)
    }

    func channelClosed() {
        self.server.closed(self.entry)
        self.dropContext()
    }

    func hasAgreed(on name: String?, _ handler: ConnectionHandler) -> Bool {
        self.server.hasAgreed(on: name, handler, of: self)
    }

    /// The request is no endpoint's: the channel goes on with what comes, as if we had never had it.
    private func handOn(_ bytes: ByteBuffer, _ handler: ConnectionHandler) {
        self.server.closed(self.entry)
        guard let port else {
            assertionFailure("a request is handed on where there is nobody else")
            return self.channel.close(promise: nil)
        }
        let door = HostDoor(port)
        do {
            try handler.standAside(for: door)
            if port.sharing == .everyRequest {
                let watch = HostWatch(self.server, port)
                try self.channel.pipeline.syncOperations.addHandler(watch, position: .before(door))
                watch.begin(bytes)
            } else {
                door.begin(bytes)
            }
            door.open()
        } catch {
            self.channel.close(promise: nil)
        }
    }

    private func observe(_ event: ConnectionEvent) {
        if !self.isAnnounced { self.announce() }
        self.server.observe(event, id: self.entry.id, peer: self.channel.remoteAddress)
        self.instruments.observe(event)
    }

    func inputEnded(_ handler: ConnectionHandler) {
        // A peer that has ended its stream cannot use a socket: its password need not be hashed.
        if self.decisions.checksCredentials { self.asking?.cancel() }
    }

    /// The refusal where there is no room for one more connection, or for one of the client that made the request.
    private func roomRefusal(_ head: () -> RequestHead) -> Refusal? {
        if self.port != nil, !self.server.serve(self.entry) { return .tooManyConnections() }
        let rule = self.entry.entrance.clients
        guard rule.isForwarding else { return nil }
        self.named = rule.client(of: head(), peer: self.client)
        return self.server.count(self.entry, for: self.client) ? nil : .tooManyPending()
    }

    // MARK: Following a decision

    private func follow(_ next: ServerDecisions.Next, on handler: ConnectionHandler) {
        switch next {
        case .nothing:
            break
        case .ask(let question):
            self.ask(question, on: handler)
        case .completeAfterRead:
            handler.tellOnceAllIsRead()
        case .wait(let next):
            // The 202 that it follows goes out meanwhile.
            self.wait(for: next, on: handler)
        case .plain(let plain):
            self.answer(plain, on: handler)
        }
    }

    func allIsRead(_ handler: ConnectionHandler) {
        handler.tell { self.decisions.completeExtended(on: &$0, now: $1) }
    }

    /// The answer to a question, with the value that was made for it.
    private struct Answer: Sendable {
        var reply: ServerReply
        var context: HandshakeContext?
    }

    private func ask(_ question: ServerQuestion, on handler: ConnectionHandler) {
        let served = self.table.served(question.endpoint)
        let admission = Admission(question.asksForCredentials ? served.gate : nil, self.server, self.client)
        let request = self.request(question)
        let presented = question.presented
        let confirms = question.confirms
        let usual = question.usualResponse
        let server = self.server
        let entry = self.entry
        let instruments = self.instruments
        // The application may make a value that has to be released before the server is gone.
        let makesContext = question.asksApplication && served.makesContext
        if makesContext { server.hold(entry) }
        self.run(on: handler) { () -> Answer in
            if let refusal = await instruments.run({
                await served.refusal(of: request) { server.closureFailed($0) }
            }) {
                if makesContext { server.letGo(entry) }
                return Answer(reply: ServerReply(refusal))
            }
            let client: Admitted
            switch await instruments.run({ await admission.decide(presented, of: request, confirms: confirms) }) {
            case .refused(let response):
                if makesContext { server.letGo(entry) }
                return Answer(reply: ServerReply(response))
            case .admitted(let admitted): client = admitted
            }
            var response = usual
            var context: HandshakeContext?
            if question.asksApplication, let request {
                let request = request.with(principal: client.principal ?? question.principal)
                (response, context) = await instruments.run {
                    await served.reply(to: request, usual: usual) { server.closureFailed($0) }
                }
            }
            if makesContext, context == nil { server.letGo(entry) }
            let reply = ServerReply(
                response,
                principal: client.principal,
                sessionEnd: client.sessionEnd,
                confirmation: client.confirmation
            )
            return Answer(reply: reply, context: context)
        } then: { session, answer, connection, now in
            session.dropContext()
            session.context = answer.context
            return session.decisions.reply(answer.reply, on: &connection, now: now)
        } tooLate: { session, answer in
            session.context = answer.context
            session.dropContext()
        }
    }

    /// Waits for the response that follows a 202.
    private func wait(
        for next: @escaping @Sendable () async throws -> HandshakeResponse,
        on handler: ConnectionHandler
    ) {
        // The connection may have ended with the 202.
        guard self.decisions.awaitsReply else { return }
        let server = self.server
        let entry = self.entry
        let context = self.context
        let instruments = self.instruments
        self.run(on: handler) { () -> HandshakeResponse in
            let response = await instruments.run {
                await HandshakeResponse.of(next) { server.closureFailed($0) } ?? HandshakeResponse(status: 500)
            }
            if let context, !response.mayOpen { await server.release(context, of: entry) }
            return response
        } then: { session, response, connection, now in
            if !response.mayOpen { session.context = nil }
            return session.decisions.reply(after: response, on: &connection, now: now)
        }
    }

    /// Lets go of the handshake's context, as no socket opens for it.
    private func dropContext() {
        guard let context = self.context else { return }
        self.context = nil
        let server = self.server
        let entry = self.entry
        let hooks = server.configuration.hooks
        hooks?.taskStarts()
        Task {
            await hooks?.taskBegins()
            await server.release(context, of: entry)
            hooks?.taskEnds()
        }
    }

    /// The request as the application sees it; `nil` for one that it does not see.
    private func request(_ question: ServerQuestion) -> HandshakeRequest? {
        switch question.subject {
        case .opening(let opening):
            self.request(opening, nil, question.match, question.principal, question.attempt)
        case .extended(let extended):
            self.request(extended.opening, extended, question.match, question.principal, question.attempt)
        case .preflight:
            nil
        }
    }

    /// The request that has opened the socket.
    private func request(_ accepted: ServerDecisions.Accepted) -> HandshakeRequest {
        self.request(
            accepted.opening,
            accepted.extended,
            accepted.match,
            self.decisions.principal,
            self.decisions.attempts
        )
    }

    private func request(
        _ opening: OpeningRequest,
        _ extended: ExtendedRequest?,
        _ match: EndpointMatch,
        _ principal: Principal?,
        _ attempt: Int
    ) -> HandshakeRequest {
        HandshakeRequest(
            layer: extended == nil ? .opening : .extended,
            parameters: match.parameters,
            principal: principal,
            peer: self.channel.remoteAddress,
            client: self.client,
            local: self.channel.localAddress,
            listener: self.entry.entrance.name,
            serverName: self.entry.serverName,
            clientCertificate: self.clientCertificate,
            proxiedCertificateName: self.namedCertificate,
            attempt: attempt,
            logger: self.server.logger(id: self.entry.id, peer: self.peer, of: opening.head, at: match.endpoint),
            loop: UnseenEventLoop(value: self.channel.eventLoop),
            openingRequest: opening,
            extendedRequest: extended
        )
    }

    /// Runs the application's part of an answer in a task. What follows happens on the event loop: `then`, or `tooLate`
    /// where the connection has ended meanwhile and the task was cancelled.
    func run<Value: Sendable>(
        on handler: ConnectionHandler,
        _ body: @escaping @Sendable () async -> Value,
        then: @escaping (ServerSession, Value, inout Connection, NIODeadline) -> ServerDecisions.Next,
        tooLate: @escaping (ServerSession, Value) -> Void = { _, _ in }
    ) {
        let bound = NIOLoopBound((self, handler, then, tooLate), eventLoop: handler.eventLoop)
        let eventLoop = handler.eventLoop
        let hooks = self.server.configuration.hooks
        hooks?.taskStarts()
        self.asking = Task(executorPreference: handler.executor) {
            defer { hooks?.taskEnds() }
            await hooks?.taskBegins()
            let value = await body()
            eventLoop.execute {
                let (session, handler, then, tooLate) = bound.value
                guard session.decisions.awaitsReply else { return tooLate(session, value) }
                session.asking = nil
                let next = handler.tell { then(session, value, &$0, $1) }
                session.follow(next, on: handler)
            }
        }
    }

    // MARK: Open

    /// - Parameter action: `opened`; its summary is looked at only where the application has a use for it.
    private func opened(_ action: ConnectionAction, on handler: ConnectionHandler) {
        guard let accepted = self.decisions.opened(on: &handler.connection) else {
            return assertionFailure("A connection opens that no endpoint has accepted.")
        }
        switch self.table.served(accepted.match.endpoint).application {
        case .handler(let make):
            self.start(make(), on: handler)
        case .task(let run):
            self.start(run, action, on: handler)
        case .requestTask(let run):
            let request = self.request(accepted)
            self.start({ try await run($0, request) }, action, on: handler)
        case .withContext:
            guard let context = self.context else {
                handler.close(code: .internalError, reason: "")
                return assertionFailure("A connection opens without the context of its endpoint.")
            }
            let request = self.request(accepted)
            switch context.use {
            case .task(let run):
                self.context = nil
                self.start(self.task(run, with: context, for: request), action, on: handler)
            case .handler(let make):
                self.start(make(request), on: handler)
            }
        case .none:
            self.server.opened(self.entry)
            handler.close(code: .normalClosure, reason: "")
        }
    }

    /// Has the application's handler take the messages of an open socket.
    private func start(_ application: any MessageHandler, on handler: ConnectionHandler) {
        handler.deliver(to: .handler(application))
        self.server.opened(self.entry)
        application.opened(EventLoopSocket(handler))
    }

    /// The application's task with the value that was made for it, which is released after it.
    private func task(
        _ run: @escaping Endpoint.RunWithRequest,
        with context: HandshakeContext,
        for request: HandshakeRequest
    ) -> Endpoint.Run {
        let server = self.server
        let entry = self.entry
        return { socket in
            let result: Result<Void, any Error>
            do {
                result = .success(try await run(socket, request))
            } catch {
                result = .failure(error)
            }
            await server.release(context, of: entry)
            try result.get()
        }
    }

    /// Runs the application's task for an open socket.
    private func start(
        _ run: @escaping Endpoint.Run,
        _ action: ConnectionAction,
        on handler: ConnectionHandler
    ) {
        guard case .opened(var negotiation) = action else {
            handler.close(code: .internalError, reason: "")
            return assertionFailure("A connection opens without its summary.")
        }
        negotiation.principal = self.decisions.principal
        let inbox = Inbox(limits: handler.connection.configuration.limits, tasks: handler.executor)
        handler.connection.socket.holdsClose = true
        handler.deliver(to: .inbox(inbox))
        let socket = WebSocket(
            handler: handler,
            inbox: inbox,
            negotiated: negotiation,
            address: self.channel.remoteAddress
        )
        let server = self.server
        let entry = self.entry
        let instruments = self.instruments
        let hooks = server.configuration.hooks
        hooks?.taskStarts()
        let task = Task(executorPreference: handler.executor) {
            defer { hooks?.taskEnds() }
            await hooks?.taskBegins()
            do {
                if instruments.isEmpty {
                    try await socket.withOwner(run)
                } else {
                    try await instruments.run { try await socket.withOwner(run) }
                }
                _ = try? await socket.close()
            } catch {
                server.handlerFailed(error)
                _ = try? await socket.close(code: .internalError)
            }
            server.taskEnded(entry)
        }
        server.opened(entry, task: task)
    }
}
