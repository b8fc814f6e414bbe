// Addresses as a configuration writes them.

/// The address of a listener.
package enum ListenAddress: Sendable, Hashable, CustomStringConvertible {
    /// A host name or address without brackets, and a port; port 0 takes a free one.
    case host(String, port: Int)
    /// The path of a Unix domain socket.
    case unix(path: String)

    /// As in the file.
    package var description: String {
        switch self {
        case .host(let host, let port): "\(HostAndPort(host, port))"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// `true` where the system chooses the port, so that two of them are two places.
    package var isOfAnyPort: Bool {
        if case .host(_, port: 0) = self { true } else { false }
    }

    /// True where no other host can connect.
    package var isLocal: Bool {
        switch self {
        case .unix: true
        case .host(let host, _): host == "localhost" || host == "::1" || host.hasPrefix("127.")
        }
    }
}

/// `host:port`, with brackets around an IPv6 address.
package struct HostAndPort: Sendable, Hashable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(_ host: String, _ port: Int) {
        self.host = host
        self.port = port
    }

    package var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}

/// A path that a service is found by.
package struct PathPattern: Sendable, Hashable, CustomStringConvertible {
    /// Begins with `/`; for a prefix it ends with one.
    package var path: String
    /// `/a/*`: every path that begins so.
    package var isPrefix: Bool

    package init(path: String, isPrefix: Bool = false) {
        self.path = path
        self.isPrefix = isPrefix
    }

    package var description: String { self.isPrefix ? self.path + "*" : self.path }
}
