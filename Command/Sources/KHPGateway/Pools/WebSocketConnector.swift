// Connects to a backend that speaks WebSocket, another gateway for instance: with the subprotocols that the client asks for,
// and with the client's address in Forwarded (RFC 7239), where a byte stream has a PROXY header.

import HTTPTypes
import KHPClient
import NIOCore
import NIOSSL

struct WebSocketConnector: Sendable {
    let backend: GatewayConfiguration.Backend
    /// For `wss`.
    let tls: TLSConfiguration?
    /// Verified in place of the backend's host.
    let serverName: String?

    /// - Throws: ``ConnectFailure``.
    func connect(_ call: BackendCall, within limit: TimeAmount) async throws(ConnectFailure) -> BackendLink {
        let ready = call.eventLoop.makePromise(of: BackendLink.self)
        let closed = call.eventLoop.makePromise(of: Void.self)
        let client = WebSocketClient(
            configuration: self.configuration(call, within: limit),
            eventLoopGroup: call.eventLoop
        )
        let backend = self.backend.url
        var named = self.backend
        // The name that is verified stands in the URL, and the connection goes to the backend.
        if let serverName { named.host = serverName }
        let url = named.url
        Task {
            do {
                try await client.run(to: url, subprotocols: call.subprotocols) { negotiated in
                    BackendSocket { socket in
                        ready.succeed(
                            BackendLink(
                                socket,
                                to: backend,
                                speaking: negotiated.subprotocol,
                                closed: closed.futureResult
                            )
                        )
                    }
                }
                ready.fail(ConnectFailure(.reset, "the connection ended"))
            } catch {
                ready.fail(error)
            }
            closed.succeed()
        }
        do {
            return try await ready.futureResult.get()
        } catch {
            throw Self.failure(error, of: call)
        }
    }

    private func configuration(_ call: BackendCall, within limit: TimeAmount) -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = .off
        configuration.redirects.policy = .never
        configuration.cookies = .none
        if let tls { configuration.tls = tls }
        configuration.connectTo = .host(self.backend.host, port: self.backend.port)
        configuration.timeouts.total = Duration(limit)
        configuration.limits.sendBufferHighMark = call.rules.buffer
        configuration.limits.sendBufferLowMark = call.rules.buffer / 2
        configuration.timeouts.stalledWrite = call.rules.stalled + .seconds(10)
        if let address = call.client?.ipAddress, let name = HTTPField.Name("Forwarded") {
            let node = address.contains(":") ? "\"[\(address)]\"" : address
            configuration.headers[name] = "for=\(node);proto=\(call.usesTLS ? "wss" : "ws")"
        }
        return configuration
    }

    static func failure(_ error: any Error, of call: BackendCall) -> ConnectFailure {
        guard let error = error as? WebSocketError else { return ConnectFailure(error) }
        switch error.code {
        case .timeout: return ConnectFailure(.timeout, error.message)
        case .tlsFailed: return ConnectFailure(.tls, error.message)
        case .connectFailed where error.detail == .nameNotResolved: return ConnectFailure(.dns, error.message)
        case .connectFailed: return ConnectFailure(.refused, error.message)
        default:
            var failure = ConnectFailure(.handshake, error.message)
            // The client has chosen the subprotocols, of which none may be one of the backend's.
            failure.isOfCaller =
                !call.subprotocols.isEmpty && error.response.map { (400...499).contains($0.status) } ?? false
            return failure
        }
    }
}
