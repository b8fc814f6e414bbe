// All that a gateway needs to run beside its configuration: the contents of the files that this names, made ready. A start, a
// check and a reload make the same of them, so that a reload takes nothing that a start refuses.

package import KHPServer
package import NIOSSL

package struct GatewayMaterials: Sendable {
    package var configuration: GatewayConfiguration
    /// Of the file as it was read, in hexadecimal digits.
    package var hash: String
    /// Tells the contents of all files that it names from others.
    package var contents = ""
    /// The configuration in force, for operators: defaults filled in, secrets left out.
    package var effective: String
    /// By the listener's name.
    package var listenerTLS: [String: TLSConfiguration] = [:]
    package var adminTLS: TLSConfiguration?
    /// By the pool's name, where it has backends of TLS.
    package var backendTLS: [String: NIOSSLContext] = [:]
    /// Asks the clients of a service who they are; `nil` for a service without realms.
    package var authentication: @Sendable (GatewayConfiguration.Service) throws -> ServerAuthentication? = { _ in nil }

    package init(_ configuration: GatewayConfiguration, hash: String = "", effective: String = "") {
        self.configuration = configuration
        self.hash = hash
        self.effective = effective
    }
}
