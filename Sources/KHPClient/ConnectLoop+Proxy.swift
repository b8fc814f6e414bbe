// How a hop gets to its server through a proxy (R-P1): TCP and TLS to the proxy, the tunnel with its challenges, then
// TLS to the server and the one handler inside it.

import KHPProtocol
import KHPWebSocket
import NIOCore

extension ConnectLoop {
    /// What became of one connection to a proxy.
    private enum Tunnelled {
        case open
        /// Once more through a fresh connection, with this answer to the proxy's challenge.
        case again(authorization: String?)
    }

    /// Connects through one of the proxy's addresses, with the handler in place.
    /// - Returns: the connection, and the right to be in CONNECTING state.
    mutating func dial(
        _ plan: ClientPlan,
        through proxy: Proxy,
        at addresses: [SocketAddress],
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) async throws -> (channel: any Channel, permit: ConnectPermit) {
        // R-C1, D38
        let places = ConnectPlace.through(proxyTo: plan.url.host)
        guard var permit = await self.gate.permit(for: places, until: self.deadline, on: self.eventLoop) else {
            try Task.checkCancellation()
            throw self.notComplete()
        }
        do {
            return (try await self.dial(plan, through: proxy, at: addresses, &permit, steps: steps), permit)
        } catch {
            permit.giveBack()
            guard var error = error as? WebSocketError else { throw error }
            error.url = error.url ?? plan.url
            error.phase = error.phase ?? .connect
            throw error
        }
    }

    private mutating func dial(
        _ plan: ClientPlan,
        through proxy: Proxy,
        at addresses: [SocketAddress],
        _ permit: inout ConnectPermit,
        steps: AsyncStream<ClientSession.Step>.Continuation
    ) async throws -> any Channel {
        var limit = min(self.deadline, .now() + TimeAmount(self.configuration.timeouts.connect))
        let proxyTLS = proxy.kind == .https ? try self.tls(self.configuration.proxyTLS, proxy.host, .proxy) : nil
        // Looked at before anything is dialled, so that what a caller put wrong is told first.
        _ = try self.handler(for: plan, steps: steps)
        var authorization = self.authorization(for: proxy, plan.url)
        var addresses = addresses
        /// Where the proxy was reached, and is to be reached again.
        var known: SocketAddress?
        var failure: WebSocketError?
        // Each turn but the first follows a challenge, and these are counted, or an address that is of no use.
        while true {
            let tunnel = try Tunnel(
                through: proxy,
                to: plan.url,
                authorization: authorization,
                limits: self.configuration.limits.ofConnection
            )
            let winner: AddressRace.Winner
            do {
                let candidates = known.map { [$0] } ?? addresses
                winner = try await self.race(candidates, takesPlaces: false, within: limit - .now())
            } catch let lost as AddressRace.Lost {
                throw failure ?? self.unreachable(lost.reason, proxy, plan)
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
                    return try await self.follow(connection, plan, proxy, limit: &limit, &permit, steps: steps)
                } onCancel: {
                    channel.close(promise: nil)
                }
                switch outcome {
                case .open: return channel
                case .again(let value): authorization = value
                }
                known = winner.address
                channel.close(promise: nil)
            } catch let error as WebSocketError where error.code == .tlsFailed && error.phase == .connect {
                // No TLS with one address of the proxy: another may do.
                channel.close(promise: nil)
                failure = failure ?? error
                known = nil
                addresses.removeAll { $0 == winner.address }
                if addresses.isEmpty { throw failure ?? error }
            } catch {
                channel.close(promise: nil)
                if error is WebSocketError || error is CancellationError { throw error }
                throw self.unreachable(error, proxy, plan)
            }
        }
    }

    private func unreachable(_ error: any Error, _ proxy: Proxy, _ plan: ClientPlan) -> WebSocketError {
        var failure = self.unreachable(error, plan, "The proxy \(proxy)")
        if failure.code != .timeout {
            failure.message = "The proxy \(proxy) cannot be reached: \(TransportFailure.reason(error))."
            failure.detail = .throughProxy
        }
        return failure
    }

    /// From the connected proxy to the handler in its place, or to where a fresh connection is needed.
    private mutating func follow(
        _ connection: ProxyConnection,
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
        throw WebSocketError(
            .connectFailed,
            "The proxy \(proxy) closed the connection.",
            detail: .throughProxy,
            phase: .connect
        )
    }
}
