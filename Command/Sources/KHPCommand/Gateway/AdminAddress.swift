import ArgumentParser

/// The admin address as `khp gateway ctl` takes it: `HOST:PORT`, `unix:PATH`, or `https://HOST:PORT` where it has TLS.
struct AdminAddress: Sendable, Equatable {
    var address: TunnelAddress
    var usesTLS: Bool

    init(argument: String) throws(ValidationError) {
        let secure = "https://"
        let plain = "http://"
        self.usesTLS = argument.lowercased().hasPrefix(secure)
        var rest = argument[...]
        if self.usesTLS {
            rest = rest.dropFirst(secure.count)
        } else if argument.lowercased().hasPrefix(plain) {
            rest = rest.dropFirst(plain.count)
        }
        if rest.hasSuffix("/"), rest.count < argument.count { rest = rest.dropLast() }
        self.address = try TunnelAddress(argument: String(rest))
        if case .unix = self.address, rest.count < argument.count {
            throw ValidationError("a Unix socket is written unix:PATH, without http:// before it")
        }
    }
}
