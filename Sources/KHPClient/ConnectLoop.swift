// The hops of one connect: dial, both handshakes, and on to the next where a response says so, all within one bound
// in time that stands still while a person is asked.

import KHPProtocol
import KHPTransport
import Logging
import NIOCore
import NIOSSL
import Synchronization

struct ConnectLoop {
    private let configuration: WebSocketClient.Configuration
    private let gate: ConnectGate
    private let eventLoop: any EventLoop
    private var attempt: ClientAttempt
    private var deadline: NIODeadline
    private var hops = 0
    private var hasWarned = false
    private var info = ConnectionInfo(id: 0, role: .client, peer: "")

    private static let connections = Atomic<UInt64>(0)

    init(
        configuration: WebSocketClient.Configuration,
        gate: ConnectGate,
        eventLoop: any EventLoop,
        attempt: ClientAttempt
    ) {
        self.configuration = configuration
        self.gate = gate
        self.eventLoop = eventLoop
        self.attempt = attempt
        self.deadline = .now() + TimeAmount(configuration.timeouts.total)
    }

    mutating func run() async throws -> WebSocket {
        do {
            while true {
                try Task.checkCancellation()
                if let socket = try await self.hop() { return socket }
            }
        } catch let error as WebSocketError {
            let error = self.attempt.explained(error)
            self.observe(.failed(error))
            self.configuration.logger?.debug("connect failed", metadata: ["error": "\(error)"])
            throw error
        } catch is CancellationError {
            let error = WebSocketError(.cancelled, "The connect was cancelled.", url: self.attempt.url)
            self.observe(.failed(error))
            throw error
        } catch {
            var error = TransportFailure.describe(error, usesTLS: self.attempt.url.isSecure)
            error.url = error.url ?? self.attempt.url
            self.observe(.failed(error))
            throw error
        }
    }

    private func observe(_ event: ConnectionEvent) {
        self.configuration.observer?(event, self.info)
    }

    // MARK: One hop

    /// - Returns: the open socket, or `nil` when another hop is to be tried.
    private mutating func hop() async throws -> WebSocket? {
        self.hops += 1
        let plan = self.attempt.plan
        self.info = ConnectionInfo(
            id: Self.connections.wrappingAdd(1, ordering: .relaxed).newValue,
            role: .client,
            peer: ""
        )
        self.observe(.connecting(url: plan.url, attempt: self.hops))
        let bound = TimeAmount(self.configuration.timeouts.connect)
        let addresses = try await self.resolve(plan.url, until: min(self.deadline, .now() + bound))
        var failure: WebSocketError?
        for (index, address) in addresses.enumerated() {
            // The time is shared among the addresses, so that a dead first one does not use it all up; waiting for
            // one's turn (R-C1) does not count.
            let share = TimeAmount.nanoseconds(bound.nanoseconds / Int64(addresses.count - index))
            do throws(DialFailure) {
                return try await self.hop(plan, to: address, within: share)
            } catch {
                switch error {
                case .nextAddress(let error): failure = failure ?? error
                case .final(let error): throw error
                }
            }
        }
        throw failure ?? WebSocketError(.connectFailed, "The host has no address.", url: plan.url, phase: .connect)
    }

    /// Why an address did not work out.
    private enum DialFailure: Error {
        /// Nothing answered there; another address may.
        case nextAddress(WebSocketError)
        case final(any Error)
    }

    private mutating func hop(
        _ plan: ClientPlan,
        to address: SocketAddress,
        within share: TimeAmount
    ) async throws(DialFailure) -> WebSocket? {
        let (stream, steps) = AsyncStream.makeStream(of: ClientSession.Step.self)
        self.info.peer = address.peerName
        // R-C1: per address, without the port.
        let place = address.ipAddress ?? address.peerName
        guard await self.gate.enter(place, until: self.deadline, on: self.eventLoop) else {
            if Task.isCancelled { throw .final(CancellationError()) }
            throw .final(
                self.timeout(
                    plan.url,
                    "The connect was not complete within \(self.configuration.timeouts.total.words)."
                )
            )
        }
        let permit = Permit(gate: self.gate, place: place)
        defer { permit.giveBack() }
        let limit = min(self.deadline, .now() + share)
        let channel = try await self.dial(plan, to: address, until: limit, steps: steps)
        do {
            return try await withTaskCancellationHandler {
                try await self.follow(stream, channel: channel, permit: permit)
            } onCancel: {
                channel.close(promise: nil)
            }
        } catch {
            throw .final(error)
        }
    }

