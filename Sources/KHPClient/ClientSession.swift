// The session of a client's connection: turns the connection's actions into steps that the connect loop awaits.

import KHPProtocol
import KHPWebSocket
import NIOCore

final class ClientSession: ConnectionDelegate {
    enum Step: Sendable {
        /// The opening handshake is complete; the extended one follows.
        case established(ResponseHead)
        case challenge(HandshakeResponse, HandshakeLayer)
        case opened(WebSocket)
        case ended(HopOutcome)
        case failed(WebSocketError)
        /// The server speaks HTTP/2 and takes no WebSocket there.
        case lacksStreams
        case closed
    }

    private let steps: AsyncStream<Step>.Continuation
    private let channel: any Channel
    private let info: ConnectionInfo
    private let transport: Transport
    /// The protocol of streams that was offered in TLS.
    private let streams: Streams?
    /// The protocol that TLS has agreed on, where more than one was offered.
    private var agreed: String?
    private let cookies: ConnectCookies
    private let observer: ConnectObserver
    /// Makes the taker of the messages on the event loop; `nil` where the socket's owner takes them.
    private let makeMessageHandler: (@Sendable (HandshakeSummary) -> any MessageHandler)?
    /// Reports the end of the TLS handshake to instruments, once; `nil` without TLS, and after the report.
    private var endOfTLS: ConnectObserver.End?

    /// - Parameter host: the server's, whose certificate is checked.
    init(
        steps: AsyncStream<Step>.Continuation,
        channel: any Channel,
        info: ConnectionInfo,
        host: String,
        transport: Transport,
        streams: Streams?,
        cookies: ConnectCookies,
        observer: ConnectObserver,
        makeMessageHandler: (@Sendable (HandshakeSummary) -> any MessageHandler)?
    ) {
        self.steps = steps
        self.channel = channel
        self.info = info
        self.transport = transport
        self.streams = streams
        self.cookies = cookies
        self.observer = observer
        self.makeMessageHandler = makeMessageHandler
        if transport == .tls { self.endOfTLS = observer.begin(.tls, host) }
    }

    deinit { self.endTLS(WebSocketError(.cancelled, "The connection was given up.")) }

    private func endTLS(_ failure: WebSocketError?) { self.endOfTLS.take()?(failure) }

    func connected(_ handler: ConnectionHandler) {
        self.endTLS(nil)
        guard handler.connection.isObserved else { return }
        let tls = TLSInfo.of(self.channel, self.transport, alpn: self.agreed)
        self.observer.observe(.connected(peer: self.info.peer, tls: tls), self.info)
    }

    func hasAgreed(on name: String?, _ handler: ConnectionHandler) -> Bool {
        self.endTLS(nil)
        guard let streams else { return false }
        self.agreed = name
        return streams.hasAgreed(on: name, self.channel, handler)
    }

    func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {
        switch action {
        case .client(.established(let head)):
            self.steps.yield(.established(head))
        case .client(.challenge(let response, let layer)):
            self.steps.yield(.challenge(response, layer))
        case .opened(var negotiation):
            self.cookies.keep(of: &negotiation)
            let inbox = Inbox(limits: handler.connection.configuration.limits)
            let application = self.makeMessageHandler?(negotiation)
            handler.deliver(to: application.map { .handler($0) } ?? .inbox(inbox))
            let address = self.channel.remoteAddress
            let socket = WebSocket(handler: handler, inbox: inbox, negotiated: negotiation, address: address)
            self.steps.yield(.opened(socket))
            application?.opened(EventLoopSocket(handler))
        case .client(.hopEnded(let outcome)):
            self.steps.yield(.ended(outcome))
        case .failed(let error):
            self.endTLS(error)
            self.steps.yield(.failed(error))
        case .closed:
            self.steps.yield(.closed)
            self.steps.finish()
        case .event(let event):
            self.observer.observe(event, self.info)
        case .server:
            assertionFailure("a client's connection asks what only a server decides")
        case .message, .chunk, .peerClosing, .pong:
            break
        }
    }
}
