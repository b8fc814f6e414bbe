// How a hop gets to its server: names to addresses, TCP and TLS, the one handler.

import KHPProtocol
import KHPTransport
import NIOCore
import NIOSSL

extension ConnectLoop {
    /// The addresses to connect to: the server's, or its proxy's.
    func resolve(_ url: WebSocketURL, through proxy: Proxy?, until limit: NIODeadline) async throws -> [SocketAddress] {
        let (host, port) = proxy.map { ($0.host, $0.port) } ?? (url.host, url.port)
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
                url: url,
                phase: .connect
            )
        }
    }

    func dial(
        _ plan: ClientPlan,
        to address: SocketAddress,
        until limit: NIODeadline,
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) async throws(DialFailure) -> any Channel {
        do {
            let tls = try plan.url.isSecure ? self.tls(for: plan.url) : nil
            return try await Dialer.connect(
                to: address,
                tls: tls,
                deadline: limit,
                limits: self.configuration.limits,
                tap: self.configuration.tap,
                on: self.eventLoop,
                makeHandler: try self.handler(for: plan, steps: steps)
            )
        } catch let error as WebSocketError {
            throw .final(error)
        } catch {
            throw .nextAddress(self.unreachable(error, plan, "The server at \(address.peerName)"))
        }
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
        settings.limits = configuration.limits
        settings.timeouts = configuration.timeouts
        settings.keepAlive = configuration.keepAlive
        settings.delivery = configuration.delivery
        settings.isObserved = configuration.observer != nil
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
        var failure = TransportFailure.describe(error, usesTLS: plan.url.isSecure)
        failure.url = plan.url
        failure.phase = .connect
        return failure
    }

    /// Each hop has a context of its own and verifies the host of its own URL (threat F13).
    func tls(for url: WebSocketURL) throws -> (context: NIOSSLContext, host: String) {
        var tls = self.configuration.tls
        if !self.attempt.presentsClientCertificate {
            // Who we are is as much a credential as a password (threat F1).
            tls.certificateChain = []
            tls.privateKey = nil
            tls.sslContextCallback = nil
            tls.pskClientProvider = nil
            tls.pskHint = nil
        }
        return (try self.context(tls, url, what: "The TLS configuration"), url.host)
    }

    func context(_ tls: TLSConfiguration, _ url: WebSocketURL, what: String) throws -> NIOSSLContext {
        var tls = tls
        tls.applicationProtocols = ["http/1.1"]
        do {
            return try NIOSSLContext(configuration: tls)
        } catch {
            throw WebSocketError(.tlsFailed, "\(what) cannot be used: \(error).", url: url, phase: .tls)
        }
    }

    func timeout(_ url: WebSocketURL, _ message: String) -> WebSocketError {
        WebSocketError(.timeout, message, url: url, phase: .connect)
    }
}