    private func resolve(_ url: WebSocketURL, until limit: NIODeadline) async throws -> [SocketAddress] {
        do {
            return try await HostResolver.resolve(url.host, port: url.port, until: limit, on: self.eventLoop)
        } catch is CancellationError {
            throw CancellationError()
        } catch HostResolver.Failure.timedOut {
            throw self.timeout(url, "The host \(url.host) was not resolved in time.")
        } catch {
            var reason = "\(error)"
            if case .failed(let message)? = error as? HostResolver.Failure { reason = message }
            throw WebSocketError(
                .connectFailed,
                "The host \(url.host) could not be resolved: \(reason).",
                url: url,
                phase: .connect
            )
        }
    }

    private func dial(
        _ plan: ClientPlan,
        to address: SocketAddress,
        until limit: NIODeadline,
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) async throws(DialFailure) -> any Channel {
        let configuration = self.configuration
        let info = self.info
        let deadline = self.deadline
        var settings = Connection.Settings()
        settings.limits = configuration.limits
        settings.timeouts = configuration.timeouts
        settings.keepAlive = configuration.keepAlive
        settings.delivery = configuration.delivery
        settings.isObserved = configuration.observer != nil
        let shared = settings
        do {
            let tls = try plan.url.isSecure ? self.tls(for: plan.url) : nil
            // Checked here, so that what a caller put wrong is thrown before anything is dialled.
            var generator = SystemRandomNumberGenerator()
            let key = AcceptKey.makeKey(using: &generator)
            _ = try Connection(client: plan, settings: shared, key: key, deadline: deadline, now: .now())
            return try await Dialer.connect(
                to: address,
                tls: tls,
                deadline: limit,
                limits: configuration.limits,
                on: self.eventLoop
            ) { channel in
                let connection = try Connection(
                    client: plan,
                    settings: shared,
                    key: key,
                    deadline: deadline,
                    now: .now()
                )
                let session = ClientSession(
                    steps: steps,
                    channel: channel,
                    info: info,
                    usesTLS: plan.url.isSecure,
                    observer: configuration.observer
                )
                return ConnectionHandler(
                    connection: connection,
                    delegate: session,
                    eventLoop: channel.eventLoop,
                    usesTLS: plan.url.isSecure
                )
            }
        } catch let error as WebSocketError {
            throw .final(error)
        } catch {
            if case .connectTimeout = error as? ChannelError {
                throw .nextAddress(
                    self.timeout(plan.url, "The server at \(address.peerName) did not accept a connection in time.")
                )
            }
            var failure = TransportFailure.describe(error, usesTLS: plan.url.isSecure)
            failure.url = plan.url
            failure.phase = .connect
            throw .nextAddress(failure)
        }
    }

    private func tls(for url: WebSocketURL) throws -> (context: NIOSSLContext, host: String) {
        var tls = self.configuration.tls
        tls.applicationProtocols = ["http/1.1"]
        do {
            return (try NIOSSLContext(configuration: tls), url.host)
        } catch {
            throw WebSocketError(.tlsFailed, "The TLS configuration cannot be used: \(error).", url: url, phase: .tls)
        }
    }

    private func timeout(_ url: WebSocketURL, _ message: String) -> WebSocketError {
        WebSocketError(.timeout, message, url: url, phase: .connect)
    }

    // MARK: The steps of a connection

    private mutating func follow(
        _ stream: AsyncStream<ClientSession.Step>,
        channel: any Channel,
        permit: Permit
    ) async throws -> WebSocket? {
        var next: HopOutcome?
        var failure: WebSocketError?
        for await step in stream {
            switch step {
            case .established:
                permit.giveBack()
            case .opened(let socket):
                return socket
            case .challenge(let response):
                do {
                    try await self.answer(response, layer: .extended, channel: channel)
                } catch let error as WebSocketError {
                    failure = failure ?? error
                    try? await self.end(channel)
                } catch is ChannelPipelineError, is ChannelError {
                    // The connection is gone meanwhile; the steps that follow say how.
                }
            case .ended(let outcome):
                // The old connection is closed before the next begins, but a peer that does not answer is not waited for.
                next = outcome
                self.boundLeaving(channel, .milliseconds(300))
            case .failed(let error):
                failure = failure ?? error
                self.boundLeaving(channel)
            case .closed:
                break
            }
        }
        permit.giveBack()
        try Task.checkCancellation()
        if let failure { throw failure }
        guard let next else {
            throw WebSocketError(
                .closedDuringHandshake,
                "The connection ended before the handshake was complete.",
                url: self.attempt.url
            )
        }
        if next.kind == .challenge {
            try await self.answer(next.response, layer: .opening, channel: nil)
        } else {
            try await self.redirect(next)
        }
        return nil
    }

