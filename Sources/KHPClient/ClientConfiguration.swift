// The settings of a client: one member for each decision that its user can take.

public import HTTPTypes
public import KHPProtocol
package import KHPWebSocket
public import Logging
public import NIOCore
public import NIOSSL

extension WebSocketClient {
    /// How a client connects. Every member has a safe default.
    public struct Configuration: Sendable {
        /// The wire dialect to speak. Those before RFC 6455 are for servers that speak nothing else: see
        /// ``KHPProtocol/Dialect``.
        public var dialect = Dialect.rfc6455
        /// The dialects to try, in this order and each on a fresh connection, when a server refuses or does not
        /// understand ``dialect``. Empty by default: whoever stands between client and server can make an opening fail,
        /// and so have the weaker dialect spoken.
        public var fallbackDialects: [Dialect] = []
        /// The extensions to ask for, in order of preference: in the opening handshake, and again inside the extended
        /// one where the opening did not negotiate them.
        public var extensions: [any WebSocketExtension] = []
        /// The names of the ``extensions`` that the socket needs. When a server agrees on one of them in neither
        /// handshake, the client closes with 1010 (RFC 6455 section 7.4.1), and the connect fails with
        /// ``WebSocketError/Code/extensionRequired``.
        public var requiredExtensions: Set<String> = []
        /// The extended handshake: the policy on it, and the contents of its request.
        public var extended = ExtendedHandshake()
        /// Additional headers of the opening request. They are sent only to the origin of the URL that was given.
        ///
        /// The connect refuses headers that the handshake sets itself, such as Host, Connection and Sec-WebSocket-*,
        /// with ``WebSocketError/Code/invalidArgument``.
        public var headers: HTTPFields {
            get { self.callerFields.fields }
            set { self.callerFields.fields = newValue }
        }
        /// Kept so that a dump of the configuration shows no credentials.
        private var callerFields = CallerFields()
        /// The Origin field, such as `https://example.com`; needed only to stand in for a page.
        public var origin: String?
        /// How challenges are answered, and the credentials to send unasked.
        public var authentication = Authentication()
        /// The redirects to follow.
        public var redirects = Redirects()
        /// The policy on cookies. By default they are kept in a store of this configuration's own, which its copies
        /// share. A Cookie field in ``headers`` goes before them: then that one is sent and no other.
        public var cookies = CookiePolicy.store(CookieStore())
        /// TLS for wss: trust roots, client certificate and the like. The certificate is verified by default against
        /// the system's trust roots, and has to be for the host of the URL, strictly by RFC 9525: a name is matched
        /// with the DNS names of its subjectAltName alone, an address with the IP addresses there, whatever address or
        /// proxy the connection goes to. `certificateVerification` switches that off, in part or altogether.
        ///
        /// TLS 1.2 at least, unless `minimumTLSVersion` is 1.1 or `maximumTLSVersion` is below 1.2; a minimum of 1.0 is
        /// the default of a `TLSConfiguration`, and does not count. The application protocol (ALPN) is
        /// `http/1.1`, unless another one is switched on.
        public var tls = TLSConfiguration.makeClientConfiguration()
        /// A check of a server's certificate by the application, to pin its key for instance. Called on the event loop,
        /// for each hop, once the chain has been verified and the certificate is known to be for `host`, the URL's; it comes
        /// on top of both and takes the place of neither. What it throws ends the connect with
        /// ``KHPProtocol/WebSocketError/Code/tlsFailed``, before a byte is sent inside TLS. With
        /// `certificateVerification` set to `.none` every connect over TLS fails.
        public var checkCertificate: (@Sendable (_ certificate: NIOSSLCertificate, _ host: String) throws -> Void)?
        /// The choice of a proxy, made anew for each hop. No proxy by default.
        public var proxy = ProxySelection.direct
        /// TLS to a proxy of the kind https. ``tls`` is for servers only: neither its trust roots nor its client
        /// certificate are used here. Verified in the same way, for the host of the proxy's URL.
        public var proxyTLS = TLSConfiguration.makeClientConfiguration()
        /// The place to connect to instead of each URL's host and port, redirects included. Host, Origin, SNI and the
        /// certificate's name still come from the URL. No proxy is used then.
        public var connectTo: ConnectTarget?
        /// Bounds on the time that connects and connections take.
        public var timeouts = Timeouts()
        /// Bounds on the memory that a server can make the client use.
        public var limits = Limits()
        /// Pings and idle time.
        public var keepAlive = KeepAliveConfiguration()
        /// The delivery of messages: whole or in chunks.
        public var delivery = MessageDelivery.messages
        /// Where to log; credentials never appear.
        public var logger: Logger?
        /// Called with each step of each connection, on its event loop: must be quick and must not block.
        public var observe: (@Sendable (_ event: ConnectionEvent, _ connection: ConnectionInfo) -> Void)?
        /// Metrics, traces and the like. Each is told of every connect and may add headers to its requests. None costs a
        /// connect one comparison, and some cost a message nothing.
        public var instruments: [any ClientInstrument] = []
        /// Makes a channel handler that watches or records the bytes of a connection, such as swift-nio-extras'
        /// `NIOWritePCAPHandler`. Called for each connection, those of redirects and reconnects too, on its event loop
        /// once TCP is connected; not for other addresses of the host that were tried and given up.
        ///
        /// The handler stands just above TLS, or above TCP where there is none, so it sees everything in clear,
        /// credentials too. Through a proxy it sees the request for the tunnel first and then the bytes in the tunnel;
        /// where these are TLS, it is removed from the pipeline for the handshake and added again above it. It has to
        /// pass on all that it sees unchanged.
        public var makeTap: (@Sendable (_ channel: any Channel) -> (any ChannelHandler & RemovableChannelHandler))?
        /// Makes a connection in place of dialling one; `nil`, but in tests of endpoints.
        package var dialInstead: (@Sendable (_ eventLoop: any EventLoop) async throws -> Dialled)?
        /// Finds the addresses of names; the system's resolver, but in tests.
        package var names = HostNames.system
        /// Finds the addresses of one name, on a thread that may block.
        package var lookUp: HostNames.LookUp {
            get { self.names.lookUp }
            set { self.names = HostNames(lookUp: newValue) }
        }
        /// Another protocol, which a server may choose in TLS.
        package var streams: (any ClientStreamProtocol)?
        /// Watches the shell; `nil`, but in tests.
        package var hooks: ShellHooks?

