// The proofs that a service accepts, and the principal that comes of each.

extension GatewayConfiguration {
    /// The realms whose clients are asked for another token before theirs ends.
    var revalidatedRealms: Set<String> {
        Set(self.realms.filter { $0.jwt?.onExpiry == .revalidate }.map(\.name))
    }

    /// A chain of verifiers under one name.
    package struct Realm: Sendable, Equatable {
        package var name: String
        /// The schemes that clients are challenged with; empty where certificates alone count.
        package var schemes: [Scheme] = []
        /// A file of passwords' hashes, digest keys and tokens.
        package var users: String?
        /// A file of `role: name name …`.
        package var groups: String?
        /// A file of keys that seal digest nonces, one a line in base64; `nil` takes a random one for the process.
        package var nonceKeys: String?
        package var nonceLifetime = Duration.seconds(30)
        package var wrongAnswers = WrongAnswers()
        /// The proofs that may wait to be looked at: password hashes are slow on purpose.
        package var hashQueue = 256
        /// The places where a token may be, in this order.
        package var token: [TokenPlace] = [.header]
        package var jwt: JWT?
        package var certificate: Certificate?

        package init(name: String) {
            self.name = name
        }
    }

    /// A way to challenge; with `application-` before it as Kaazing's clients expect it.
    package struct Scheme: Sendable, Hashable {
        package enum Name: String, Sendable, CaseIterable {
            case basic
            case digest
            case bearer
            case token
        }

        package var name: Name
        package var isApplication: Bool

        package init(_ name: Name, isApplication: Bool = false) {
            self.name = name
            self.isApplication = isApplication
        }

        package static let all = [false, true].flatMap { isApplication in
            Name.allCases.map { Scheme($0, isApplication: isApplication) }
        }

        /// As in the file.
        package var text: String { (self.isApplication ? "application-" : "") + self.name.rawValue }
    }

    /// The bound on guesses from one address.
    package struct WrongAnswers: Sendable, Hashable {
        package var perAddress = 100
        package var window = Duration.seconds(60)

        package init() {}
    }

    package enum TokenPlace: Sendable, Hashable {
        /// The Authorization field.
        case header
        case cookie(String)
        case query(String)
    }

    /// The verification of JSON Web Tokens (RFC 7519).
    package struct JWT: Sendable, Equatable {
        package enum Algorithm: String, Sendable, CaseIterable {
            case es256 = "ES256"
            case es384 = "ES384"
            case es512 = "ES512"
            case rs256 = "RS256"
            case rs384 = "RS384"
            case rs512 = "RS512"
            case ps256 = "PS256"
            case ps384 = "PS384"
            case ps512 = "PS512"
            case edDSA = "EdDSA"
            case hs256 = "HS256"
            case hs384 = "HS384"
            case hs512 = "HS512"

            /// Signs with a secret that the verifier knows as well.
            package var isSymmetric: Bool { self.rawValue.hasPrefix("HS") }
        }

        package enum OnExpiry: String, Sendable, CaseIterable {
            /// Closes the socket with 1008.
            case close
            /// Asks the client to prove itself anew where that was agreed on, and closes otherwise.
            case revalidate
            /// Lets the socket live on.
            case ignore
        }

        /// A JSON Web Key Set (RFC 7517).
        package var keys: String
        /// The only algorithms that count.
        package var algorithms: [Algorithm]
        package var issuer: String
        /// One of them has to be among the token's.
        package var audience: [String]
        /// The claim that names the principal.
        package var principal = "sub"
        /// The claim that lists the roles, as a path with dots.
        package var roles: String?
        /// The difference between clocks that is allowed.
        package var leeway = Duration.seconds(30)
        package var onExpiry = OnExpiry.close

        package init(keys: String, algorithms: [Algorithm], issuer: String, audience: [String]) {
            self.keys = keys
            self.algorithms = algorithms
            self.issuer = issuer
            self.audience = audience
        }
    }

    /// The principal of a client certificate.
    package struct Certificate: Sendable, Equatable {
        package enum Name: String, Sendable, CaseIterable {
            case commonName = "cn"
            case uri = "san-uri"
            case dns = "san-dns"
            case email = "san-email"
        }

        package var principal: Name
        /// Removed from the beginning of the name.
        package var strip: String?
        /// A file of `role: name name …`.
        package var roles: String?

        package init(principal: Name) {
            self.principal = principal
        }
    }
}
