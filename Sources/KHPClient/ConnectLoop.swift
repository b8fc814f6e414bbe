// The hops of one connect: dial, both handshakes, and on to the next where a response says so, all within one bound
// in time that stands still while a person is asked.

import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore
import Synchronization

struct ConnectLoop {
    let configuration: WebSocketClient.Configuration
    let gate: ConnectGate
    let eventLoop: any EventLoop
    var attempt: ClientAttempt
    var deadline: NIODeadline
    var hops = 0
    var hasWarned = false
    /// The redirect that led to the next hop, until it was permitted.
    var redirected: RedirectStep?
    /// The addresses that were permitted, by authority.
    var permitted: [String: [SocketAddress]] = [:]
    /// A number for the cookies that the last opening request could carry; another one means that they have changed.
    var cookiesSent = 0
    /// With which credentials each proxy of this connect was last used, by host and port.
    var proxies: [String: Proxy] = [:]
    var info = ConnectionInfo(id: 0, role: .client, peer: "")
    /// Makes what takes the messages on the event loop; `nil` where the socket's owner takes them.
    var makeMessageHandler: (@Sendable () -> any MessageHandler)?

    static let connections = Atomic<UInt64>(0)

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
                do {
                    if let socket = try await self.hop() { return socket }
                } catch let error as WebSocketError {
                    guard self.attempt.fallBack(after: error) else { throw error }
                    self.configuration.logger?.notice(
                        "the server does not speak the dialect; trying another",
                        metadata: ["dialect": "\(self.attempt.plan.dialect)", "error": "\(error)"]
                    )
                }
            }
        } catch let error as WebSocketError where !Task.isCancelled {
            let error = self.attempt.explained(error)
            self.observe(.failed(error))
            self.configuration.logger?.debug("connect failed", metadata: ["error": "\(error)"])
            throw error
        } catch  where Task.isCancelled || error is CancellationError {
            // Whatever a connection says that was dropped for it.
            let error = self.attempt.explained(
                WebSocketError(.cancelled, "The connect was cancelled.", url: self.attempt.url)
            )
            self.observe(.failed(error))
            throw CancellationError()
        } catch {
            var error = TransportFailure.describe(error, usesTLS: self.attempt.url.isSecure)
            error.url = error.url ?? self.attempt.url
            error = self.attempt.explained(error)
            self.observe(.failed(error))
            throw error
        }
    }

    func observe(_ event: ConnectionEvent) {
        self.configuration.observe?(event, self.info)
    }

    // MARK: One hop

    /// - Returns: the open socket, or `nil` when another hop is to be tried.
    mutating func hop() async throws -> WebSocket? {
        self.hops += 1
        var plan = self.attempt.nextPlan(clientNonce: Self.makeNonce)
        self.addCookies(to: &plan)
        self.warnWithoutTLS(plan)
        self.info = ConnectionInfo(
            id: Self.connections.wrappingAdd(1, ordering: .relaxed).newValue,
            role: .client,
            peer: ""
        )
        // Another server may be behind another proxy, or behind none. What is to be dialled instead is dialled directly.
        let proxy = self.configuration.connectTo == nil ? try self.configuration.proxy.proxy(for: plan.url) : nil
        self.observe(.connecting(url: plan.url, attempt: self.hops, proxy: proxy))
        if plan.dialect != .rfc6455, !plan.url.isSecure {
            // Threat D1
            self.configuration.logger?.warning(
                "what is sent is not masked and does not go over TLS: proxies on the way may mistake it for requests",
                metadata: ["dialect": "\(plan.dialect)", "origin": "\(plan.url.origin)"]
            )
        }
        let addresses = AddressOrder.interleaved(
            try await self.permittedAddresses(
                of: plan.url,
                through: proxy,
                until: min(self.deadline, .now() + TimeAmount(self.configuration.timeouts.connect))
            )
        )
        guard !addresses.isEmpty else {
            throw WebSocketError(.connectFailed, "The host has no address.", url: plan.url, phase: .connect)
        }
        let (stream, steps) = AsyncStream.makeStream(of: ClientSession.Step.self)
        let (channel, permit) =
            if let proxy {
                try await self.dial(plan, through: proxy, at: addresses, steps: steps)
            } else {
                try await self.dial(plan, to: addresses, steps: steps)
            }
        return try await withTaskCancellationHandler {
            try await self.follow(stream, channel: channel, permit: permit)
        } onCancel: {
            Self.drop(channel)
        }
    }

    // MARK: The steps of a connection

    mutating func follow(
        _ stream: AsyncStream<ClientSession.Step>,
        channel: any Channel,
        permit: ConnectPermit
    ) async throws -> WebSocket? {
        var next: HopOutcome?
        var failure: WebSocketError?
        var permit = permit
        defer { permit.giveBack() }
        // Whether the answer to a challenge of the opening handshake goes out on a fresh connection.
        var answersAfresh = false
        for await step in stream {
            switch step {
            case .established(let head):
                permit.giveBack()
                try self.attempt.accepted(head)
                self.keepCookies(of: head)
            case .opened(let socket):
                return socket
            case .challenge(let response, let layer):
                do {
                    // Others may connect to this address while a person is asked.
                    permit.giveBack()
                    if layer == .opening { self.keepCookies(of: response) }
                    try await self.answer(response, layer: layer)
                    if layer == .extended {
                        try await self.replayExtended(on: channel)
                    } else {
                        answersAfresh = true
                        permit = try await self.permit(after: permit)
                        answersAfresh = try await !self.replayOpening(on: channel)
                    }
                } catch let error as WebSocketError {
                    failure = failure ?? error
                    try? await self.end(channel)
                } catch is ChannelPipelineError, is ChannelError {
                    // The connection is gone meanwhile; the steps that follow say how.
                }
            case .ended(let outcome):
                // The old connection is closed before the next begins, but a peer that does not answer is not waited for.
                next = outcome
                if outcome.layer == .opening { self.keepCookies(of: outcome.response) }
                self.boundLeaving(channel, .milliseconds(300))
            case .failed(let error):
                if error.code == .openingRefused, let response = error.response { self.keepCookies(of: response) }
                failure = failure ?? error
                self.boundLeaving(channel)
            case .closed:
                break
            }
        }
        permit.giveBack()
        try Task.checkCancellation()
        if let failure { throw failure }
        if answersAfresh { return nil }
        guard let next else {
            throw WebSocketError(
                .closedDuringHandshake,
                "The connection ended before the handshake was complete.",
                url: self.attempt.url
            )
        }
        switch next.kind {
        case .challenge: try await self.answer(next.response, layer: next.layer)
        case .replayLost: break
        case .choose, .redirect, .balancer, .upgrade: try await self.redirect(next)
        }
        return nil
    }

    /// Ends a connection that is not open yet. One that is belongs to whoever gets the socket, who closes it properly.
    private static func drop(_ channel: any Channel) {
        channel.pipeline.handler(type: ConnectionHandler.self).map(\.isDelivering).whenComplete { isDelivering in
            if case .success(true) = isDelivering { return }
            channel.close(promise: nil)
        }
    }

    /// A peer that does not answer our close frame does not keep the descriptor, nor the caller, for long.
    func boundLeaving(_ channel: any Channel, _ patience: TimeAmount = .seconds(1)) {
        channel.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
    }

    func end(_ channel: any Channel) async throws {
        try await channel.pipeline.handler(type: ConnectionHandler.self).map { handler in
            handler.close(code: .normalClosure, reason: "")
        }.get()
        self.boundLeaving(channel)
    }
}
