// A server without a listener, for connections that are made in memory: its endpoints, limits and shutdown are those of
// the real one.

package import NIOCore
import NIOPosix

package struct InMemoryServer: Sendable {
    private let state: ServerState

    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints that a server would not start with.
    package init(configuration: WebSocketServer.Configuration, endpoints: [Endpoint]) throws {
        var configuration = configuration
        configuration.tls = nil
        self.state = try ServerState(configuration: configuration, endpoints: endpoints)
    }

    /// Takes a connection that is not up yet. Called on its event loop. One that is refused is closed.
    package func accept(_ channel: any Channel) {
        _ = WebSocketServer.setUp(channel, state: self.state, tls: nil)
    }

    /// Closes all connections, as the end of a server's run does, and waits for their handlers.
    package func drain() async {
        await self.state.drain(on: MultiThreadedEventLoopGroup.singleton.any())
    }
}
