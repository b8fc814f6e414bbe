// A realm with the contents of its files: what it takes to say who somebody is.

package import KHPProtocol
import KHPServer
package import NIOSSL

/// The verifiers of a realm.
package struct RealmVerifier: Sendable {
    package let realm: GatewayConfiguration.Realm
    var users: UsersFile?
    /// The names in the users file.
    var userNames: Set<String> = []
    var groups = GroupsFile()
    var certificateGroups = GroupsFile()
    var tokens: TokenVerifier?
    /// The first seals, all count.
    var nonceKeys: [[UInt8]] = []

    init(_ realm: GatewayConfiguration.Realm) {
        self.realm = realm
    }

    /// False where others than the groups files give roles, or a groups file could not be read.
    var knowsRoles: Bool {
        if self.realm.jwt?.roles != nil { return false }
        if self.realm.groups != nil, self.groups.all.isEmpty { return false }
        return self.realm.certificate?.roles == nil || !self.certificateGroups.all.isEmpty
    }

    func has(_ name: GatewayConfiguration.Scheme.Name) -> Bool { self.realm.schemes.contains { $0.name == name } }

    /// A user who has proved to be one.
    func principal(_ user: String) -> Principal {
        Principal(user, realm: self.realm.name, roles: self.groups.roles(of: user))
    }

    /// The principal of a token that stands in the users file or is a JSON Web Token.
    /// - Parameter now: seconds since 1970.
    func principal(token: String, now: Int64) throws(TokenRefusal) -> Principal {
        if let user = self.users?.user(token: token) { return self.principal(user) }
        guard let tokens else { throw .unknown }
        do throws(TokenVerifier.Refusal) {
            let principal = try tokens.principal(of: token, now: now)
            return self.grouped(principal)
        } catch {
            throw .token(error)
        }
    }

    /// The claim in which a principal of a token keeps the roles that the token itself has, where a groups file gives it
    /// some as well. No requirement can name it, and no role holds what joins them.
    private static let ownRoles = "\u{0}roles"

    /// The principal of a token with its roles of the groups file.
    func grouped(_ principal: Principal) -> Principal {
        var principal = principal
        principal.claims[Self.ownRoles] = nil
        let roles = self.groups.roles(of: principal.name)
        if !roles.isEmpty {
            principal.claims[Self.ownRoles] = principal.roles.joined(separator: "\u{0}")
            principal.roles.formUnion(roles)
        }
        return principal
    }

    /// A principal of an earlier proof with the roles that it has now; `nil` where the realm has no such principal any more. Of
    /// a token the signature does not count a second time: its key may have gone since.
    package func renewed(_ principal: Principal) -> Principal? {
        var renewed = principal
        if let issuer = principal.claims["iss"] {
            guard issuer == self.tokens?.rules.issuer else { return nil }
            if let own = principal.claims[Self.ownRoles] {
                renewed.roles = Set(own.split(separator: "\u{0}").map(String.init))
            }
            return self.grouped(renewed)
        }
        // A certificate ends; one that a proxy has told of does not.
        if principal.expires == nil, self.userNames.contains(principal.name) {
            renewed.roles = self.groups.roles(of: principal.name)
        } else if let rule = self.realm.certificate, principal.expires != nil || rule.principal == .commonName {
            renewed.roles = self.certificateGroups.roles(of: principal.name)
        } else {
            return nil
        }
        return renewed
    }

    enum TokenRefusal: Error {
        /// The token is of no user or issuer of the realm.
        case unknown
        case token(TokenVerifier.Refusal)
    }

    /// The principal of a certificate whose chain is verified; `nil` where it has no name of the kind that counts.
    package func principal(_ certificate: NIOSSLCertificate) -> Principal? {
        guard let rule = self.realm.certificate else { return nil }
        let names = CertificateNames(certificate).names(rule.principal)
        return self.principal(names, rule, expires: Int64(certificate.notValidAfter))
    }

    /// The principal of a certificate that a proxy has verified, of which it tells the common name alone.
    package func principal(commonName name: String) -> Principal? {
        guard let rule = self.realm.certificate, rule.principal == .commonName else { return nil }
        return self.principal([name], rule, expires: nil)
    }

    private func principal(
        _ names: [String],
        _ rule: GatewayConfiguration.Certificate,
        expires: Int64?
    ) -> Principal? {
        let prefix = rule.strip ?? ""
        guard let name = names.first(where: { $0.hasPrefix(prefix) && $0.utf8.count > prefix.utf8.count }) else {
            return nil
        }
        let short = String(name.dropFirst(prefix.count))
        return Principal(
            short,
            realm: self.realm.name,
            roles: self.certificateGroups.roles(of: short),
            expires: expires
        )
    }
}
