// Makes the handler of a hop's connection, on the event loop, once there is a channel for it.

import KHPProtocol
import KHPWebSocket
import NIOCore

/// The values of a hop, of which its handler is made.
struct HopHandlerFactory: Sendable {
    var client: PreparedClient
    let configuration: ConnectionConfiguration
    /// The end of the whole connect.
    var deadline: NIODeadline
    var info: ConnectionInfo
    let steps: AsyncStream<ClientSession.Step>.Continuation
    let cookies: ConnectCookies
    let observer: ConnectObserver
    /// Makes the taker of the messages on the event loop; `nil` where the socket's owner takes them.
    let makeMessageHandler: (@Sendable (HandshakeSummary) -> any MessageHandler)?

    /// The protocol of streams that is offered in TLS.
    let streams: (any ClientStreamProtocol)?
    /// The time that the opening may take.
    let patience: TimeAmount
    /// Told of a connection that can carry more streams, on its event loop; `nil` where it is not to.
    var share: (@Sendable (any StreamConnection) -> Void)?
    let place = HopPlace()

    func make(on channel: any Channel) -> ConnectionHandler {
        let transport = Transport(usesTLS: self.client.plan.url.isSecure)
        let streams =
            transport == .tls
            ? self.streams.map { ClientSession.Streams(streams: $0, hop: self, patience: self.patience) } : nil
        return self.make(self.client, on: channel, transport, streams)
    }

    /// The handler of a stream, on a connection whose own handler takes no more part.
    /// - Throws: `CancellationError` when the hop has been abandoned.
    func make(onStream stream: any Channel) throws -> ConnectionHandler {
        if self.place.isAbandoned { throw CancellationError() }
        if self.place.isShared { self.place.stream = stream }
        return self.make(try self.client.onStream(), on: stream, .stream, nil)
    }

    private func make(
        _ client: PreparedClient,
        on channel: any Channel,
        _ transport: Transport,
        _ streams: ClientSession.Streams?
    ) -> ConnectionHandler {
        let connection = Connection(
            client,
            configuration: self.configuration,
            deadline: self.deadline,
            now: .now()
        )
        let session = ClientSession(
            steps: self.steps,
            channel: channel,
            info: self.info,
            host: client.plan.url.host,
            transport: transport,
            streams: streams,
            cookies: self.cookies,
            observer: self.observer,
            makeMessageHandler: self.makeMessageHandler
        )
        let handler = ConnectionHandler(
            connection: connection,
            delegate: session,
            eventLoop: channel.eventLoop,
            transport: transport
        )
        self.place.handler = handler
        return handler
    }
}
