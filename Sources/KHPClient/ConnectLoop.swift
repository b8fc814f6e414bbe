// The hops of one connect: dial, both handshakes, and on to the next where a response says so, all within one bound
// in time that stands still while a person is asked.

import KHPProtocol
import KHPTransport
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

    func observe(_ event: ConnectionEvent) {
        self.configuration.observer?(event, self.info)
    }

    // MARK: One hop

    /// - Returns: the open socket, or `nil` when another hop is to be tried.
    mutating func hop() async throws -> WebSocket? {
        self.hops += 1
        let plan = self.attempt.plan
        self.info = ConnectionInfo(
            id: Self.connections.wrappingAdd(1, ordering: .relaxed).newValue,
            role: .client,
            peer: ""
        )
        self.observe(.connecting(url: plan.url, attempt: self.hops))
        if plan.dialect != .rfc6455, !plan.url.isSecure {
            // Threat D1
            self.configuration.logger?.warning(
                "what is sent is not masked and does not go over TLS: proxies on the way may mistake it for requests",
                metadata: ["dialect": "\(plan.dialect)", "origin": "\(plan.url.origin)"]
            )
        }
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
    enum DialFailure: Error {
        /// Nothing answered there; another address may.
        case nextAddress(WebSocketError)
        case final(any Error)
    }

    mutating func hop(
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
        let permit = ConnectPermit(gate: self.gate, place: place)
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

    // MARK: The steps of a connection

    mutating func follow(
        _ stream: AsyncStream<ClientSession.Step>,
        channel: any Channel,
        permit: ConnectPermit
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
    func boundLeaving(_ channel: any Channel, _ patience: TimeAmount = .seconds(1)) {
        channel.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
    }

    func end(_ channel: any Channel) async throws {
        try await channel.pipeline.handler(type: ConnectionHandler.self).map { handler in
            handler.close(code: .normalClosure, reason: "")
        }.get()
        self.boundLeaving(channel)
    }

    mutating func redirect(_ outcome: HopOutcome) async throws {
        var choice: String?
        if let alternatives = self.attempt.alternatives(of: outcome), let choose = self.configuration.redirects.choose {
            choice = await choose(alternatives)
        }
        let step = try self.attempt.follow(outcome, choice: choice)
        self.observe(.redirect(from: step.from, to: step.to, status: step.status, layer: step.layer))
    }
}
