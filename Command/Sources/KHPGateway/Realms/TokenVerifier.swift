// Verifies JSON Web Tokens (RFC 7519, with the advice of RFC 8725): the head is checked before any key is looked at, and
// it can only choose among what the configuration allows (threats G16, G17).

import KHPProtocol

struct TokenVerifier: Sendable {
    /// The cause of a refusal, for logs and tests; clients are told nothing of it.
    enum Refusal: String, Error, Sendable {
        case tooLong = "the token is longer than 8 KiB"
        case malformed = "the token is not three parts of base64url"
        case head = "the head is no JSON object"
        case algorithm = "the algorithm is not allowed"
        case critical = "the head has crit, which nobody here understands"
        case foreignKey = "the head brings a key or the address of one"
        case type = "the head's typ is that of another kind of token"
        case key = "no key of that name fits the algorithm"
        case signature = "the signature is wrong"
        case claims = "the claims are no JSON object"
        case issuer = "the issuer is another"
        case audience = "the audience is another"
        case noExpiry = "the token has no exp"
        case expired = "the token has expired"
        case notYet = "the token is not valid yet"
        case principal = "the claim of the principal is missing, or no text"
    }

    static let maximumBytes = 8192

    let rules: GatewayConfiguration.JWT
    let keys: KeySet
    /// The realm of the principals.
    let realm: String

    /// The principal of a token.
    /// - Parameter now: seconds since 1970.
    func principal(of token: String, now: Int64) throws(Refusal) -> Principal {
        guard token.utf8.count <= Self.maximumBytes else { throw .tooLong }
        let parts = token.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let head = Base64Text.url(parts[0]), let body = Base64Text.url(parts[1]),
            let signature = Base64Text.url(parts[2])
        else { throw .malformed }
        let (algorithm, key) = try self.key(head)
        let signed = Array(token.utf8.prefix(parts[0].count + 1 + parts[1].count))
        guard key.verifies(signature, of: signed, algorithm) else { throw .signature }
        guard let claims = (try? JSONText.read(body))?.object else { throw .claims }
        return try self.principal(claims, now)
    }

    private func key(_ head: [UInt8]) throws(Refusal) -> (SignatureAlgorithm, SignatureKey) {
        guard let head = (try? JSONText.read(head))?.object else { throw .head }
        guard head["crit"] == nil, head["b64"] == nil else { throw .critical }
        guard head["jwk"] == nil, head["jku"] == nil, head["x5u"] == nil else { throw .foreignKey }
        guard let name = head["alg"]?.string, let algorithm = SignatureAlgorithm(rawValue: name),
            self.rules.algorithms.contains(algorithm)
        else { throw .algorithm }
        if let type = head["typ"] {
            guard let type = type.string?.lowercased(),
                ["jwt", "at+jwt", "application/jwt", "application/at+jwt"].contains(type)
            else { throw .type }
        }
        var keyName: String?
        if let kid = head["kid"] {
            guard let text = kid.string else { throw .key }
            keyName = text
        }
        guard let key = self.keys.key(named: keyName, for: algorithm) else { throw .key }
        return (algorithm, key)
    }

    private func principal(_ claims: ParsedObject, _ now: Int64) throws(Refusal) -> Principal {
        guard claims["iss"]?.string == self.rules.issuer else { throw .issuer }
        let audience = claims["aud"]?.array?.compactMap(\.string) ?? claims["aud"]?.string.map { [$0] } ?? []
        guard audience.contains(where: { self.rules.audience.contains($0) }) else { throw .audience }
        let leeway = self.rules.leeway.components.seconds
        guard let end = claims["exp"]?.seconds else { throw .noExpiry }
        guard now < end + leeway else { throw .expired }
        for name in ["nbf", "iat"] {
            guard let start = claims[name] else { continue }
            guard let start = start.seconds, start <= now + leeway else { throw .notYet }
        }
        guard let name = Self.find(self.rules.principal, claims)?.string, name.utf8.count <= 256, Self.isName(name)
        else { throw .principal }
        return Principal(
            name,
            realm: self.realm,
            roles: self.rules.roles.flatMap { Self.find($0, claims) }.map(Self.roles) ?? [],
            claims: Self.texts(claims),
            expires: self.rules.onExpiry == .ignore ? nil : end + leeway
        )
    }

    /// A claim of that name, dots and all, otherwise the path into claims.
    private static func find(_ path: String, _ claims: ParsedObject) -> ParsedJSON? {
        if let claim = claims[path] { return claim }
        var value = ParsedJSON.object(claims)
        for step in path.split(separator: ".") {
            guard let next = value.object?[String(step)] else { return nil }
            value = next
        }
        return value
    }

    /// A list of texts, or one text with spaces between (as scope has it, RFC 6749 section 3.3). A text with control
    /// characters is no role, as it is no principal: a realm joins roles by one, and would see two in it.
    static func roles(_ value: ParsedJSON) -> Set<String> {
        let texts: [String]
        if let list = value.array {
            texts = list.compactMap(\.string)
        } else {
            texts = value.string?.split(separator: " ").map(String.init) ?? []
        }
        return Set(texts.filter(Self.isName))
    }

    private static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    /// The claims that are single values, as texts.
    private static func texts(_ claims: ParsedObject) -> [String: String] {
        claims.members.compactMapValues { value in
            switch value {
            case .string(let text), .number(let text): text
            case .boolean(let flag): flag ? "true" : "false"
            case .null, .array, .object: nil
            }
        }
    }
}
