// The connection of a hop: TCP, or the tunnel of a proxy with its challenges (R-P1), then TLS to the server, and the one
// handler.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOPosix
import NIOSSL

extension ConnectLoop {
    /// Connects to one of the server's addresses.
    mutating func dial(_ plan: ClientPlan, to addresses: [SocketAddress]) async throws -> Hop {
        let tls = try plan.url.isSecure ? self.tls(for: plan.url) : nil
        let (stream, steps) = AsyncStream.makeStream(of: ClientSession.Step.self)
        var factory = try self.handlerFactory(for: plan, steps: steps)
        factory.share = self.share(plan, through: nil)
        let winner: AddressRace.Winner
        do {
            winner = try await self.race(addresses, within: TimeAmount(self.configuration.timeouts.connect))
        } catch let lost as AddressRace.Lost {
            throw self.unreachable(lost.reason, plan.url, "The server at \(lost.address.peerName)")
        }
        self.info.peer = winner.address.peerName
        factory.info = self.info
        do {
            _ = try await winner.dialled.take(tls: tls, tap: self.configuration.makeTap) { [factory] channel in
                factory.make(on: channel)
            }
            return Hop(factory.place, on: winner.dialled.channel, steps: stream, permit: winner.permit)
        } catch {
            winner.giveUp()
            if error is WebSocketError { throw error }
            throw self.unreachable(error, plan.url, "The server at \(winner.address.peerName)")
        }
    }

    /// Connects to a virtual machine or its host.
    mutating func dial(_ plan: ClientPlan, at address: VsockAddress) async throws -> Hop {
        let tls = try plan.url.isSecure ? self.tls(for: plan.url) : nil
        let configuration = self.configuration
        let deadline = self.deadline
        self.info.peer = "vsock:\(address.cid.rawValue):\(address.port.rawValue)"
        return try await self.take(plan, "The server at \(self.info.peer)", tls: tls) { eventLoop in
            // From its turn on: another connect to the same place may have been before it.
            try await Dialer.dial(
                address,
                until: min(deadline, .now() + TimeAmount(configuration.timeouts.connect)),
                limits: configuration.limits.ofConnection,
                prepare: configuration.hooks?.prepare,
                on: eventLoop
            )
        }
    }

    /// Takes a connection that is made elsewhere.
    func take(
        _ plan: ClientPlan,
        _ name: String,
        tls: ClientTLS? = nil,
        from dial: @Sendable (any EventLoop) async throws -> Dialled
    ) async throws -> Hop {
        let places = ConnectPlace.through(proxyTo: plan.url.host)
        guard let permit = await self.gate.permit(for: places, until: self.deadline, on: self.eventLoop) else {
            try Task.checkCancellation()
            throw self.notComplete()
        }
        do {
            let (stream, steps) = AsyncStream.makeStream(of: ClientSession.Step.self)
            let factory = try self.handlerFactory(for: plan, steps: steps)
            let dialled = try await dial(self.eventLoop)
            do {
                _ = try await dialled.take(tls: tls, tap: self.configuration.makeTap) { factory.make(on: $0) }
                return Hop(factory.place, on: dialled.channel, steps: stream, permit: permit)
            } catch {
                dialled.channel.close(promise: nil)
                throw error
            }
        } catch {
            permit.giveBack()
            if error is WebSocketError { throw error }
            throw self.unreachable(error, plan.url, name)
        }
    }

    // MARK: Through a proxy

    /// Connects through one of the proxy's addresses.
    mutating func dial(_ plan: ClientPlan, through proxy: Proxy, at addresses: [SocketAddress]) async throws -> Hop {
        // R-C1, D38
        let places = ConnectPlace.through(proxyTo: plan.url.host)
        guard var permit = await self.gate.permit(for: places, until: self.deadline, on: self.eventLoop) else {
            try Task.checkCancellation()
            throw self.notComplete()
        }
        do {
            let (stream, steps) = AsyncStream.makeStream(of: ClientSession.Step.self)
            let factory = try self.handlerFactory(for: plan, steps: steps)
            let channel = try await self.tunnel(plan.url, through: proxy, at: addresses, &permit, factory)
            return Hop(factory.place, on: channel, steps: stream, permit: permit)
        } catch {
            permit.giveBack()
            guard var error = error as? WebSocketError else { throw error }
            error.url = error.url ?? plan.url
            error.phase = error.phase ?? .connect
            throw error
        }
    }

