// The library tells of a connection before and beside its session: the status of each handshake, and why one was refused.

import KHPServer
import NIOCore
import Synchronization

/// Told of the end of a handshake.
struct HandshakeOutcome: Sendable {
    /// `nil` where the request was for no service.
    var service: String?
    var layer: HandshakeLayer
    var status: Int
    /// From the accepted connection to the answer.
    var duration: TimeAmount
    var peer: String
    /// The client's address, which a proxy may have named; `nil` for one without, as at a Unix domain socket.
    var client: String?
    /// The way in.
    var listener: String
    var connection: UInt64
    /// Set where the answer was the gateway's own decision.
    var cause: String?
    /// The backends that could not be had, where that was the reason.
    var tries: [ConnectFailure.Try] = []

    /// The cause of a refusal of bytes that are no request.
    static let unreadable = "unreadable"
}

/// Watches the handshakes of a gateway's connections.
struct HandshakeWatch: ServerInstrument {
    /// Its name.
    let listener: String
    /// The service of an endpoint's path, as the endpoint has it.
    let service: @Sendable (String) -> String?
    let report: @Sendable (HandshakeOutcome) -> Void
    /// Told of the version of TLS that a connection has agreed on, and of `nil` for one that ended before it had. Not set where
    /// there is no TLS.
    var tls: (@Sendable (String?) -> Void)?

    func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? {
        ConnectionTrace(connection, self)
    }
}

/// One connection, from its first byte.
final class ConnectionTrace: ServerConnectionInstrument {
    /// The trace of the connection for which code runs.
    @TaskLocal static var current: ConnectionTrace?

    private struct State {
        var service: String?
        var summary: HandshakeSummary?
        var cause: String?
        var tries: [ConnectFailure.Try] = []
        /// `true` once a request has come that can be read.
        var isRead = false
        /// `true` once the service was asked about the client.
        var isAsked = false
        /// As a proxy has named it.
        var named: String?
        /// True once the outcome of TLS is known.
        var isSettled = false
        /// The version of the client's TLS, as far as this connection has reported it.
        var tlsVersion: String?
    }

    let connection: ConnectionInfo
    private let watch: HandshakeWatch
    private let accepted = NIODeadline.now()
    private let state = Mutex(State())

    init(_ connection: ConnectionInfo, _ watch: HandshakeWatch) {
        self.connection = connection
        self.watch = watch
    }

    /// All that both handshakes agreed on, once the socket is open.
    var summary: HandshakeSummary? { self.state.withLock { $0.summary } }

    /// The version of the client's TLS, such as `TLSv1.3`; `nil` where it has none, or an earlier request told it.
    var tlsVersion: String? { self.state.withLock { $0.tlsVersion } }

    // No event tells of TLS that fails, or that nobody began: the connection is gone.
    deinit { self.settle(nil) }

    /// The first outcome counts.
    private func settle(_ version: String?) {
        guard let tls = self.watch.tls else { return }
        let isFirst = self.state.withLock { state in
            defer { state.isSettled = true }
            return !state.isSettled
        }
        if isFirst { tls(version) }
    }

    /// The service is asked about its client.
    func asks() { self.state.withLock { $0.isAsked = true } }

    func named(_ client: SocketAddress) { self.state.withLock { $0.named = client.unmapped.ipAddress } }

    /// The client's address, also where no service was asked about it.
    var client: String? { self.state.withLock { $0.named } ?? self.peerAddress }

    var listener: String { self.watch.listener }

    /// The peer's address without its port.
    private var peerAddress: String? {
        let peer = self.connection.peer
        guard !peer.hasPrefix("/"), let colon = peer.lastIndex(of: ":") else { return nil }
        let host = peer[..<colon]
        return SocketAddress.unmapped(host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : String(host))
    }

    /// The reason of a refusal that is about to be answered.
    func refuses(_ cause: String, _ tries: [ConnectFailure.Try] = []) {
        self.state.withLock { ($0.cause, $0.tries) = (cause, tries) }
    }

    func observe(_ event: ConnectionEvent) {
        switch event {
        case .connected(_, let tls?):
            self.state.withLock { $0.tlsVersion = tls.version.hasPrefix("TLS") ? tls.version : nil }
            self.settle(tls.version)
        case .openingRequest:
            // TLS stood, as something was read through it: a trace of this connection has told of it before.
            self.state.withLock { ($0.isSettled, $0.isRead) = (true, true) }
        case .routed(let endpoint):
            let service = self.watch.service(endpoint)
            self.state.withLock { $0.service = service }
        case .openingResponse(_, let status):
            self.report(.opening, status)
        case .extendedResponse(_, let status, _, _):
            self.report(.extended, status)
        case .open(let summary):
            self.state.withLock { $0.summary = summary }
        default:
            break
        }
    }

    private func report(_ layer: HandshakeLayer, _ status: Int) {
        var state = self.state.withLock { state in
            defer { (state.cause, state.tries) = (nil, []) }
            return state
        }
        // The library asks nobody about a page of a foreign origin.
        if state.service != nil, layer == .opening, status == 403, !state.isAsked { state.cause = "origin" }
        if !state.isRead, [400, 414, 431, 505].contains(status) { state.cause = HandshakeOutcome.unreadable }
        self.watch.report(
            HandshakeOutcome(
                service: state.service,
                layer: layer,
                status: status,
                duration: .now() - self.accepted,
                peer: self.connection.peer,
                client: state.named ?? self.peerAddress,
                listener: self.watch.listener,
                connection: self.connection.id,
                cause: state.cause,
                tries: state.tries
            )
        )
    }

    nonisolated(nonsending) func run<Value>(
        _ body: nonisolated(nonsending) () async throws -> Value
    ) async rethrows -> Value {
        try await Self.$current.withValue(self) { try await body() }
    }
}
