// Another protocol that a server may choose in TLS (ALPN): its connections carry streams, and a WebSocket is opened on one.
//
//   TLS agrees on it ──▶ the hop's handler stands aside ──▶ the server takes WebSockets on streams ──▶ a handler on a stream
//                                                     └──▶ it takes none ──▶ once more, over HTTP/1.1 on a fresh connection
//
// Such a connection can carry further WebSockets of the same client: ``StreamConnectionPool`` has those that do.

package import KHPProtocol
package import KHPWebSocket
package import NIOCore

package protocol ClientStreamProtocol: Sendable {
    /// Its name in ALPN.
    var name: String { get }
    /// False where TLS does not offer it.
    var isOffered: Bool { get }
    /// True where the connect fails without it.
    var isRequired: Bool { get }
    /// True where connections stay for further WebSockets.
    var sharesConnections: Bool { get }
    /// Sets up a connection on which TLS has agreed on it, and whose pipeline has TLS alone, or what watches the bytes. On
    /// its event loop.
    /// - Parameters:
    ///   - patience: the time in which the server has to say if it takes WebSockets.
    ///   - share: called before the first stream is there with the connection, which then stays for more. Where there is
    ///     none, the one stream ends with the connection, and the other way round.
    ///   - makeHandler: makes the handler of the first stream.
    /// - Returns: succeeds once the stream is there; with `false` where the server takes no WebSocket on one.
    func open(
        on channel: any Channel,
        limits: Limits,
        within patience: TimeAmount,
        sharing share: (@Sendable (any StreamConnection) -> Void)?,
        _ makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
    ) -> EventLoopFuture<Bool>
}

/// A connection that carries WebSockets on streams.
package protocol StreamConnection: AnyObject, Sendable {
    var channel: any Channel { get }
    /// Opens one more stream.
    /// - Parameter makeHandler: makes its handler, on the event loop.
    /// - Returns: `false`, with nothing done, where there is no room for one, or the connection is about to end.
    func open(_ makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler) -> EventLoopFuture<Bool>
    /// Opens no more streams: the connection ends with the last of its streams.
    func retire()
}

/// The handler of a hop, which another one may take the place of. Unchecked: it is touched on the connection's event loop
/// only.
final class HopPlace: @unchecked Sendable {
    var handler: ConnectionHandler?
    /// True where others have streams on the connection, or may have.
    var isShared = false
    /// The stream on a shared connection.
    var stream: (any Channel)?
    /// True once the connect has given the hop up.
    private(set) var isAbandoned = false

    /// The channel that ends with the hop: its connection, or its stream where others may have streams on the connection;
    /// `nil` where it has found no place for one there.
    func own(of connection: any Channel) -> (any Channel)? { self.isShared ? self.stream : connection }

    /// Ends a connection that is not open yet. One that is open belongs to whoever gets the socket, who closes it
    /// properly: to end it would hand a dead socket to a caller who was cancelled while it opened.
    func abandon(_ channel: any Channel) {
        channel.eventLoop.execute {
            self.isAbandoned = true
            guard self.handler?.isDelivering != true else { return }
            // A shared connection is not ours to end: its stream is reset, or not made if it is not there yet.
            if self.isShared { self.handler?.abort() } else { channel.close(promise: nil) }
        }
    }
}

extension ClientSession {
    /// How a hop goes on where TLS has agreed on a protocol of streams.
    struct Streams: Sendable {
        let streams: any ClientStreamProtocol
        let hop: HopHandlerFactory
        /// The time in which the server has to say if it takes WebSockets.
        let patience: TimeAmount

        /// - Returns: `true` where the handler has stood aside.
        func hasAgreed(on name: String?, _ channel: any Channel, _ handler: ConnectionHandler) -> Bool {
            if name == self.streams.name {
                handler.standAside()
                self.open(on: channel)
                return true
            }
            guard self.streams.isRequired else { return false }
            handler.standAside()
            self.fail("The server does not speak HTTP/2, which is required.", channel)
            return true
        }

        private func open(on channel: any Channel) {
            let hop = self.hop
            let opened = self.streams.open(
                on: channel,
                limits: hop.configuration.limits,
                within: self.patience,
                sharing: self.sharing
            ) { stream in
                try hop.make(onStream: stream)
            }
            opened.whenComplete { result in
                switch result {
                case .success(true):
                    break
                case .success(false):
                    if self.streams.isRequired {
                        self.fail("The server takes no WebSocket over HTTP/2, which is required.", channel)
                    } else {
                        self.end(.lacksStreams, channel)
                    }
                case .failure(let error):
                    var failure = error as? WebSocketError ?? TransportFailure.describe(error)
                    failure.url = failure.url ?? hop.client.plan.url
                    failure.phase = failure.phase ?? .opening
                    self.end(.failed(failure), hop.place.own(of: channel))
                }
            }
        }

        /// Keeps the connection for others too, where that is wanted.
        private var sharing: (@Sendable (any StreamConnection) -> Void)? {
            guard let share = self.hop.share else { return nil }
            let place = self.hop.place
            return { connection in
                place.isShared = true
                share(connection)
            }
        }

        private func fail(_ what: String, _ channel: any Channel) {
            let error = WebSocketError(.openingInvalid, what, url: self.hop.client.plan.url, phase: .opening)
            self.end(.failed(error), channel)
        }

        private func end(_ step: Step, _ channel: (any Channel)?) {
            self.hop.steps.yield(step)
            self.hop.steps.yield(.closed)
            self.hop.steps.finish()
            channel?.close(promise: nil)
        }
    }
}
