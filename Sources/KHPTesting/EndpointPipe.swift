public import KHPClient
public import KHPServer
import KHPWebSocket
public import NIOCore

/// Endpoints without a listener: clients reach them in memory. All that stands between a client and an endpoint is the
/// product's own, so that a test sees origins, authentication, `respond`, `context:` and the handler at work.
///
/// ```swift
/// let pipe = try EndpointPipe {
///     Endpoint("/rooms/{id}") { socket, request in
///         let id = try request.parameters.require("id", as: Int.self)
///         try await socket.send("Welcome to room \(id).")
///     }
/// }
/// try await pipe.client().withConnection(
///     to: "ws://example.com/rooms/7"
/// ) { socket in
///     let welcome = try await socket.receive()
///     #expect(welcome == .text("Welcome to room 7."))
/// }
/// await pipe.shutDown()
/// ```
///
/// No socket is opened, no name is resolved, and there is no TLS. Tasks, times and limits are as on a server; a client is
/// told of a refusal by `WebSocketError.response`.
public final class EndpointPipe: Sendable {
    private let server: InMemoryServer

    /// Endpoints that are written out.
    ///
    /// - Parameters:
    ///   - configuration: the configuration of the server; its address and its TLS are of no use here.
    ///   - endpoints: the endpoints.
    /// - Throws: `WebSocketError.Code.invalidArgument` for endpoints that a server would not start with.
    public convenience init(
        configuration: WebSocketServer.Configuration = .init(address: .hostname("127.0.0.1", port: 0)),
        @EndpointBuilder endpoints: () -> [Endpoint]
    ) throws {
        try self.init(configuration: configuration, endpoints: endpoints())
    }

    /// The endpoints of a list; otherwise as those that are written out.
    public init(
        configuration: WebSocketServer.Configuration = .init(address: .hostname("127.0.0.1", port: 0)),
        endpoints: [Endpoint]
    ) throws {
        self.server = try InMemoryServer(configuration: configuration, endpoints: endpoints)
    }

    /// A client all of whose connections lead to these endpoints, whatever host a URL names, those of redirects too.
    ///
    /// - Parameters:
    ///   - configuration: the configuration of the client; URLs are ws, and no proxy is used.
    ///   - peer: the client's address as the endpoints see it; `nil` for a client without one.
    public func client(
        _ configuration: WebSocketClient.Configuration = WebSocketClient.Configuration(),
        from peer: SocketAddress? = nil
    ) -> WebSocketClient {
        var configuration = configuration
        configuration.dialInstead = { [server] eventLoop in
            try await eventLoop.submit {
                let ends = MemoryChannel.pair(on: eventLoop, client: peer)
                let dialled = try Dialled(taking: ends.client)
                server.accept(ends.server)
                ends.server.open()
                ends.client.open()
                return dialled
            }
            .get()
        }
        return WebSocketClient(configuration: configuration)
    }

    /// Shuts down as a server does: open sockets are closed with 1001, handlers may end, values are released. Returns when
    /// all of that has happened, or after ``KHPServer/WebSocketServer/Configuration/gracefulShutdownTimeout``.
    public func shutDown() async {
        await self.server.drain()
    }
}
