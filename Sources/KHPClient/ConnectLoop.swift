// One connect over all its hops: dial, both handshakes, and on to the next hop where a response says so, all within one
// bound in time that stands still while a person is asked. The decisions are those of the sans-I/O `ConnectAttempt`,
// `ChallengeDialogue` and `HopCourse`; this loop dials, asks the caller and waits.
//
//   hop ──▶ dial ──▶ follow ──▶ open: the socket
//    ▲                 │
//    └── next hop ◀────┴─ an answer that needs a fresh connection, or a redirect

import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore
import NIOPosix
import Synchronization

struct ConnectLoop {
    let configuration: WebSocketClient.Configuration
    let gate: ConnectGate
    let eventLoop: any EventLoop
    var attempt: ConnectAttempt
    /// The end of the whole connect; it moves by the time that answers to challenges take.
    var deadline: NIODeadline
    /// The number of hops that have begun, with those of earlier connects of a series.
    var hops: Int
    var cookies: ConnectCookies
    var consent: RedirectConsent
    /// Each proxy of this connect with the credentials that it was last used with, by host and port.
    var proxies: [String: Proxy] = [:]
    /// True once the warning of credentials without TLS is logged.
    var hasWarned = false
    var streamUse: StreamUse
    /// The connection of the current hop, for observers.
    var info = ConnectionInfo(id: 0, role: .client, peer: "")
    let observer: ConnectObserver
    /// Makes the taker of the messages on the event loop; `nil` where the socket's owner takes them.
    private let makeMessageHandler: (@Sendable (HandshakeSummary) -> any MessageHandler)?

    private static let connections = Atomic<UInt64>(0)

    /// The end of a hop.
    private enum End {
        case open(WebSocket)
        /// On to the next hop, with the answer to a challenge where one waits for a fresh connection.
        case next(carrying: ChallengeAnswer?)
        /// This hop again, over HTTP/1.1.
        case withoutStreams
        /// This hop again, on a connection of its own.
        case alone
    }

    /// - Parameter hops: how many hops earlier connects of a series have begun.
    init(
        configuration: WebSocketClient.Configuration,
        gate: ConnectGate,
        shared: StreamConnectionPool,
        eventLoop: any EventLoop,
        attempt: ConnectAttempt,
        hops: Int = 0,
        makeMessageHandler: (@Sendable (HandshakeSummary) -> any MessageHandler)? = nil
    ) {
        self.configuration = configuration
        self.gate = gate
        self.streamUse = StreamUse(shared: shared)
        self.eventLoop = eventLoop
        self.attempt = attempt
        self.hops = hops
        self.makeMessageHandler = makeMessageHandler
        self.cookies = ConnectCookies(configuration.cookies)
        self.observer = ConnectObserver(configuration.observe, configuration.instruments, attempt.url)
        self.consent = RedirectConsent(configuration.redirects.permit, pending: attempt.moved?.step)
        self.deadline = .now() + TimeAmount(configuration.timeouts.total)
    }

    /// Runs the connect to its end.
    /// - Throws: ``WebSocketError``, or `CancellationError`.
    mutating func run() async throws -> WebSocket {
        do {
            return try await self.runHops()
        } catch {
            let failure = self.attempt.explained(self.failure(of: error))
            self.observe(.failed(failure))
            self.configuration.logger?.debug("connect failed", metadata: ["error": "\(failure)"])
            throw failure.code == .cancelled ? CancellationError() : failure
        }
    }

    private mutating func runHops() async throws -> WebSocket {
        var answer: ChallengeAnswer?
        while true {
            try Task.checkCancellation()
            do {
                switch try await self.hop(carrying: answer) {
                case .open(let socket): return socket
                case .next(let carried): answer = carried
                case .withoutStreams: self.streamUse.origins.insert("\(self.attempt.url.origin)")
                case .alone: self.streamUse.isAlone = true
                }
            } catch let error as WebSocketError {
                guard self.attempt.fallBack(after: error) else { throw error }
                answer = nil
                self.configuration.logger?.notice(
                    "the server does not speak the dialect; trying another",
                    metadata: ["dialect": "\(self.attempt.plan.dialect)", "error": "\(error)"]
                )
            }
        }
    }

    /// The error of a connect, whatever was thrown. A cancelled one says so, whatever a connection says that was dropped
    /// for it.
    private func failure(of error: any Error) -> WebSocketError {
        if Task.isCancelled || error is CancellationError {
            return WebSocketError(.cancelled, "The connect was cancelled.", url: self.attempt.url)
        }
        if error is CallerQuestion.Unanswered { return self.notComplete() }
        if let error = error as? WebSocketError { return error }
        var failure = TransportFailure.describe(error)
        failure.url = failure.url ?? self.attempt.url
        return failure
    }

    func observe(_ event: ConnectionEvent) {
        self.observer.observe(event, self.info)
    }

