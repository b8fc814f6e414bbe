import HTTPTypes
import KHPGateway
import KHPServer
import NIOCore

extension Route {
    /// The endpoint that does what the route says.
    func endpoint() -> Endpoint {
        switch action {
        case .echo:
            return Endpoint(self.path, messageHandler: { Echo() })
        case .broadcast:
            let room = Room()
            return Endpoint(self.path) { socket in try await room.broadcast(socket) }
        case .chat:
            let chat = ChatRoute()
            return Endpoint(self.path) { socket in try await chat.chat(socket) }
        case .relay(let host, let port):
            return StreamRelay(named: "the stream behind this path").endpoint(self.path, to: host, port)
        case .redirect(let status, let target):
            return Endpoint(self.path, respond: { _ in .redirect(to: target, status: status) })
        case .choices(let urls):
            return Endpoint(self.path, respond: { _ in .choices(urls) })
        case .status(let status, let body):
            return Endpoint(self.path, respond: { Self.answer(status, body, $0.layer) }, messageHandler: { Echo() })
        }
    }

    private static func answer(_ status: Int, _ body: String?, _ layer: HandshakeLayer) -> HandshakeResponse {
        switch status {
        case 201: return .created(body ?? "")
        case 202 where layer == .extended:
            // The accepted request is never done: the client's wait ends it.
            return .processing {
                try? await Task.sleep(for: .seconds(86_400))
                return .refuse(503)
            }
        case 401:
            // RFC 9110 section 15.5.2: a 401 names a challenge.
            return .refuse(401, body, headers: [.wwwAuthenticate: "Basic realm=\"khp\""])
        default: return .refuse(status, body)
        }
    }
}

/// Sends each message back, on the event loop.
final class Echo: MessageHandler {
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        // A message that cannot be sent any more has nobody to read it.
        try? socket.send(message.kind, message.bytes)
    }
}
