// How a hop gets to its server through a proxy (R-P1): TCP and TLS to the proxy, the tunnel with its challenges, then
// TLS to the server and the one handler inside it.

import KHPProtocol
import KHPTransport
import NIOCore
import NIOSSL

extension ConnectLoop {
    /// What became of one connection to a proxy.
    private enum Tunnelled {
        case open
        /// Once more through a fresh connection, with this answer to the proxy's challenge.
        case again(authorization: String?)
    }

    mutating func dial(
        _ plan: ClientPlan,
        through proxy: Proxy,
        at address: SocketAddress,
        within share: TimeAmount,
        _ permit: inout ConnectPermit,
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) async throws(DialFailure) -> any Channel {
        var limit = min(self.deadline, .now() + share)
        do {
            let proxyTLS =
                proxy.kind == .https
                ? (
                    try self.context(
                        self.configuration.proxyTLS,
                        plan.url,
                        what: "The TLS configuration for the proxy"
                    ), proxy.host
                )
                : nil
            // Looked at before anything is dialled, so that what a caller put wrong is told first.
            _ = try self.handler(for: plan, steps: steps)
            var authorization = self.authorization(for: proxy, plan.url)
            // Each turn but the first follows a challenge, and these are counted.
            while true {
                let tunnel = try Tunnel(
                    through: proxy,
                    to: plan.url,
                    authorization: authorization,
                    limits: self.configuration.limits
                )
                let connection = try await Dialer.connect(
                    to: address,
                    of: proxy,
                    tls: proxyTLS,
                    tunnel: tunnel,
                    deadline: limit,
                    limits: self.configuration.limits,
                    tap: self.configuration.tap,
                    on: self.eventLoop
                )
                let channel = connection.channel
                do {
                    let outcome = try await withTaskCancellationHandler {
                        try await self.follow(connection, plan, proxy, limit: &limit, &permit, steps: steps)
                    } onCancel: {
                        channel.close(promise: nil)
                    }
                    switch outcome {
                    case .open: return channel
                    case .again(let value): authorization = value
                    }
                    channel.close(promise: nil)
                } catch {
                    channel.close(promise: nil)
                    throw error
                }
            }
        } catch let error as WebSocketError {
            var error = error
            error.url = error.url ?? plan.url
            error.phase = error.phase ?? .connect
            // No TLS with one address of the proxy: another may do.
            if error.code == .tlsFailed, error.phase == .connect { throw .nextAddress(error) }
            throw .final(error)
        } catch is CancellationError {
            throw .final(CancellationError())
        } catch {
            var failure = self.unreachable(error, plan, "The proxy \(proxy)")
            if failure.code != .timeout {
                failure.message = "The proxy \(proxy) cannot be reached: \(TransportFailure.reason(error))."
            }
            throw .nextAddress(failure)
        }
    }

    /// From the connected proxy to the handler in its place, or to where a fresh connection is needed.
    private mutating func follow(
        _ connection: Dialer.ProxyConnection,
        _ plan: ClientPlan,
        _ proxy: Proxy,
        limit: inout NIODeadline,
        _ permit: inout ConnectPermit,
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) async throws -> Tunnelled {
        for await step in connection.steps {
            switch step {
            case .challenge(let response, let staysOpen):
                // Others may connect to this host, and no time passes, while a person is asked.
                permit.giveBack()
                let before = self.deadline
                let authorization = try await self.answer(response, of: proxy, for: plan.url)
                limit = limit + (self.deadline - before)
                permit = try await self.permit(after: permit)
                guard staysOpen, try await connection.answer(authorization, deadline: limit) else {
                    return .again(authorization: authorization)
                }
            case .retry:
                return .again(authorization: self.authorization(for: proxy, plan.url))
            case .failed(let error):
                throw error
            case .established(let head):
                if let head { try self.accepted(head, of: proxy) }
                let tls = try plan.url.isSecure ? self.tls(for: plan.url) : nil
                // Made now: where somebody was asked meanwhile, the deadline has moved and the count of challenges too.
                var plan = plan
                plan.challenges = self.attempt.authenticator.count
                try await connection.enter(tls: tls, makeHandler: try self.handler(for: plan, steps: steps))
                return .open
            }
        }
        try Task.checkCancellation()
        throw WebSocketError(.connectFailed, "The proxy \(proxy) closed the connection.", phase: .connect)
    }
}
