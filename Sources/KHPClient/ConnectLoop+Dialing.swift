// How a hop gets to its server: names to addresses, TCP and TLS, the one handler.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOSSL

extension ConnectLoop {
    /// The addresses to connect to: the server's, or its proxy's.
    func resolve(_ url: WebSocketURL, through proxy: Proxy?, until limit: NIODeadline) async throws -> [SocketAddress] {
        let (host, port): (String, Int)
        switch self.configuration.connectTo {
        case .unixDomainSocket(let path)?:
            do {
                return [try SocketAddress(unixDomainSocketPath: path)]
            } catch {
                throw WebSocketError(
                    .invalidArgument,
                    "The path of the Unix domain socket is longer than the system allows.",
                    url: url,
                    phase: .connect
                )
            }
        case .host(let otherHost, let otherPort)?:
            guard (1...65_535).contains(otherPort) else {
                throw WebSocketError(
                    .invalidArgument,
                    "There is no port \(otherPort) to connect to.",
                    url: url,
                    phase: .connect
                )
            }
            (host, port) = (otherHost, otherPort)
        case nil: (host, port) = proxy.map { ($0.host, $0.port) } ?? (url.host, url.port)
        }
        let name = proxy == nil ? "The host \(host)" : "The proxy's host \(host)"
        do {
            return try await HostResolver.resolve(
                host,
                port: port,
                until: limit,
                on: self.eventLoop,
                lookUp: self.configuration.lookUp
            )
        } catch is CancellationError {
            throw CancellationError()
        } catch HostResolver.Failure.timedOut {
            throw self.timeout(url, "\(name) was not resolved in time.")
        } catch {
            var reason = "\(error)"
            if case .failed(let message)? = error as? HostResolver.Failure { reason = message }
            throw WebSocketError(
                .connectFailed,
                "\(name) could not be resolved: \(reason).",
                detail: .nameNotResolved,
                url: url,
                phase: .connect
            )
        }
    }

    /// Connects to one of the server's addresses, with the handler in place.
    /// - Returns: the connection, and the right to be in CONNECTING state.
    mutating func dial(
        _ plan: ClientPlan,
        to addresses: [SocketAddress],
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) async throws -> (channel: any Channel, permit: ConnectPermit) {
        let tls = try plan.url.isSecure ? self.tls(for: plan.url) : nil
        // Looked at before anything is dialled, so that what a caller put wrong is told first.
        _ = try self.handler(for: plan, steps: steps)
        let winner: AddressRace.Winner
        do {
            winner = try await self.race(addresses, within: TimeAmount(self.configuration.timeouts.connect))
        } catch let lost as AddressRace.Lost {
            throw self.unreachable(lost.reason, plan, "The server at \(lost.address.peerName)")
        }
        self.info.peer = winner.address.peerName
        do {
            let makeHandler = try self.handler(for: plan, steps: steps)
            try await winner.dialled.take(tls: tls, tap: self.configuration.makeTap, makeHandler: makeHandler)
            return (winner.dialled.channel, winner.permit)
        } catch let error as WebSocketError {
            winner.giveUp()
            throw error
        } catch {
            winner.giveUp()
            throw self.unreachable(error, plan, "The server at \(winner.address.peerName)")
        }
    }

    /// Connects to the first of these addresses that answers, over TCP and no more.
    /// - Parameter takesPlaces: as ``AddressRace/takesPlaces``.
    func race(
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
            eventLoop: self.eventLoop
        ).run()
    }

    /// What makes the handler of a hop's connection, once there is a channel for it.
    func handler(
        for plan: ClientPlan,
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) throws -> @Sendable (any Channel) throws -> ConnectionHandler {
        let configuration = self.configuration
        let info = self.info
        let deadline = self.deadline
        var settings = Connection.Settings()
        settings.limits = configuration.limits.ofConnection
        settings.timeouts = configuration.timeouts.ofConnection
        settings.keepAlive = configuration.keepAlive
        settings.delivery = configuration.delivery
        settings.isObserved = configuration.observe != nil
        let shared = settings
        let makeMessageHandler = self.makeMessageHandler
        // Checked here, so that what a caller put wrong is thrown before anything is dialled.
        var generator = SystemRandomNumberGenerator()
        let key = AcceptKey.makeKey(using: &generator)
        let asked = plan.withKeys(using: &generator)
        _ = try Connection(client: asked, settings: shared, key: key, deadline: deadline, now: .now())
        return { channel in
            let connection = try Connection(
                client: asked,
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
                configuration: configuration
            )
            session.makeMessageHandler = makeMessageHandler
            return ConnectionHandler(
                connection: connection,
                delegate: session,
                eventLoop: channel.eventLoop,
                usesTLS: plan.url.isSecure
            )
        }
    }

    /// Why nothing could be connected to at an address.
    func unreachable(_ error: any Error, _ plan: ClientPlan, _ place: String) -> WebSocketError {
        if case .connectTimeout = error as? ChannelError {
            return self.timeout(plan.url, "\(place) did not accept a connection in time.")
        }
        if error is AddressRace.NoTurn { return self.notComplete() }
        var failure = TransportFailure.describe(error, usesTLS: plan.url.isSecure)
        failure.url = plan.url
        failure.phase = .connect
        if failure.code == .connectFailed, self.configuration.connectTo != nil {
            // It is not the place that the URL names.
            failure.message = "\(place) cannot be reached: \(TransportFailure.reason(error))."
            failure.detail = .otherPlace
        }
        return failure
    }

    /// Each hop has a context of its own and verifies the host of its own URL (threat F13).
    func tls(for url: WebSocketURL) throws -> ClientTLS {
        var tls = self.configuration.tls
        if !self.attempt.presentsClientCertificate {
            // Who we are is as much a credential as a password (threat F1).
            tls.certificateChain = []
            tls.privateKey = nil
            tls.sslContextCallback = nil
            tls.pskClientProvider = nil
            tls.pskHint = nil
        }
        return try self.tls(tls, url.host, .server)
    }

    func tls(_ tls: TLSConfiguration, _ host: String, _ peer: ClientTLS.Peer) throws -> ClientTLS {
        do {
            return try ClientTLS(tls, to: host, of: peer)
        } catch {
            let what = peer == .server ? "The TLS configuration" : "The TLS configuration for the proxy"
            throw WebSocketError(.tlsFailed, "\(what) cannot be used: \(error).", url: self.attempt.url, phase: .tls)
        }
    }

    /// The whole connect has taken too long.
    func notComplete() -> WebSocketError {
        self.timeout(
            self.attempt.url,
            "The connect was not complete within \(self.configuration.timeouts.total.words)."
        )
    }

    func timeout(_ url: WebSocketURL, _ message: String) -> WebSocketError {
        WebSocketError(.timeout, message, url: url, phase: .connect)
    }
}
