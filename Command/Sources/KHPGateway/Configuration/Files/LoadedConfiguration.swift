// A configuration with the contents of all files that it names: everything that a gateway needs to run, and nothing that
// it has to read later.

package import NIOSSL

package struct LoadedConfiguration: Sendable {
    package var configuration: GatewayConfiguration
    /// By their names.
    package var realms: [String: RealmVerifier] = [:]
    /// The TLS of listeners that have some, by their names.
    package var listenerTLS: [String: TLSConfiguration] = [:]
    package var adminTLS: TLSConfiguration?
    package var probesTLS: TLSConfiguration?
    /// The TLS to the backends of pools that have secure ones, by the pools' names. Names are verified against the host of
    /// the backend, or `tls.serverName`.
    package var backendTLS: [String: TLSConfiguration] = [:]
    /// The TLS for the questions of balancers with https, by the services' names.
    package var balancerTLS: [String: TLSConfiguration] = [:]
    /// The seconds since 1970 at which the certificates of listeners end, by the listeners' names.
    package var certificateEnds: [String: Int64] = [:]
    /// SHA-256 over the contents of the configuration's file and of all that it names, in hexadecimal: where it is the
    /// same, nothing has changed.
    package var hash = ""
    /// The configuration in force as YAML: defaults filled in, paths whole, secrets as bullets.
    package var effectiveText: String
    /// Seconds since 1970.
    var now: @Sendable () -> Int64

    init(_ configuration: GatewayConfiguration, now: @escaping @Sendable () -> Int64) {
        self.configuration = configuration
        self.effectiveText = configuration.effectiveText
        self.now = now
    }
}
