// The settings of endpoints, for any listener of their connections: one member for each decision that their user can take.

public import HTTPTypes
public import KHPProtocol
package import KHPWebSocket
public import Logging

extension WebSocketMount {
    /// The settings of a mount's endpoints, and the limits of their clients. The options of an endpoint may replace some of
    /// them. Each member is as the one of ``WebSocketServer/Configuration`` that has its name.
    public struct Configuration: Sendable {
        /// Bounds on the time that handshakes and connections take.
        public var timeouts = WebSocketServer.Timeouts()
        /// Bounds on the memory and work that clients can cost. A connection counts among
        /// ``WebSocketServer/Limits/connections`` once its request is an endpoint's, and among
        /// ``WebSocketServer/Limits/pendingHandshakes`` from its beginning until then.
        public var limits = WebSocketServer.Limits()
        /// Pings and idle time.
        public var keepAlive = KeepAliveConfiguration()
        /// The hosts that requests may name; `nil` allows any.
        public var allowedHosts: [String]?
        /// The address that the limits per address count by.
        public var clientAddress = WebSocketServer.ClientAddress.peer
        /// The time that a graceful shutdown gives connections to close and handlers to return.
        public var gracefulShutdownTimeout: Duration = .seconds(10)
        /// The time over which a graceful shutdown closes open sockets.
        public var drainDuration: Duration = .zero
        /// Responds to requests that are no WebSocket requests, on connections that no other framework shares.
        public var respondToHTTP: (@Sendable (_ request: HTTPRequest) async throws -> HandshakeResponse?)?
        /// Serves requests that are no WebSocket requests, on connections that no other framework shares.
        public var serveHTTP: (@Sendable (_ exchange: HTTPExchange) async throws -> Void)?
        /// Bounds on what ``serveHTTP`` and ``respondToHTTP`` can cost.
        public var httpLimits = WebSocketServer.HTTPLimits()
        /// Where to log.
        public var logger: Logger?
        /// Called with each step of each connection, on its event loop: must be quick and must not block. A connection that
        /// is handed on to another framework's HTTP takes no step.
        public var observe: (@Sendable (_ event: ConnectionEvent, _ connection: ConnectionInfo) -> Void)?
        /// Metrics, traces and the like.
        public var instruments: [any ServerInstrument] = []
        /// Another protocol, which clients may choose in TLS.
        package var streams: (any StreamProtocol)?
        /// Watches the shell; `nil`, but in tests.
        package var hooks: ShellHooks?

        /// A configuration with the defaults.
        public init() {}
    }
}
