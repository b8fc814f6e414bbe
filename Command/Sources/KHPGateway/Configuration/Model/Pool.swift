// The brokers behind a service, the choice among them, and the ways to notice that one is away.

extension GatewayConfiguration {
    package struct Pool: Sendable, Equatable {
        package enum Balance: String, Sendable, CaseIterable {
            case roundRobin = "round-robin"
            case leastConnections = "least-connections"
            case sourceHash = "source-hash"
            case principalHash = "principal-hash"
        }

        package enum ProxyHeader: String, Sendable, CaseIterable {
            case off
            case v1
            case v2
        }

        package enum OnDown: String, Sendable, CaseIterable {
            /// Sessions live until their sockets end.
            case keep
            /// Sessions end with the backend's fall.
            case close
        }

        package var name: String
        package var backends: [Backend] = []
        package var tls = BackendTLS()
        package var balance = Balance.leastConnections
        /// `nil` checks nothing.
        package var check: Check? = Check()
        /// `nil` ejects nobody.
        package var eject: Ejection? = Ejection()
        /// For all tries together.
        package var connectTimeout = Duration.seconds(5)
        /// The header that names the client to the backend.
        package var proxyHeader = ProxyHeader.off
        /// How many for each backend; `nil` has no bound.
        package var connections: Int?
        package var onDown = OnDown.keep

        package init(name: String) {
            self.name = name
        }
    }

    package struct Backend: Sendable, Hashable {
        package enum Scheme: String, Sendable, CaseIterable {
            case tcp
            case tls
            case unix
            case ws
            case wss
        }

        package var scheme: Scheme
        /// Without brackets; empty for `unix`.
        package var host: String
        /// 0 for `unix`.
        package var port: Int
        /// The socket's path for `unix`, path and query for `ws` and `wss`, otherwise empty.
        package var path: String
        package var weight = 1
        /// Serves only while no other backend can.
        package var isBackup = false

        package init(scheme: Scheme, host: String = "", port: Int = 0, path: String = "") {
            self.scheme = scheme
            self.host = host
            self.port = port
            self.path = path
        }

        /// True where TLS goes to it.
        package var isSecure: Bool { self.scheme == .tls || self.scheme == .wss }

        /// True where it speaks WebSocket.
        package var isWebSocket: Bool { self.scheme == .ws || self.scheme == .wss }

        /// The URL without weight and backup: what a backend is known by in logs, metrics and across reloads.
        package var url: String {
            switch self.scheme {
            case .unix: "unix:\(self.path)"
            case .tcp, .tls, .ws, .wss: "\(self.scheme.rawValue)://\(HostAndPort(self.host, self.port))\(self.path)"
            }
        }
    }

    /// The TLS to the backends of `tls` and `wss`.
    package struct BackendTLS: Sendable, Equatable {
        /// PEM authorities; `nil` takes the system's.
        package var ca: String?
        /// The gateway's own certificate for brokers that ask.
        package var certificate: String?
        package var key: String?
        /// Sent as SNI and verified; `nil` takes the backend's host.
        package var serverName: String?
        package var verifies = true

        package init() {}
    }

    /// The active check of each backend.
    package struct Check: Sendable, Equatable {
        /// The header that the check itself sends where the pool has one.
        package enum ProxyHeader: String, Sendable, CaseIterable {
            /// Names the gateway's own addresses.
            case own
            /// v2 LOCAL, v1 UNKNOWN.
            case local
            case off
        }

        package var every = Duration.seconds(5)
        package var timeout = Duration.seconds(2)
        /// Successes in a row that bring a backend back.
        package var rise = 2
        /// Failures in a row that take it out.
        package var fall = 3
        package var send: [UInt8] = []
        /// The beginning of the answer; empty is content with the connection.
        package var expect: [UInt8] = []
        package var proxyHeader = ProxyHeader.own

        package init() {}
    }

    /// The passive check: failures of clients' own connections take a backend out for a while, as far as no client can bring
    /// them about.
    package struct Ejection: Sendable, Equatable {
        /// Failures in a row.
        package var failures = 5
        /// The first ejection's time; the n-th lasts n times as long, five minutes at most.
        package var lasts = Duration.seconds(30)
        /// The share of the pool that may be out at once, in percent.
        package var atMost = 50

        package init() {}
    }
}
