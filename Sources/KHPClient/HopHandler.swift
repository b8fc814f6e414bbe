// The handler of a hop's connection, to be made on the event loop once there is a channel for it.

import KHPProtocol
import KHPWebSocket
import NIOCore

struct HopHandler: Sendable {
    let plan: ClientPlan
    /// The key of the opening request.
    let key: String
    let configuration: ConnectionConfiguration
    /// The end of the whole connect.
    let deadline: NIODeadline
    let info: ConnectionInfo
    let steps: AsyncStream<ClientSession.Step>.Continuation
    let cookies: ConnectCookies
    let observer: (@Sendable (ConnectionEvent, ConnectionInfo) -> Void)?
    /// Makes the taker of the messages on the event loop; `nil` where the socket's owner takes them.
    let makeMessageHandler: (@Sendable () -> any MessageHandler)?

    func make(on channel: any Channel) throws -> ConnectionHandler {
        let connection = try Connection(
            client: self.plan,
            configuration: self.configuration,
            key: self.key,
            deadline: self.deadline,
            now: .now()
        )
        let session = ClientSession(
            steps: self.steps,
            channel: channel,
            info: self.info,
            usesTLS: self.plan.url.isSecure,
            cookies: self.cookies,
            observer: self.observer,
            makeMessageHandler: self.makeMessageHandler
        )
        return ConnectionHandler(
            connection: connection,
            delegate: session,
            eventLoop: channel.eventLoop,
            usesTLS: self.plan.url.isSecure
        )
    }
}