    // MARK: One hop

    private mutating func hop(carrying answer: ChallengeAnswer?) async throws -> End {
        self.hops += 1
        var plan = self.attempt.nextPlan(carrying: answer, clientNonce: Self.makeNonce)
        plan.takesCookies = self.cookies.areTaken
        plan.cookies = self.cookies.header(for: plan.url, scope: self.attempt.cookieScope)
        self.observer.prepare(&plan, attempt: self.hops, isAtOrigin: self.attempt.isAtOrigin)
        self.warnWithoutTLS(plan)
        self.info = ConnectionInfo(
            id: Self.connections.wrappingAdd(1, ordering: .relaxed).newValue,
            role: .client,
            peer: ""
        )
        // Another server may be behind another proxy, or behind none. A configured other place is dialled directly.
        let proxy = self.configuration.connectTo == nil ? try self.configuration.proxy.proxy(for: plan.url) : nil
        self.observe(.connecting(url: plan.url, attempt: self.hops, proxy: proxy))
        if !plan.dialect.isMasked, !plan.url.isSecure {
            // Threat D1
            self.configuration.logger?.warning(
                "what is sent is not masked and does not go over TLS: proxies on the way may mistake it for requests",
                metadata: ["dialect": "\(plan.dialect)", "origin": "\(plan.url.origin)"]
            )
        }
        try self.checkStreams(plan)
        let hop: Hop
        if let dial = self.configuration.dialInstead {
            hop = try await self.take(plan, "The endpoint", from: dial)
        } else if case .virtualMachine(let contextID, let port)? = self.configuration.connectTo {
            hop = try await self.dial(
                plan,
                at: VsockAddress(cid: .init(rawValue: contextID), port: .init(rawValue: port))
            )
        } else {
            let addresses = try await self.addresses(of: plan.url, through: proxy)
            hop = try await self.shareOrDial(plan, through: proxy, at: addresses)
        }
        let end = try await withTaskCancellationHandler {
            try await self.follow(hop)
        } onCancel: {
            hop.abandon()
        }
        // TLS reads on while it ends, so a connection that was given up may have opened. One with a message handler is
        // waited for, whatever its end.
        if case .open = end, self.makeMessageHandler == nil { try Task.checkCancellation() }
        return end
    }

    /// The addresses to dial, in their order.
    private mutating func addresses(of url: WebSocketURL, through proxy: Proxy?) async throws -> [SocketAddress] {
        let lookUp = HostLookUp(self.configuration, eventLoop: self.eventLoop, self.observer)
        let limit = min(self.deadline, .now() + TimeAmount(self.configuration.timeouts.connect))
        let question = self.question
        let addresses = try await self.consent.addresses(of: url, isProxied: proxy != nil, question) {
            try await lookUp.addresses(of: url, through: proxy, until: limit)
        }
        guard !addresses.isEmpty else {
            throw WebSocketError(.connectFailed, "The host has no address.", url: url, phase: .connect)
        }
        return AddressOrder.interleaved(addresses)
    }

    /// A question to the caller, who may take the rest of the connect's time.
    private var question: CallerQuestion {
        CallerQuestion(deadline: self.deadline, eventLoop: self.eventLoop, hooks: self.configuration.hooks)
    }

    // MARK: The steps of a hop

    private mutating func follow(_ hop: Hop) async throws -> End {
        var hop = hop
        defer { hop.giveBack() }
        var course = HopCourse()
        var isFirst = true
        var remedy: StreamUse.Remedy?
        for await step in hop.steps {
            if isFirst, case .failed(let error) = step { remedy = self.remedy(for: hop, after: error) }
            isFirst = false
            switch step {
            case .established(let head):
                hop.giveBack()
                try self.attempt.accepted(head)
                self.keep(self.attempt.earlyCookies(of: head))
            case .opened(let socket):
                return .open(socket)
            case .challenge(let response, let layer):
                do {
                    try await self.answer(response, in: layer, on: &hop, &course)
                } catch let error as WebSocketError {
                    course.failed(error)
                    try? await hop.close(ChallengeDialogue.closeCode(after: error))
                }
            case .ended(let outcome):
                // The old connection is closed before the next begins, but a peer that does not answer is not waited for.
                course.ended(outcome)
                self.keep(self.attempt.earlyCookies(of: outcome))
                hop.endsWithin(.milliseconds(300))
            case .failed(let error):
                self.keep(self.attempt.earlyCookies(of: error))
                course.failed(error)
                hop.endsWithin(.seconds(1))
            case .lacksStreams:
                remedy = .withoutStreams
            case .closed:
                break
            }
        }
        hop.giveBack()
        try Task.checkCancellation()
        switch remedy {
        case .alone?: return .alone
        case .withoutStreams?: return .withoutStreams
        case nil: break
        }
        switch try course.end(at: self.attempt.url) {
        case .again(let answer): return .next(carrying: answer)
        case .challenged(let response, let layer):
            return .next(carrying: try await self.answer(response, in: layer))
        case .redirected(let outcome):
            try await self.redirect(outcome)
            return .next(carrying: nil)
        }
    }

