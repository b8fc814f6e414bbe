// Connects to a backend that speaks WebSocket, another gateway for instance: with the subprotocols that the client asks for,
// and with the client's address in Forwarded (RFC 7239), where a byte stream has a PROXY header.

import HTTPTypes
import KHPClient
import KHPProtocol
import NIOCore
import NIOSSL
import Synchronization

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
        let note = RequestNote()
        var configuration = self.configuration(call, within: limit)
        configuration.instruments = [note]
        let client = WebSocketClient(configuration: configuration, eventLoopGroup: call.eventLoop)
        let backend = self.backend.url
        let url = self.url
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
            throw Self.failure(error, isAsked: note.isAsked)
        }
    }

    /// Asks for a WebSocket in the gateway's own name, and closes it: a system takes connections for a process that hangs.
    /// - Returns: `nil` where the backend is well. A refusal or an end, for which somebody had to look at the request, is a
    ///   sign of life; a failure of the backend's own is none.
    func check(_ call: BackendCall, within limit: TimeAmount) async -> ConnectFailure? {
        var configuration = self.configuration(call, within: limit)
        configuration.timeouts.close = Duration(limit)
        let note = RequestNote()
        configuration.instruments = [note]
        let client = WebSocketClient(configuration: configuration, eventLoopGroup: call.eventLoop)
        do {
            try await client.withConnection(to: self.url) { _ in }
            return nil
        } catch {
            if let error = error as? WebSocketError, Self.isLife(error, isAsked: note.isAsked) { return nil }
            return Self.failure(error)
        }
    }

    private static func isLife(_ error: WebSocketError, isAsked: Bool) -> Bool {
        switch error.code {
        case .openingRefused: (error.response?.status ?? 500) < 500
        case .authenticationFailed, .redirectRefused: true
        // Some brokers end the connection of a client without the subprotocol that they speak, or reset it.
        case .closedDuringHandshake, .connectFailed: isAsked
        default: false
        }
    }

    /// The name that is verified stands in it, and the connection goes to the backend.
    private var url: String {
        var named = self.backend
        if let serverName { named.host = serverName }
        return named.url
    }

    private func configuration(_ call: BackendCall, within limit: TimeAmount) -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = .off
        configuration.redirects.policy = .never
        configuration.cookies = .none
        if let tls { configuration.tls = tls }
        configuration.connectTo = .host(self.backend.host, port: self.backend.port)
        // In whole milliseconds: it stands in the words of an error.
        configuration.timeouts.total = .milliseconds((limit.nanoseconds + 999_999) / 1_000_000)
        configuration.limits.messages = call.messages
        configuration.limits.sendBufferHighMark = call.rules.buffer
        configuration.limits.sendBufferLowMark = call.rules.buffer / 2
        configuration.timeouts.stalledWrite = call.rules.stalled + .seconds(10)
        if let address = call.client?.ipAddress, let name = HTTPField.Name("Forwarded") {
            let node = address.contains(":") ? "\"[\(address)]\"" : address
            configuration.headers[name] = "for=\(node);proto=\(call.usesTLS ? "wss" : "ws")"
        }
        return configuration
    }

    /// - Parameter isAsked: `true` where the request had gone to the backend. It names the client and the subprotocols that the
    ///   client has chosen: an answer to it, or none, may be about them, whatever its status.
    static func failure(_ error: any Error, isAsked: Bool) -> ConnectFailure {
        var failure = Self.failure(error)
        failure.mayBeOfClient = failure.mayBeOfClient || isAsked
        return failure
    }

    private static func failure(_ error: any Error) -> ConnectFailure {
        guard let error = error as? WebSocketError else { return ConnectFailure(error) }
        switch error.code {
        case .timeout: return ConnectFailure(.timeout, error.message)
        case .tlsFailed: return ConnectFailure(.tls, error.message)
        case .connectFailed where error.detail == .nameNotResolved: return ConnectFailure(.dns, error.message)
        case .connectFailed: return ConnectFailure(.refused, error.message)
        default: return ConnectFailure(.handshake, error.message)
        }
    }
}

/// Notes that TCP and TLS are there: what goes to the backend from then on is the request.
private final class RequestNote: ClientInstrument, ConnectInstrument {
    private let state = Mutex(false)

    var isAsked: Bool { self.state.withLock { $0 } }

    func connecting(to url: WebSocketURL) -> (any ConnectInstrument)? { self }

    func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo) {
        if case .connected = event { self.state.withLock { $0 = true } }
    }
}