    /// The end of one connection to a proxy.
    private enum Tunnelled {
        case open
        /// Once more through a fresh connection, with this answer to the proxy's challenge.
        case again(authorization: String?)
    }

    /// A connection to a proxy that was lost before the proxy could be asked.
    private struct ProxyUnreached: Error {
        var reason: WebSocketError
    }

    /// Opens a tunnel through a proxy, on as many connections to it as its challenges and its lost addresses take.
    /// - Throws: the failure of the first address that was lost, once all are.
    private mutating func tunnel(
        _ url: WebSocketURL,
        through proxy: Proxy,
        at addresses: [SocketAddress],
        _ permit: inout ConnectPermit,
        _ factory: HopHandlerFactory
    ) async throws -> any Channel {
        var limit = min(self.deadline, .now() + TimeAmount(self.configuration.timeouts.connect))
        let proxyTLS = proxy.kind == .https ? try self.tls(self.configuration.proxyTLS, proxy.host, .proxy) : nil
        var authorization = self.authorization(for: proxy)
        var addresses = addresses
        /// The address at which the proxy was reached, and is to be reached again.
        var known: SocketAddress?
        var failure: WebSocketError?
        // Bounded: each turn but the first follows a challenge, which are counted, or an address that was lost.
        while true {
            let tunnel = try Tunnel(
                through: proxy,
                to: url,
                authorization: authorization,
                limits: self.configuration.limits.ofConnection
            )
            let winner: AddressRace.Winner
            do {
                let candidates = known.map { [$0] } ?? addresses
                winner = try await self.race(candidates, takesPlaces: false, within: limit - .now())
            } catch let lost as AddressRace.Lost {
                throw failure ?? self.unreachable(lost.reason, proxy, url)
            }
            self.info.peer = winner.address.peerName
            let channel = winner.dialled.channel
            do {
                let outcome = try await withTaskCancellationHandler {
                    let connection = try await winner.dialled.tunnel(
                        tunnel,
                        through: proxy,
                        tls: proxyTLS,
                        deadline: limit,
                        tap: self.configuration.makeTap
                    )
                    return try await self.follow(connection, url, proxy, limit: &limit, &permit, factory)
                } onCancel: {
                    // The server's handler may be in place by now, and its socket be open.
                    factory.place.abandon(channel)
                }
                switch outcome {
                case .open: return channel
                case .again(let value): authorization = value
                }
                known = winner.address
                channel.close(promise: nil)
            } catch {
                channel.close(promise: nil)
                let lost: WebSocketError
                switch error {
                case let error as ProxyUnreached: lost = error.reason
                case is WebSocketError, is CancellationError: throw error
                default: lost = self.unreachable(error, proxy, url)
                }
                // This address of the proxy was lost before a request was sent to it: another may do.
                failure = failure ?? lost
                known = nil
                addresses.removeAll { $0 == winner.address }
                if addresses.isEmpty { throw failure ?? lost }
            }
        }
    }

    /// Follows the answers of a connected proxy, up to the handler of the server in the tunnel or to the need for a fresh
    /// connection.
    private mutating func follow(
        _ connection: ProxyConnection,
        _ url: WebSocketURL,
        _ proxy: Proxy,
        limit: inout NIODeadline,
        _ permit: inout ConnectPermit,
        _ factory: HopHandlerFactory
    ) async throws -> Tunnelled {
        for await step in connection.steps {
            switch step {
            case .challenge(let response, let staysOpen):
                // Others may connect to this host, and no time passes, while a person is asked.
                permit.giveBack()
                self.streamUse.hasLoggedIn = true
                let before = self.deadline
                let value = try await self.answer(response, of: proxy).authorization.value
                limit = limit + (self.deadline - before)
                permit = try await self.permit(after: permit)
                guard staysOpen, try await connection.answer(value, deadline: limit) else {
                    return .again(authorization: value)
                }
            case .retry:
                return .again(authorization: self.authorization(for: proxy))
            case .unreached(let error):
                throw ProxyUnreached(reason: error)
            case .failed(let error):
                throw error
            case .established(let head):
                if let head { try self.attempt.accepted(head, of: proxy) }
                let tls = try url.isSecure ? self.tls(for: url) : nil
                // Where a challenge was answered meanwhile, the deadline and the count of challenges have changed.
                var factory = factory
                factory.share = self.share(self.attempt.plan, through: proxy)
                factory.deadline = self.deadline
                factory.client.challenges = self.attempt.authenticator.count
                factory.info = self.info
                _ = try await connection.enter(tls: tls) { [factory] in factory.make(on: $0) }
                return .open
            }
        }
        try Task.checkCancellation()
        throw WebSocketError(
            .connectFailed,
            "The proxy \(proxy) closed the connection.",
            detail: .throughProxy,
            phase: .connect
        )
    }