    /// Answers a challenge while the connection waits for it.
    private mutating func answer(
        _ response: HandshakeResponse,
        in layer: HandshakeLayer,
        on hop: inout Hop,
        _ course: inout HopCourse
    ) async throws {
        // Other connects may use this address while a person is asked.
        hop.giveBack()
        self.keep(self.attempt.earlyCookies(of: response, in: layer))
        let answer = try await self.answer(response, in: layer)
        switch layer {
        case .extended:
            try await hop.answer(answer, until: self.deadline)
        case .proxy, .opening:
            course.holds(answer)
            hop.permit = try await self.permit(after: hop.permit)
            var (replay, after) = self.attempt.replay(answer, clientNonce: Self.makeNonce())
            // The 401 may have changed them (D44).
            replay.cookies = self.cookies.header(for: self.attempt.url, scope: self.attempt.cookieScope)
            guard try await hop.answer(replay, key: Self.makeNonce(), until: self.deadline) else { return }
            course.sent()
            self.attempt = after
        }
    }

    /// The right to be in CONNECTING state once more (R-C1).
    func permit(after permit: ConnectPermit) async throws -> ConnectPermit {
        if let permit = await permit.again(until: self.deadline, on: self.eventLoop) { return permit }
        try Task.checkCancellation()
        throw self.notComplete()
    }

    private func keep(_ cookies: [SetCookie]) {
        self.cookies.keep(cookies, from: self.attempt.url)
    }

    private mutating func redirect(_ outcome: HopOutcome) async throws {
        var choice: String?
        if let alternatives = self.attempt.alternatives(of: outcome), let choose = self.configuration.redirects.choose {
            choice = try await self.question.ask { await choose(alternatives) }
        }
        let cookies = self.cookies
        let step = try self.attempt.follow(
            outcome,
            choice: choice,
            cookies: { cookies.state(for: $0) },
            cookiesSent: cookies.sent
        )
        guard let step else { return }
        self.observe(.redirect(from: step.from, to: step.to, status: step.status, layer: step.layer))
        self.consent.follows(step)
    }

    // MARK: The parts of a hop

    /// The protocol of streams that the next hop offers in TLS: the older dialects have none.
    var streams: (any ClientStreamProtocol)? {
        guard let streams = self.configuration.streams, streams.isOffered, self.attempt.plan.dialect.runsOnStreams
        else {
            return nil
        }
        return self.streamUse.origins.contains("\(self.attempt.url.origin)") ? nil : streams
    }

    private func checkStreams(_ plan: ClientPlan) throws {
        guard self.configuration.streams?.isRequired == true else { return }
        guard plan.url.isSecure, plan.dialect.runsOnStreams else {
            throw WebSocketError(
                .invalidArgument,
                "HTTP/2 is required, and it carries RFC 6455 over TLS alone.",
                url: plan.url
            )
        }
    }

    /// The factory of a hop's handler. Checks the plan now, so that a caller's mistake is thrown before anything is
    /// dialled.
    /// - Throws: `WebSocketError` for a plan that cannot be sent.
    func handlerFactory(
        for plan: ClientPlan,
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) throws -> HopHandlerFactory {
        let configuration = self.configuration
        var settings = ConnectionSettings()
        settings.limits = configuration.limits.ofConnection
        settings.timeouts = configuration.timeouts.ofConnection
        settings.keepAlive = configuration.keepAlive
        settings.delivery = configuration.delivery
        settings.observation = self.observer.observation
        let connection = ConnectionConfiguration(settings)
        var generator = SystemRandomNumberGenerator()
        let key = AcceptKey.makeKey(using: &generator)
        return HopHandlerFactory(
            client: try PreparedClient(plan.withKeys(using: &generator), key: key),
            configuration: connection,
            deadline: self.deadline,
            info: self.info,
            steps: steps,
            cookies: self.cookies,
            observer: self.observer,
            makeMessageHandler: self.makeMessageHandler,
            streams: self.streams,
            patience: TimeAmount(configuration.timeouts.opening)
        )
    }

    /// Fresh randomness: for Digest, and for keys.
    static func makeNonce() -> String {
        var generator = SystemRandomNumberGenerator()
        return AcceptKey.makeKey(using: &generator)
    }

    /// The error of a connect that has taken too long.
    func notComplete() -> WebSocketError {
        WebSocketError(
            .timeout,
            "The connect was not complete within \(self.configuration.timeouts.total.words).",
            url: self.attempt.url,
            phase: .connect
        )
    }
}