    /// A peer that does not answer our close frame does not keep the descriptor, nor the caller, for long.
    private func boundLeaving(_ channel: any Channel, _ patience: TimeAmount = .seconds(1)) {
        channel.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
    }

    private func end(_ channel: any Channel) async throws {
        try await channel.pipeline.handler(type: ConnectionHandler.self).map { handler in
            handler.close(code: .normalClosure, reason: "")
        }.get()
        self.boundLeaving(channel)
    }

    private mutating func redirect(_ outcome: HopOutcome) async throws {
        var choice: String?
        if let alternatives = self.attempt.alternatives(of: outcome), let choose = self.configuration.redirects.choose {
            choice = await choose(alternatives)
        }
        let step = try self.attempt.follow(outcome, choice: choice)
        self.observe(.redirect(from: step.from, to: step.to, status: step.status, layer: step.layer))
    }

    // MARK: Challenges

    private mutating func answer(
        _ response: HandshakeResponse,
        layer: HandshakeLayer,
        channel: (any Channel)?
    ) async throws {
        let began = NIODeadline.now()
        let requests = try self.attempt.challenged(by: response, layer: layer)
        guard let handler = self.configuration.challengeHandler else {
            self.observe(requests.first, in: layer)
            throw self.attempt.unanswered(response, layer: layer, hasHandler: false)
        }
        for request in requests {
            guard let credentials = try await self.ask(handler, request) else { continue }
            self.observe(request, in: layer)
            let authorization = try self.attempt.answer(credentials, to: request, response: response)
            if !self.attempt.url.isSecure, request.scheme.lowercased() == "basic", !self.hasWarned {
                self.hasWarned = true  // D21
                self.configuration.logger?.warning(
                    "credentials are sent without TLS and can be read on the way",
                    metadata: ["origin": "\(self.attempt.url.origin)"]
                )
            }
            // The whole connect stands still while a person is asked.
            let paused = NIODeadline.now() - began
            self.deadline = self.deadline + paused
            let deadline = self.deadline
            if let channel {
                try await channel.pipeline.handler(type: ConnectionHandler.self).map { handler in
                    handler.connection.answerChallenge(authorization, deadline: deadline, now: .now())
                    handler.proceed()
                }.get()
            }
            return
        }
        self.observe(requests.first, in: layer)
        throw self.attempt.unanswered(response, layer: layer, hasHandler: true)
    }

    /// Tells of a challenge once: of the one that is answered, or of the first where none is.
    private func observe(_ request: ChallengeRequest?, in layer: HandshakeLayer) {
        guard let request else { return }
        self.observe(.challenge(scheme: request.scheme, realm: request.realm, layer: layer, round: request.round))
    }

    /// Asks a handler, bounded (threat E12).
    private func ask(_ handler: any ChallengeHandler, _ request: ChallengeRequest) async throws -> Credentials? {
        let limit = self.configuration.timeouts.challenge
        // A handler that does not come back, whatever it waits for, must not hold the caller.
        let answer = self.eventLoop.makePromise(of: Credentials?.self)
        let task = answer.completeWithTask { await handler.respond(to: request) }
        let timer = self.eventLoop.scheduleTask(in: TimeAmount(limit)) {
            answer.fail(WebSocketError(.timeout, "The challenge was not answered within \(limit.words)."))
        }
        defer {
            timer.cancel()
            task.cancel()
        }
        return try await withTaskCancellationHandler {
            try await answer.futureResult.get()
        } onCancel: {
            answer.fail(CancellationError())
        }
    }
}

/// The right to be in CONNECTING state, given back once.
private final class Permit: Sendable {
    private let gate: ConnectGate
    private let place: String
    private let isHeld = Mutex(true)

    init(gate: ConnectGate, place: String) {
        self.gate = gate
        self.place = place
    }

    func giveBack() {
        let wasHeld = self.isHeld.withLock { isHeld in
            defer { isHeld = false }
            return isHeld
        }
        if wasHeld { self.gate.leave(self.place) }
    }
}
