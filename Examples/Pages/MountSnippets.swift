// The code of the page on mounting, kept compiling. scripts/check-docs.py holds the page against it.

import HTTPTypes
import KHPNIOHTTP1
import KHPServer
import NIOCore
import NIOHTTP1
import NIOPosix

func mounted(
    setUpHTTP: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
) async throws {
    let mount = try WebSocketMount {
        Endpoint("/echo") { socket in
            for try await message in socket.messages {
                try await socket.send(message)
            }
        }
    }
    let group = MultiThreadedEventLoopGroup.singleton
    let listener = try await ServerBootstrap(group: group)
        .childChannelInitializer { channel in
            _ = mount.accept(channel, http: setUpHTTP)
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        .bind(host: "127.0.0.1", port: 8080)
        .get()
    try await listener.closeFuture.get()
}

func mountedAlone(_ mount: WebSocketMount) async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    let listener = try await ServerBootstrap(group: group)
        .childChannelInitializer { channel in mount.accept(channel) }
        .bind(unixDomainSocketPath: "/run/echo.sock")
        .get()
    try await listener.closeFuture.get()
}

func behindCodec(
    _ mount: WebSocketMount,
    _ channel: any Channel,
    _ pages: some RemovableChannelHandler & Sendable
) throws {
    let host = channel.pipeline.syncOperations
    try host.configureHTTPServerPipeline(
        withServerUpgrade: (
            upgraders: [mount.upgrader()],
            completionHandler: { context in
                let host = context.pipeline.syncOperations
                host.removeHandler(pages, promise: nil)
            }
        )
    )
    try host.addHandler(pages)
}

func behindAnyCodec(
    _ mount: WebSocketMount,
    _ channel: any Channel,
    _ head: HTTPRequest,
    _ leftover: ByteBuffer
) -> EventLoopFuture<Void> {
    mount.takeOver(channel, after: head, leftover: leftover)
}
