// The handler of a hop's connection, to be made on the event loop once there is a channel for it.

import KHPProtocol
import KHPWebSocket
import NIOCore

struct HopHandler: Sendable {
    var client: PreparedClient
    let configuration: ConnectionConfiguration
    /// The end of the whole connect.
    var deadline: NIODeadline
    var info: ConnectionInfo
    let steps: AsyncStream<ClientSession.Step>.Continuation
    let cookies: ConnectCookies
    let observer: ConnectObserver
    /// Makes the taker of the messages on the event loop; `nil` where the socket's owner takes them.
    let makeMessageHandler: (@Sendable () -> any MessageHandler)?

    func make(on channel: any Channel) -> ConnectionHandler {
        let usesTLS = self.client.plan.url.isSecure
        let connection = Connection(
            self.client,
            configuration: self.configuration,
            deadline: self.deadline,
            now: .now()
        )
        let session = ClientSession(
            steps: self.steps,
            channel: channel,
            info: self.info,
            usesTLS: usesTLS,
            cookies: self.cookies,
            observer: self.observer,
            makeMessageHandler: self.makeMessageHandler
        )
        return ConnectionHandler(
            connection: connection,
            delegate: session,
            eventLoop: channel.eventLoop,
            usesTLS: usesTLS
        )
    }
}
