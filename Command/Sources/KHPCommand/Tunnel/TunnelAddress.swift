import ArgumentParser

/// The address that `khp tunnel` listens on: `HOST:PORT`, `[IPv6]:PORT` or `unix:PATH`.
enum TunnelAddress: Sendable, Equatable {
    case tcp(host: String, port: Int)
    case unix(path: String)

    init(argument: String) throws(ValidationError) {
        if argument.hasPrefix("unix:") {
            let path = String(argument.dropFirst("unix:".count))
            guard !path.isEmpty else { throw ValidationError("unix: needs the path of a socket behind it") }
            self = .unix(path: path)
            return
        }
        guard let colon = argument.lastIndex(of: ":"), let port = UInt16(argument[argument.index(after: colon)...]),
            let host = Self.host(argument[..<colon])
        else {
            throw ValidationError("it has to be HOST:PORT, [IPv6]:PORT or unix:PATH, such as 127.0.0.1:5672")
        }
        self = .tcp(host: host, port: Int(port))
    }

    /// The host without brackets, which an IPv6 address needs.
    private static func host(_ text: Substring) -> String? {
        if text.hasPrefix("["), text.hasSuffix("]"), text.count > 2 { return String(text.dropFirst().dropLast()) }
        return text.isEmpty || text.contains(where: { ":[]".contains($0) }) ? nil : String(text)
    }
}

extension TunnelAddress: CustomStringConvertible {
    /// As it is typed.
    var description: String {
        switch self {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }
}
