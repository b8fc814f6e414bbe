// The settings of a listener: where connections come in, how they are protected, and who their clients are.

public import NIOSSL

extension WebSocketListener {
    /// How a listener behaves. All else is the mount's that it serves.
    public struct Configuration: Sendable {
        /// The name that requests and logs know it by; `nil` names it by its address.
        public var name: String?
        /// Where to listen.
        public var address: WebSocketServer.BindAddress
        /// TLS; `nil` serves plain ws. Set `certificateVerification` and trust roots to ask clients for certificates:
        /// ``HandshakeRequest/clientCertificate`` has them. Their chain is verified; the application decides whom a
        /// certificate names, so full verification is verification without a host name here.
        ///
        /// TLS 1.2 at least, unless `minimumTLSVersion` is 1.1 or `maximumTLSVersion` is below 1.2; a minimum of 1.0 is
        /// the default of a `TLSConfiguration`, and does not count. The application protocol (ALPN) is
        /// `http/1.1`, unless another one is switched on.
        public var tls: TLSConfiguration?
        /// The certificates for clients that name one of these hosts (RFC 6066 section 3); all others get that of ``tls``.
        /// A host is a name, or `*.` and a name for all hosts exactly one label below it; case does not count.
        public var tlsHosts: [String: TLSIdentity] = [:]
        /// Reads the name that a client asks TLS for, before TLS does: ``HandshakeRequest/serverName`` has it. Costs each
        /// connection another look at its first bytes.
        public var readsServerName = false
        /// The PROXY protocol header with which each connection begins; off for none. In it a proxy names its client.
        public var proxyProtocol = ProxyProtocol.off
        /// The address that the limits per address count by; `nil` leaves it to the mount's configuration.
        public var clientAddress: WebSocketServer.ClientAddress?
        /// The most connections, open or in a handshake, that have come in here; `nil` sets no bound beside
        /// ``WebSocketServer/Limits/connections``, which bounds those of all listeners together.
        public var connections: Int?

        /// A configuration with the defaults.
        public init(address: WebSocketServer.BindAddress) {
            self.address = address
        }
    }

    /// The PROXY protocol, versions 1 and 2: a proxy that only carries bytes names its client in a header before
    /// everything else, TLS too.
    public enum ProxyProtocol: Sendable, Hashable {
        /// No connection begins with one.
        case off
        /// Each connection begins with one, within ``WebSocketServer/Timeouts/opening``, or is closed without an answer.
        /// So is one of any other peer. The client that is named counts in limits, and is
        /// ``HandshakeRequest/client``.
        /// - Parameter from: the proxies: addresses such as `192.0.2.7` and `2001:db8::7`, ranges such as `10.0.0.0/8`, and
        ///   `unix` for whoever connects to a Unix domain socket. Not empty.
        case required(from: [String])
    }

    /// A certificate with its key, for a host.
    public struct TLSIdentity: Sendable {
        /// The certificate, and those that lead from it to an authority.
        public var certificateChain: [NIOSSLCertificate]
        /// The certificate's key.
        public var privateKey: NIOSSLPrivateKey

        /// A certificate with its key.
        public init(certificateChain: [NIOSSLCertificate], privateKey: NIOSSLPrivateKey) {
            self.certificateChain = certificateChain
            self.privateKey = privateKey
        }
    }

    /// How many connections have come in.
    public struct Counts: Sendable, Hashable {
        /// The ones that are there: open sockets, and those in a handshake.
        public internal(set) var connections = 0
        /// All that have been taken since it listens.
        public internal(set) var accepted = 0
        /// The ones that were refused for want of room.
        public internal(set) var refused = 0
        /// The ones that were closed because a PROXY header was wanted, and none came or a wrong one.
        public internal(set) var withoutProxyHeader = 0
        /// The ones that were closed because they came from no trusted proxy.
        public internal(set) var untrusted = 0
        /// The ones that came while the server was draining.
        public internal(set) var draining = 0
    }
}
