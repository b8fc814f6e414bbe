// A listener: an address, its TLS, and the proxies that are trusted to name the client's address.

package import KHPServer

extension GatewayConfiguration {
    /// A bound address. Every service is reached through all of them, unless it names some.
    package struct Listener: Sendable, Equatable {
        package var name: String
        package var listen: ListenAddress
        /// The name by which clients reach this listener, as `wss://gw.example.com`: without a path. `nil` makes it from
        /// the address.
        package var publicURL: String?
        /// `nil` serves plain ws.
        package var tls: TLS?
        /// The proxies whose PROXY header and forwarded fields count.
        package var trust: [TrustedProxy] = []
        /// Demands a PROXY header, v1 or v2, before TLS; peers outside ``trust`` are closed without a byte.
        package var requiresProxyHeader = false
        package var forwarded = ForwardedField.off
        /// Takes the client's common name from the PROXY header of a proxy that ends TLS.
        package var trustsClientName = false
        /// How many connections at most, handshakes included.
        package var connections = 10_000

        package init(name: String, listen: ListenAddress) {
            self.name = name
            self.listen = listen
        }

        /// `true` where some peer that can come here is one of ``trust``.
        var canTrust: Bool {
            switch self.listen {
            case .unix: self.trust.contains(.unix)
            case .host: self.trust.contains { $0 != .unix }
            }
        }

        /// `true` where clients have addresses: their own, or those that a proxy names.
        var knowsAddresses: Bool {
            if case .unix = self.listen { return self.requiresProxyHeader || self.forwarded != .off }
            return true
        }
    }

    /// A peer whose word about the client's address counts.
    package enum TrustedProxy: Sendable, Hashable, CustomStringConvertible {
        case network(AddressRange)
        /// All peers of a Unix domain socket: they have no addresses, and the mode of its file says who they are.
        case unix

        /// - Parameter text: an address, a range of them or `unix`; anything else gives `nil`.
        package init?(_ text: String) {
            if text == "unix" {
                self = .unix
            } else if let network = AddressRange(text) {
                self = .network(network)
            } else {
                return nil
            }
        }

        /// As it was written.
        package var description: String {
            switch self {
            case .network(let network): network.description
            case .unix: "unix"
            }
        }
    }

    /// The field in which trusted proxies name the client: one, since two may contradict each other.
    package enum ForwardedField: String, Sendable, CaseIterable {
        case off
        case xForwardedFor = "x-forwarded-for"
        case forwarded
    }

    /// The TLS of a listener or of the admin address.
    package struct TLS: Sendable, Equatable {
        package enum ClientAuthentication: String, Sendable, CaseIterable {
            case none
            case optional
            case required
        }

        package enum Version: String, Sendable, CaseIterable {
            case v1_2 = "1.2"
            case v1_3 = "1.3"
        }

        /// A PEM chain, the own certificate first.
        package var certificate: String
        /// The PEM key of the first certificate.
        package var key: String
        package var clientAuthentication = ClientAuthentication.none
        /// PEM certificates that client certificates are verified against.
        package var clientCA: String?
        package var minimum = Version.v1_2

        package init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }
}
