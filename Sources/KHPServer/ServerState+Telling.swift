// How the server tells of its connections: to its log, to observers, and to instruments.

import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore

extension ServerState {
    static let silent = Logger(label: "khp.server") { _ in SwiftLogNoOpLogHandler() }

    /// The logger that the application is given for one request.
    /// - Parameters:
    ///   - peer: written out only where somebody logs: that costs as much as reading a request does.
    ///   - head: its X-Request-Id is that by which a proxy's log names the request.
    ///   - endpoint: `nil` for an ordinary request.
    func logger(
        id: UInt64,
        peer: @autoclosure () -> String,
        of head: RequestHead,
        at endpoint: EndpointConfiguration? = nil
    ) -> Logger {
        guard var logger = self.configuration.logger else { return Self.silent }
        logger[metadataKey: "khp.connection.id"] = "\(id)"
        logger[metadataKey: "peer"] = "\(peer())"
        if let endpoint { logger[metadataKey: "http.route"] = "\(endpoint.values.path)" }
        if let request = head.fields.first("X-Request-Id") {
            logger[metadataKey: "request-id"] = "\(request.prefix(128))"
        }
        return logger
    }

    func observe(_ event: ConnectionEvent, id: UInt64, peer: SocketAddress?) {
        guard let observer = self.configuration.observe else { return }
        observer(event, ConnectionInfo(id: id, role: .server, peer: peer?.peerName ?? ""))
    }

    /// A connection gets no place.
    func rejected(_ reason: ConnectionRejection, _ peer: SocketAddress?) {
        let instruments = self.configuration.instruments
        guard !instruments.isEmpty else { return }
        let connection = ConnectionInfo(id: 0, role: .server, peer: peer?.peerName ?? "")
        for instrument in instruments { instrument.rejected(reason, connection) }
    }

    /// Logs the refusal of a connection for which there is no place.
    func logTooMany(_ peer: SocketAddress?) {
        self.log(.notice, "connection refused: too many", ["peer": "\(peer?.peerName ?? "")"])
    }

    /// A connection begins with a PROXY header where none is taken: a balancer and this listener are set up otherwise.
    func tellUnwantedProxyHeader(at entrance: Entrance, from peer: SocketAddress?) {
        // There it is a second one.
        guard entrance.proxies == nil else { return }
        self.log(
            .notice,
            "connection refused: it begins with a PROXY header, which is not taken here",
            ["peer": "\(peer?.peerName ?? "")", "listener": "\(entrance.name ?? "")"]
        )
    }

    func log(
        _ level: Logger.Level,
        _ message: @autoclosure () -> Logger.Message,
        _ metadata: @autoclosure () -> Logger.Metadata
    ) {
        self.configuration.logger?.log(level: level, message(), metadata: metadata())
    }

    /// A closure of the application has thrown while a handshake or an HTTP request waited for it.
    func closureFailed(_ error: any Error) {
        // A response that is thrown is the application's answer; a task is cancelled once its result is of no use.
        if error is HandshakeResponse || Task.isCancelled { return }
        self.log(.error, "a closure of the application threw; the client gets a 500", ["error": "\(error)"])
    }

    func handlerFailed(_ error: any Error) {
        if error is CancellationError { return }
        // The peer's doing is no error of the application.
        let level: Logger.Level = error is WebSocketError ? .debug : .error
        self.log(level, "a socket's handler threw", ["error": "\(error)"])
    }
}

extension ServerSession {
    /// Tells instruments of the client, where that is not the peer.
    func tellNamed() {
        guard !self.instruments.isEmpty, let named, named != self.channel.remoteAddress else { return }
        self.instruments.named(named)
    }
}
