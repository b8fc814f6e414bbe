// A server without a listener, for connections that are made in memory: its endpoints, limits and shutdown are those of
// the real one.

package import NIOCore
package import NIOSSL

package struct InMemoryServer: Sendable {
    package let mount: WebSocketMount
    /// The listener's, where its connections begin with a PROXY header.
    private let entrance: Entrance?

    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints that a server would not start with.
    package init(configuration: WebSocketServer.Configuration, endpoints: [Endpoint]) throws {
        self.mount = try WebSocketMount(configuration: configuration.mount, endpoints: endpoints)
        let listener = configuration.listener
        self.entrance =
            listener.proxyProtocol == .off ? nil : try self.mount.state.entrance(of: listener, named: "in memory")
    }

    /// Takes a connection that is not up yet. Called on its event loop. One that is refused is closed.
    /// - Parameter tls: the TLS that it speaks first; `nil` for none.
    package func accept(_ channel: any Channel, tls: NIOSSLContext? = nil) {
        _ = self.mount.state.setUp(channel, tls == nil ? .none : .tls, tls: tls, entrance: self.entrance)
    }

    /// How many connections have not gone: their channels, tasks and contexts.
    package var connections: Int { self.mount.connections }

    /// Closes all connections, as the end of a server's run does, and waits for their handlers.
    package func drain() async {
        await self.mount.drain()
    }
}
