// How a hop gets to its server: names to addresses, TCP and TLS, the one handler.

import KHPProtocol
import KHPTransport
import NIOCore
import NIOSSL

extension ConnectLoop {
    func resolve(_ url: WebSocketURL, until limit: NIODeadline) async throws -> [SocketAddress] {
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

    func dial(
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
        let makeMessageHandler = self.makeMessageHandler
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
                session.makeMessageHandler = makeMessageHandler
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

    func tls(for url: WebSocketURL) throws -> (context: NIOSSLContext, host: String) {
        var tls = self.configuration.tls
        tls.applicationProtocols = ["http/1.1"]
        do {
            return (try NIOSSLContext(configuration: tls), url.host)
        } catch {
            throw WebSocketError(.tlsFailed, "The TLS configuration cannot be used: \(error).", url: url, phase: .tls)
        }
    }

    func timeout(_ url: WebSocketURL, _ message: String) -> WebSocketError {
        WebSocketError(.timeout, message, url: url, phase: .connect)
    }
}