        /// The defaults.
        public init() {}
    }

    /// The place that is connected to where the URL does not name it.
    public enum ConnectTarget: Sendable, Hashable {
        /// A host name or an address, without brackets, and a port.
        case host(String, port: Int)
        /// A Unix domain socket.
        case unixDomainSocket(path: String)
        /// A socket between a virtual machine and its host, or another machine there, on Linux and macOS: the context
        /// identifier, 2 for the host, and the port there. Connections over HTTP/2 are not shared then.
        case virtualMachine(contextID: UInt32, port: UInt32)
    }

    /// The part that a client takes in the extended handshake, and the request that it sends there.
    public struct ExtendedHandshake: Sendable {
        /// Asks for the extended handshake, requires it, or does without.
        public var policy = ExtendedHandshakePolicy.preferred
        /// The method of the request.
        public var method = "GET"
        /// The body of the request. It is announced with `Expect: 100-continue` and held back until the server answers
        /// 100, or has said nothing for a second.
        public var body: ByteBuffer?
        /// Further headers of the request. They go to the origin of the URL that was given, not on to others.
        ///
        /// A header that ``Configuration/headers`` may not hold is refused here too, but for Host: it may stand here
        /// once, and names the host and port of the URL.
        public var headers: HTTPFields {
            get { self.callerFields.fields }
            set { self.callerFields.fields = newValue }
        }
        /// Kept so that a dump of the configuration shows no credentials.
        private var callerFields = CallerFields()
        /// Speaks to a Kaazing gateway as Kaazing's own clients do: asks with `.kl=Y` in the query of each opening
        /// request, waits for the balancer messages, and takes a response as complete when an empty message ends it. A
        /// gateway's balancer then sends the client where it wants it, within ``Configuration/redirects``.
        ///
        /// Off by default: gateways speak the extended handshake as specified to everyone who does not ask so. A server
        /// that does not know `.kl=Y` but speaks the extended handshake cannot be used with it. Means nothing where
        /// ``policy`` is ``KHPProtocol/ExtendedHandshakePolicy/off``.
        public var kaazingLegacy = false

        /// The defaults: asked for, a GET without a body.
        public init() {}
    }

    /// How a client authenticates itself.
    public struct Authentication: Sendable {
        /// Answers challenges (401 in either handshake, 407 of a proxy). Without one a challenge fails the connect with
        /// ``WebSocketError/Code/authenticationFailed``.
        public var challengeHandler: (any ChallengeHandler)?
        /// `true` to answer a server that has asked for Digest and then asks for Basic only, or for Digest
        /// with a weaker algorithm. Somebody on the way could have taken the stronger challenge out, so a connect fails
        /// then with ``WebSocketError/Code/authenticationFailed``.
        public var allowsWeakerScheme = false
        /// Credentials to send without being asked, each to its origin alone. What cannot be sent unasked is refused by
        /// the connect with ``WebSocketError/Code/invalidArgument``.
        public var preemptive: [PreemptiveCredentials] = []

        /// The defaults: no challenge is answered, nothing is sent unasked, no weaker scheme.
        public init() {}
    }

    /// The redirects that a client follows: 300, 301, 302, 303 and 307, in either handshake.
    public struct Redirects: Sendable {
        /// A rule for the targets of redirects.
        public typealias Policy = RedirectPolicy

        /// The rule for acceptable targets, compared with the URL that was given.
        public var policy = Policy.always
        /// The most redirects that one connect follows, over both handshakes.
        public var limit = 5
        /// `true` to follow 308 as RFC 9110's Permanent Redirect; the specification closes on it.
        public var follows308 = false
        /// `true` when a redirect may lead from wss to ws.
        public var allowsLeavingTLS = false
        /// Chooses one of the alternatives of a 300, given as the server wrote them, relative or not. `nil` leaves the
        /// choice to the client, which takes the first usable one.
        public var choose: (@Sendable (_ alternatives: [String]) async -> String?)?
        /// Decides about a redirect that all else allows, once its host is resolved; `false` ends the connect. A name
        /// cannot mean another address afterwards (DNS rebinding): the client dials these addresses, now and when it
        /// meets the host again in this connect. They are empty where a proxy resolves the name. Has to answer within
        /// ``Timeouts/total``.
        public var permit: (@Sendable (_ step: RedirectStep, _ addresses: [SocketAddress]) async -> Bool)?

        /// The defaults: all targets but from wss to ws, five hops.
        public init() {}
    }
}
