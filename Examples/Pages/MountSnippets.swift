// The code of the page on mounting, kept compiling. scripts/check-docs.py holds the page against it.

import KHPServer
import NIOCore
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
