// The settings of a server: one member for each decision that its user can take.

public import HTTPTypes
public import KHPProtocol
package import KHPWebSocket
public import Logging
public import NIOCore
public import NIOSSL

extension WebSocketServer {
    /// Where a server listens.
    public enum BindAddress: Sendable, Hashable, CustomStringConvertible {
        /// A host name or address literal, and a port; port 0 takes a free one.
        case hostname(String, port: Int)
        /// A Unix domain socket.
        case unixDomainSocket(path: String)
        /// A socket that is bound already, and perhaps listens: one that a service manager hands over, or another process.
        /// The listener owns the descriptor from then on, and closes it.
        case boundSocket(NIOBSDSocket.Handle)

        /// `host:port`, the path, or the descriptor.
        public var description: String {
            switch self {
            case .hostname(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
            case .unixDomainSocket(let path): path
            case .boundSocket(let descriptor): "descriptor \(descriptor)"
            }
        }
    }

    /// The settings of a server. The options of an endpoint may replace some of them.
    public struct Configuration: Sendable {
        /// Where to listen.
        public var address: BindAddress {
            get { self.listener.address }
            set { self.listener.address = newValue }
        }
        /// TLS; `nil` serves plain ws. See ``WebSocketListener/Configuration/tls``.
        public var tls: TLSConfiguration? {
            get { self.listener.tls }
            set { self.listener.tls = newValue }
        }
        /// The certificates for clients that name one of these hosts. See ``WebSocketListener/Configuration/tlsHosts``.
        public var tlsHosts: [String: WebSocketListener.TLSIdentity] {
            get { self.listener.tlsHosts }
            set { self.listener.tlsHosts = newValue }
        }
        /// The PROXY protocol header with which each connection begins; off for none. In it a proxy names its client.
        public var proxyProtocol: WebSocketListener.ProxyProtocol {
            get { self.listener.proxyProtocol }
            set { self.listener.proxyProtocol = newValue }
        }
        /// Bounds on the time that handshakes and connections take.
        public var timeouts: Timeouts {
            get { self.mount.timeouts }
            set { self.mount.timeouts = newValue }
        }
        /// Bounds on the memory and work that clients can cost; endpoints can have some of their own.
        public var limits: Limits {
            get { self.mount.limits }
            set { self.mount.limits = newValue }
        }
        /// Pings and idle time.
        public var keepAlive: KeepAliveConfiguration {
            get { self.mount.keepAlive }
            set { self.mount.keepAlive = newValue }
        }
        /// The hosts that requests may name in their Host field; `nil` allows any, others get 421. Each is a name, an IPv4
        /// address or an IPv6 address in brackets, with a port or, for any port, without. A list protects against DNS
        /// rebinding: a listener on a loopback address should have one, such as `["localhost", "127.0.0.1", "[::1]"]`.
        public var allowedHosts: [String]? {
            get { self.mount.allowedHosts }
            set { self.mount.allowedHosts = newValue }
        }
        /// The address that the limits per address count by. Behind a proxy all clients come from one address: unless told
        /// otherwise here, one of them that guesses passwords locks all of them out for a while.
        public var clientAddress: ClientAddress {
            get { self.mount.clientAddress }
            set { self.mount.clientAddress = newValue }
        }
        /// The time that a graceful shutdown gives connections to close, with all that was sent before, and handlers to
        /// return; then it drops the connections and cancels the handlers' tasks. A handler that ignores its cancellation
        /// for a second is left behind, and the log says how many are.
        public var gracefulShutdownTimeout: Duration {
            get { self.mount.gracefulShutdownTimeout }
            set { self.mount.gracefulShutdownTimeout = newValue }
        }
        /// The time over which a graceful shutdown closes open sockets, evenly, so that clients which come again at once do
        /// not all come together; by default all are closed at once. ``gracefulShutdownTimeout`` begins after it.
        public var drainDuration: Duration {
            get { self.mount.drainDuration }
            set { self.mount.drainDuration = newValue }
        }
        /// Responds to requests that are no WebSocket requests. Without it, and where it returns `nil`, they get the
        /// server's own 404, 405 or 426. Errors that it throws are answered as those of an endpoint's `respond`.
        ///
        /// It sees only requests that HTTP has nothing against (RFC 9112 sections 3.2 and 6.3) and, where `allowedHosts`
        /// is set, that name one of them; their body is not read. The status of its response is 200 to 999, or it becomes
        /// 500. One that has given none within ``Timeouts/opening`` is answered for with 503.
        ///
        /// This is the simple form of ``serveHTTP``, with the same ``HTTPLimits/exchanges``: the connection ends after the
        /// response.
        public var respondToHTTP: (@Sendable (_ request: HTTPRequest) async throws -> HandshakeResponse?)? {
            get { self.mount.respondToHTTP }
            set { self.mount.respondToHTTP = newValue }
        }
        /// Serves requests that are no WebSocket requests, with their body and the response's streamed; the connection is
        /// kept for more of them, and for a WebSocket after them. Takes the place of ``respondToHTTP``, which is the simple
        /// form: one response, and the end of the connection.
        ///
        /// It sees only requests that HTTP has nothing against (RFC 9112 sections 3.2 and 6.3) and, where `allowedHosts`
        /// is set, that name one of them. ``httpLimits`` bounds them.
        public var serveHTTP: (@Sendable (_ exchange: HTTPExchange) async throws -> Void)? {
            get { self.mount.serveHTTP }
            set { self.mount.serveHTTP = newValue }
        }
        /// Bounds on what ``serveHTTP`` and ``respondToHTTP`` can cost.
        public var httpLimits: HTTPLimits {
            get { self.mount.httpLimits }
            set { self.mount.httpLimits = newValue }
        }
        /// Where to log: the address and wrong credentials at `info`; refusals for want of room and addresses with too
        /// many wrong answers at `notice`; closures that throw and answers that cannot be sent at `error`; failed
        /// handshakes at `debug`. Credentials never appear.
        public var logger: Logger? {
            get { self.mount.logger }
            set { self.mount.logger = newValue }
        }
        /// Called with each step of each connection, on its event loop: must be quick and must not block.
        public var observe: (@Sendable (_ event: ConnectionEvent, _ connection: ConnectionInfo) -> Void)? {
            get { self.mount.observe }
            set { self.mount.observe = newValue }
        }
        /// Metrics, traces and the like. Each is told of every connection, and may run the application's code in a
        /// context of its own. None costs a connection one comparison, and some cost a message nothing.
        public var instruments: [any ServerInstrument] {
            get { self.mount.instruments }
            set { self.mount.instruments = newValue }
        }
        /// Another protocol, which clients may choose in TLS.
        package var streams: (any StreamProtocol)? {
            get { self.mount.streams }
            set { self.mount.streams = newValue }
        }
        /// Watches the shell; `nil`, but in tests.
        package var hooks: ShellHooks? {
            get { self.mount.hooks }
            set { self.mount.hooks = newValue }
        }
        /// The settings of the listener.
        public var listener: WebSocketListener.Configuration
        /// The settings that have nothing to do with listening.
        public var mount = WebSocketMount.Configuration()

        /// A configuration with the defaults.
        public init(address: BindAddress) {
            self.listener = WebSocketListener.Configuration(address: address)
        }
    }
}
