// The relay without a gateway around it: one byte stream for each WebSocket, as `khp serve --route PATH=tcp:…` has it at one
// end and `khp tunnel` at the other.

package import KHPServer
package import NIOCore

/// Joins byte streams to WebSockets: messages become bytes, bytes become messages.
///
/// | first to end                                           | the other side                                         |
/// |--------------------------------------------------------|--------------------------------------------------------|
/// | socket, with a close frame that says no failure        | gets all that was sent, then the end                   |
/// | socket, otherwise                                      | is reset                                               |
/// | stream, in good order                                  | gets all that was sent, then close 1000                |
/// | stream, reset, or taking nothing for its patience      | gets all that was sent, then close 1014                |
/// | stream, with bytes that are no UTF-8 for text messages | gets the text before them, then close 1007             |
///
/// A socket whose dialect carries no binary messages gets text, whatever ``frames`` says.
package struct StreamRelay: Sendable {
    /// The stream, as the reason of a close calls it.
    package let name: String
    /// The messages that bytes become. Messages of either kind become bytes.
    package var frames = GatewayConfiguration.Frames.binary
    /// How long either side may take nothing.
    package var patience = WebSocketServer.Timeouts().stalledWrite

    /// The time to connect to a stream, the resolution of the name included: below that of the handshake, which waits.
    private static let connectLimit = TimeAmount.seconds(5)
    /// The time that the stream may go on after its end has gone out.
    private static let halfClose = Duration.seconds(5)

    package init(named name: String) {
        self.name = name
    }

    private var rules: GatewayConfiguration.Rules {
        var rules = GatewayConfiguration.Rules()
        rules.relay.stalled = self.patience
        rules.relay.halfClose = min(Self.halfClose, self.patience)
        return rules
    }

    // MARK: At the server

    /// An endpoint that relays each client to a TCP address. One that does not answer ends the socket with 1014.
    /// - Parameter ended: told of the end of each session.
    package func endpoint(
        _ path: String,
        to host: String,
        _ port: Int,
        ended: @escaping @Sendable () -> Void = {}
    ) -> Endpoint {
        let connector = BackendConnector(
            backend: GatewayConfiguration.Backend(scheme: .tcp, host: host, port: port),
            proxyHeader: .off,
            tls: nil,
            serverName: nil
        )
        var options = Endpoint.Options()
        options.delivery = .chunks
        return Endpoint(
            path,
            options: options,
            context: { request in
                let call = BackendCall(on: request.eventLoop, rules: self.rules.relay)
                return try? await connector.connect(call, within: Self.connectLimit)
            },
            release: { (link: BackendLink?) in await link?.release() },
            messageHandler: { request, link in
                guard let link else { return Closing(.badGateway, "\(self.name) does not answer") }
                return self.handler(for: link, on: request.eventLoop) { _ in ended() }
            }
        )
    }

    /// Ends each socket as soon as it is open.
    private final class Closing: MessageHandler {
        private let code: WebSocketCloseCode
        private let reason: String

        init(_ code: WebSocketCloseCode, _ reason: String) {
            self.code = code
            self.reason = reason
        }

        func opened(_ socket: EventLoopSocket) { socket.close(code: self.code, reason: self.reason) }

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}
    }

    // MARK: At the client

    /// Takes a channel that was accepted, before its first event.
    ///
    /// Nothing of it is read before a handler has it.
    package func accepted(_ channel: any Channel) throws -> BackendLink {
        let rules = self.rules.relay
        try StreamOptions.set(on: channel, rules, isTCP: channel.remoteAddress?.port != nil)
        let stream = BackendStream(rules)
        try channel.pipeline.syncOperations.addHandler(stream)
        return BackendLink(stream, to: "", closed: channel.closeFuture)
    }

    /// The handler of the socket that carries a stream, on the event loop of both.
    /// - Parameters:
    ///   - closed: told how the socket has closed, before the stream is.
    ///   - refused: told why bytes of the stream could not become messages, where that has ended both.
    package func handler(
        for stream: BackendLink,
        on eventLoop: any EventLoop,
        closed: @escaping @Sendable (CloseInfo) -> Void = { _ in },
        refused: @escaping @Sendable (String) -> Void = { _ in }
    ) -> any MessageHandler {
        RelaySession(
            Session(SessionFacts(id: "", service: "")) { _, end in
                if end.party == .backend, end.cause == .protocolViolation { refused(end.reason) }
            },
            to: stream.take(),
            rules: self.rules,
            frames: self.frames,
            ends: .ofStream(named: self.name),
            on: eventLoop,
            onClose: closed
        )
    }
}
