// The server's half of Digest (RFC 7616 section 3): challenges out, answers in. Who the users are, which counts were
// used and what time it is are the caller's.
//
// An answer is checked in two steps, since looking up a key may take its time: ``claim(of:method:target:entity:)``
// reads it and checks all that needs no key, ``judge(_:key:counts:now:)`` does the rest.

package import NIOCore

package struct DigestVerifier: Sendable {
    /// The claim of an answer, and the values to hold it against.
    package struct Claim: Sendable {
        package let authorization: DigestAuthorization
        let exchange: DigestExchange
        /// `nil` when the nonce is not ours.
        let nonce: DigestNonce?

        /// Tells the key of the nonce, as ``DigestVerifier/opaques`` has it where it is one of ours.
        package var opaque: String { self.authorization.opaque ?? "" }
    }

    package enum Verdict: Sendable {
        /// Right, and never seen before.
        case right(DigestConfirmation)
        /// All is right except the nonce: the client may answer again without asking anybody (`stale=true`).
        case stale
        case wrong
    }

    package let realm: String
    /// In the order of the challenges, the strongest first.
    package let algorithms: [DigestAlgorithm]
    private let offersIntegrity: Bool
    private let acceptsHashedUsers: Bool
    private let seal: DigestNonceSeal
    /// Of nodes that have another key already, or still.
    private let otherSeals: [DigestNonceSeal]

    /// - Parameters:
    ///   - offersIntegrity: offers auth-int besides auth.
    ///   - acceptsHashedUsers: takes a hash in the name's place (`userhash`).
    ///   - key: the key that seals nonces; nodes that share it take each other's nonces.
    ///   - otherKeys: nonces that they seal are taken too, and none is made with them.
    package init(
        realm: String,
        algorithms: [DigestAlgorithm],
        offersIntegrity: Bool = false,
        acceptsHashedUsers: Bool = false,
        key: [UInt8],
        otherKeys: [[UInt8]] = []
    ) {
        self.realm = realm
        // Stable: of two with the same hash the one that was named first.
        self.algorithms = algorithms.enumerated()
            .sorted { ($1.element.strength, $0.offset) < ($0.element.strength, $1.offset) }
            .map(\.element)
        self.offersIntegrity = offersIntegrity
        self.acceptsHashedUsers = acceptsHashedUsers
        self.seal = DigestNonceSeal(realm: realm, key: key)
        self.otherSeals = otherKeys.map { DigestNonceSeal(realm: realm, key: $0) }
    }

    /// One challenge for each algorithm, with a fresh nonce that any of them may be answered with.
    ///
    /// - Parameters:
    ///   - isStale: the last answer was right but for its nonce.
    ///   - now: microseconds since 1970.
    package func challenges(
        isStale: Bool = false,
        now: UInt64,
        using generator: inout some RandomNumberGenerator
    ) -> [String] {
        let nonce = self.seal.make(now: now, using: &generator)
        return self.algorithms.map { algorithm in
            // Which values are quoted and which are not is fixed (section 3.3), since old clients know one form only.
            var challenge =
                "Digest realm=\(quoted(self.realm)), qop=\"auth\(self.offersIntegrity ? ", auth-int" : "")\", "
            challenge +=
                "algorithm=\(algorithm.rawValue), nonce=\"\(nonce)\", opaque=\"\(self.seal.opaque)\", charset=UTF-8"
            if self.acceptsHashedUsers { challenge += ", userhash=true" }
            if isStale { challenge += ", stale=true" }
            return challenge
        }
    }

    /// Reads the claim of an Authorization field; `nil` when it is wrong whichever user sent it.
    ///
    /// `method`, `target` and `entity` are those of the very request that carried the value: the signature must not
    /// open anything else (threat G6).
    package func claim(of value: String, method: String, target: String, entity: ByteBuffer = ByteBuffer()) -> Claim? {
        guard let given = try? DigestAuthorization(value), given.realm == self.realm, given.uri == target,
            let opaque = given.opaque, self.algorithms.contains(given.algorithm),
            given.protection == .authentication || self.offersIntegrity,
            !given.isUserHashed || self.acceptsHashedUsers
        else { return nil }
        return Claim(
            authorization: given,
            exchange: given.exchange(method: method, entity: entity),
            nonce: self.seal(of: opaque)?.read(given.nonce)
        )
    }

    /// The values of `opaque` for the keys whose nonces are taken; the first is that of the own key.
    package var opaques: [String] { [self.seal.opaque] + self.otherSeals.map(\.opaque) }

    /// Another opaque belongs to another key, and so does its nonce.
    private func seal(of opaque: String) -> DigestNonceSeal? {
        opaque == self.seal.opaque ? self.seal : self.otherSeals.first { $0.opaque == opaque }
    }

    /// Judges a claim.
    ///
    /// - Parameters:
    ///   - key: H(user:realm:password) of the claimed user; `nil` where there is no such user, which takes as long.
    ///   - counts: the counts that were used with nonces of the claim's key.
    ///   - now: microseconds since 1970.
    ///   - lifetime: how long a nonce may be used, in microseconds.
    package func judge(
        _ claim: Claim,
        key: String?,
        counts: inout NonceCounts,
        now: UInt64,
        lifetime: UInt64 = .max
    ) -> Verdict {
        let exchange = claim.exchange
        let expected = exchange.response(key: key ?? self.decoy(for: exchange.algorithm))
        // Digests of equal length; the comparison stops at no byte (threat G2).
        let isEqual = MessageAuthenticationCode.isEqual(
            Array(claim.authorization.response.utf8),
            Array(expected.utf8)
        )
        guard let key, isEqual else { return .wrong }
        guard let nonce = claim.nonce,
            counts.use(nonce, count: exchange.nonceCount, now: now, lifetime: lifetime) == .fresh
        else {
            return .stale
        }
        return .right(DigestConfirmation(exchange: exchange, key: key))
    }

    /// A key that no user has, of the same length as a user's.
    private func decoy(for algorithm: DigestAlgorithm) -> String {
        String(repeating: "0", count: algorithm.digits)
    }
}

/// Proves to the client that this end knows the key too (RFC 7616 section 3.5).
package struct DigestConfirmation: Sendable {
    let exchange: DigestExchange
    let key: String

    /// The value of Authentication-Info for an answer with `entity`.
    package func authenticationInfo(entity: ByteBuffer = ByteBuffer()) -> String {
        let proof = self.exchange.responseAuthentication(key: self.key, entity: entity)
        let protection = (self.exchange.protection ?? .authentication).rawValue
        return "rspauth=\"\(proof)\", qop=\(protection), cnonce=\(quoted(self.exchange.clientNonce)), "
            + "nc=\(self.exchange.nonceCountText)"
    }
}

extension DigestConfirmation: CustomStringConvertible, CustomReflectable {
    package var description: String { "•••" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension DigestVerifier.Claim: CustomStringConvertible, CustomReflectable {
    package var description: String { "•••" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}

extension DigestVerifier: CustomStringConvertible, CustomReflectable {
    package var description: String { "Digest for \(quoted(self.realm))" }

    package var customMirror: Mirror { Mirror(self, children: ["verifier": self.description]) }
}
