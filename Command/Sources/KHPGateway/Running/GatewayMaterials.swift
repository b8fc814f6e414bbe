// All that a gateway needs to run: its configuration with the contents of the files that this names, made ready. A start, a
// check and a reload read the same, so that a reload takes nothing that a start refuses.

package import KHPProtocol
package import KHPServer
package import NIOSSL

package struct GatewayMaterials: Sendable {
    /// Told of each proof that a client has given.
    package typealias Observe = @Sendable (AuthenticationOutcome) -> Void

    package var configuration: GatewayConfiguration
    /// Over the contents of the file and of all files that it names, in hexadecimal digits.
    package var hash: String
    /// The configuration in force, for operators: defaults filled in, secrets left out.
    package var effective: String
    /// Each a sentence: of what is taken and may not be meant so.
    package var warnings: [String] = []
    /// By the listener's name.
    package var listenerTLS: [String: TLSConfiguration] = [:]
    package var adminTLS: TLSConfiguration?
    package var probesTLS: TLSConfiguration?
    /// By the pool's name, where it has backends of TLS.
    package var backendTLS: [String: TLSConfiguration] = [:]
    /// By the service's name, where it is a balancer that asks its members.
    package var balancerTLS: [String: TLSConfiguration] = [:]
    /// The ends of the listeners' certificates, in seconds since 1970.
    package var certificateEnds: [String: Int64] = [:]
    /// Asks the clients of a service who they are; `nil` for a service without realms.
    package var authentication: @Sendable (GatewayConfiguration.Service, @escaping Observe) -> ServerAuthentication? =
        { _, _ in nil }
    /// A principal of an earlier proof, with the roles that the files give it now; `nil` where it has gone from them.
    package var renew: @Sendable (Principal) -> Principal? = { $0 }

    package init(_ configuration: GatewayConfiguration, hash: String = "", effective: String = "") {
        self.configuration = configuration
        self.hash = hash
        self.effective = effective
    }

    package init(_ loaded: LoadedConfiguration) {
        self.init(loaded.configuration, hash: loaded.hash, effective: loaded.effectiveText)
        self.listenerTLS = loaded.listenerTLS
        self.adminTLS = loaded.adminTLS
        self.probesTLS = loaded.probesTLS
        self.backendTLS = loaded.backendTLS
        self.balancerTLS = loaded.balancerTLS
        self.certificateEnds = loaded.certificateEnds
        self.authentication = { loaded.authentication(of: $0, observe: $1) }
        let realms = loaded.realms
        self.renew = { principal in principal.realm.flatMap { realms[$0] }?.renewed(principal) }
    }
}
