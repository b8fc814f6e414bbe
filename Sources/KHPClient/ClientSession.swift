// One hop of a client: turns what its connection asks into steps that the connect loop awaits, and back.

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
        case closed
    }

    private let steps: AsyncStream<Step>.Continuation
    private let channel: any Channel
    private let info: ConnectionInfo
    private let usesTLS: Bool
    private let configuration: WebSocketClient.Configuration
    private var observer: (@Sendable (ConnectionEvent, ConnectionInfo) -> Void)? { self.configuration.observe }
    /// Makes what takes the messages on the event loop; `nil` where the socket's owner takes them.
    var makeMessageHandler: (@Sendable () -> any MessageHandler)?

    init(
        steps: AsyncStream<Step>.Continuation,
        channel: any Channel,
        info: ConnectionInfo,
        usesTLS: Bool,
        configuration: WebSocketClient.Configuration
    ) {
        self.steps = steps
        self.channel = channel
        self.info = info
        self.usesTLS = usesTLS
        self.configuration = configuration
    }

    func connected(_ handler: ConnectionHandler) {
        guard let observer else { return }
        let tls = self.usesTLS ? TLSInfo.of(self.channel) : nil
        observer(.connected(peer: self.info.peer, tls: tls), self.info)
    }

    func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {
        switch action {
        case .established(let head):
            self.steps.yield(.established(head))
        case .challenge(let response, let layer):
            self.steps.yield(.challenge(response, layer))
        case .opened(var negotiation):
            self.configuration.keepCookies(of: &negotiation)
            let inbox = Inbox(limits: handler.connection.settings.limits)
            let application = self.makeMessageHandler?()
            if let application {
                handler.deliver(to: .handler(application))
            } else {
                handler.connection.holdsClose = true
                handler.deliver(to: .inbox(inbox))
            }
            let address = self.channel.remoteAddress
            let socket = WebSocket(handler: handler, inbox: inbox, negotiated: negotiation, address: address)
            self.steps.yield(.opened(socket))
            application?.opened(EventLoopSocket(handler))
        case .hopEnded(let outcome):
            self.steps.yield(.ended(outcome))
        case .failed(let error):
            self.steps.yield(.failed(error))
        case .closed:
            self.steps.yield(.closed)
            self.steps.finish()
        case .event(let event):
            self.observer?(event, self.info)
        case .message, .chunk, .peerClosing, .pong, .decideOpening, .decideExtended, .plainRequest:
            break
        }
    }
}