    // MARK: TCP and TLS

    /// Connects to the first of these addresses that answers, over TCP and no more.
    /// - Parameter takesPlaces: as ``AddressRace/takesPlaces``.
    private func race(
        _ addresses: [SocketAddress],
        takesPlaces: Bool = true,
        within bound: TimeAmount
    ) async throws -> AddressRace.Winner {
        try await AddressRace(
            addresses: addresses,
            gate: self.gate,
            takesPlaces: takesPlaces,
            deadline: self.deadline,
            bound: bound,
            limits: self.configuration.limits.ofConnection,
            liveness: SocketLiveness(stalledWrite: self.configuration.timeouts.stalledWrite),
            hooks: self.configuration.hooks,
            eventLoop: self.eventLoop,
            observer: self.observer
        ).run()
    }

    /// The error of an address that cannot be connected to.
    /// - Parameter place: the name of the address in a sentence.
    private func unreachable(_ error: any Error, _ url: WebSocketURL, _ place: String) -> WebSocketError {
        if case .connectTimeout = error as? ChannelError {
            return WebSocketError(
                .timeout,
                "\(place) did not accept a connection in time.",
                url: url,
                phase: .connect
            )
        }
        if error is AddressRace.NoTurn { return self.notComplete() }
        var failure = TransportFailure.describe(error)
        failure.url = url
        failure.phase = .connect
        if failure.code == .connectFailed, self.configuration.connectTo != nil {
            // The address is not that of the URL's host.
            failure.message = "\(place) cannot be reached: \(TransportFailure.reason(error))."
            failure.detail = .otherPlace
        }
        return failure
    }

    private func unreachable(_ error: any Error, _ proxy: Proxy, _ url: WebSocketURL) -> WebSocketError {
        var failure = self.unreachable(error, url, "The proxy \(proxy)")
        if failure.code != .timeout {
            failure.message = "The proxy \(proxy) cannot be reached: \(TransportFailure.reason(error))."
            failure.detail = .throughProxy
        }
        return failure
    }

    /// Each hop has a context of its own and verifies the host of its own URL (threat F13).
    private func tls(for url: WebSocketURL) throws -> ClientTLS {
        var tls = self.configuration.tls
        if !self.attempt.presentsClientCertificate {
            // A client certificate is as much a credential as a password (threat F1).
            tls.certificateChain = []
            tls.privateKey = nil
            tls.sslContextCallback = nil
            tls.pskClientProvider = nil
            tls.pskHint = nil
        }
        var protocols = ["http/1.1"]
        if let streams = self.streams { protocols = streams.isRequired ? [streams.name] : [streams.name] + protocols }
        return try self.tls(tls, url.host, .server, protocols)
    }

    private func tls(
        _ tls: TLSConfiguration,
        _ host: String,
        _ peer: ClientTLS.Peer,
        _ protocols: [String] = ["http/1.1"]
    ) throws -> ClientTLS {
        do {
            let check = peer == .server ? self.configuration.checkCertificate : nil
            let hooks = self.configuration.hooks
            return try ClientTLS(tls, to: host, of: peer, protocols: protocols, check: check, hooks: hooks)
        } catch {
            let subject = peer == .server ? "The TLS configuration" : "The TLS configuration for the proxy"
            throw WebSocketError(.tlsFailed, "\(subject) cannot be used: \(error).", url: self.attempt.url, phase: .tls)
        }
    }
}
