// A client's connection of HTTP/2, on which streams are opened.

import KHPClient
import KHPWebSocket
import NIOCore
import NIOHTTP2

/// A client's connection of HTTP/2. Each of its streams carries one handshake (RFC 8441 section 5).
final class ClientStreamConnection: StreamConnection {
    let channel: any Channel
    private let multiplexer: NIOHTTP2Handler.StreamMultiplexer
    private let life: NIOLoopBound<ConnectionLife>

    init(
        _ channel: any Channel,
        _ multiplexer: NIOHTTP2Handler.StreamMultiplexer,
        _ life: NIOLoopBound<ConnectionLife>
    ) {
        self.channel = channel
        self.multiplexer = multiplexer
        self.life = life
    }

    func open(_ makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler) -> EventLoopFuture<Bool> {
        self.channel.eventLoop.flatSubmit {
            // The library would keep a request beyond the peer's bound until there is room.
            guard self.life.value.takePlace() else { return self.channel.eventLoop.makeSucceededFuture(false) }
            let life = self.life
            let stream = self.multiplexer.createStreamChannel { stream in
                stream.eventLoop.makeCompletedFuture {
                    let pipeline = stream.pipeline.syncOperations
                    let handler = StreamHandler(ClientExchange(), isServer: false)
                    handler.isLeft = { life.value.isLeft($0) }
                    try pipeline.addHandler(handler)
                    try pipeline.addHandler(try makeHandler(stream), name: "khp")
                }
            }
            stream.whenComplete { result in
                switch result {
                case .success(let stream): stream.closeFuture.whenComplete { _ in life.value.givePlaceBack() }
                case .failure: life.value.givePlaceBack()
                }
            }
            return stream.map { stream in
                if self.channel.isActive { return true }
                // The stream was made in a later turn, and the connection has ended before that: the stream never becomes
                // active, and no handler would get its end.
                stream.close(promise: nil)
                return false
            }
        }
    }

    func retire() {
        self.channel.eventLoop.execute { self.life.value.retire() }
    }
}
