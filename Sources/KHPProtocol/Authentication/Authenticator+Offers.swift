// The challenges of a response that are worth an answer, in order: unreadable ones are skipped, the strongest comes
// first, and no client is talked down to a weaker scheme (threats G1, G3, G4).

import HTTPTypes

extension Authenticator {
    /// The strongest that was offered so far: at a place, and in a realm whichever handshake it asks in.
    struct Strengths: Sendable {
        private var places: [Slot: Int] = [:]
        private var spaces: [Space: Int] = [:]

        /// Basic, then Digest by its algorithm; `nil` for schemes that cannot be compared.
        static func of(_ challenge: Challenge) -> Int? {
            if challenge.isScheme("Basic") { return 1 }
            guard challenge.isScheme("Digest") else { return nil }
            return (try? DigestChallenge(challenge)).map { 1 + $0.algorithm.strength }
        }

        /// Remembers what is offered.
        /// - Returns: the challenges without those of an offer that is weaker than an earlier one.
        mutating func filter(_ challenges: [Challenge], at slot: Slot, allowsWeakerScheme: Bool) -> [Challenge] {
            func space(_ challenge: Challenge) -> Space { Space(party: slot.party, realm: challenge.realm) }
            var strongest = 0
            var strongestOfSpace: [Space: Int] = [:]
            for challenge in challenges {
                guard let strength = Self.of(challenge) else { continue }
                strongest = max(strongest, strength)
                strongestOfSpace[space(challenge), default: 0] =
                    max(strongestOfSpace[space(challenge)] ?? 0, strength)
            }
            defer {
                self.places[slot] = max(self.places[slot] ?? 0, strongest)
                self.spaces.merge(strongestOfSpace) { max($0, $1) }
            }
            if allowsWeakerScheme { return challenges }
            return challenges.filter { challenge in
                guard Self.of(challenge) != nil else { return true }
                let ofSpace = strongestOfSpace[space(challenge)] ?? 0
                return strongest >= self.places[slot] ?? 0 && ofSpace >= self.spaces[space(challenge)] ?? 0
            }
        }
    }

    /// How many challenges of one response are looked at.
    private static let maximumCount = 32

    /// The challenges of a response that can be answered, in the order in which to try them.
    mutating func offers(
        in response: HandshakeResponse,
        at place: Challenger,
        _ url: WebSocketURL
    ) throws(WebSocketError) -> [Challenge] {
        let slot = Slot(place)
        let values = response.headers.texts(slot.layer == .proxy ? .proxyAuthenticate : .wwwAuthenticate)
        var challenges: [Challenge] = []
        var problem: String?
        for value in values {
            do throws(GrammarError) {
                challenges += try parseChallenges(fieldValues: [value])
            } catch {
                // Each field stands for itself; in this one any split into challenges would be a guess.
                problem = problem ?? "one cannot be read: \(error.message)"
            }
        }
        challenges = Array(challenges.prefix(Self.maximumCount)).filter { challenge in
            guard challenge.isScheme("Digest") else { return true }
            do throws(DigestChallenge.Unusable) {
                _ = try DigestChallenge(challenge)
                return true
            } catch {
                problem = problem ?? "that of Digest is not usable, since \(error.message)"
                return false
            }
        }
        guard !challenges.isEmpty else {
            // KHP-E19
            let message =
                problem.map { "The \(place.party) asks for credentials, and of its challenges \($0)." }
                ?? "The \(place.party) answered \(response.status) without a challenge, so nothing can be answered."
            throw Self.failure(message, .unusableChallenge, at: place, url)
        }
        let allowed = self.strengths.filter(challenges, at: slot, allowsWeakerScheme: self.allowsWeakerScheme)
        guard !allowed.isEmpty else {
            throw Self.failure(
                "The \(place.party) asks for a weaker scheme than it asked for before; that is not answered, "
                    + "since somebody on the way may have taken the stronger one out.",
                .unusableChallenge,
                at: place,
                url
            )
        }
        return Self.ordered(allowed)
    }

    /// Schemes without a rank in the server's order, for a caller's own handlers; then the strongest first.
    private static func ordered(_ challenges: [Challenge]) -> [Challenge] {
        let unranked = challenges.filter { Strengths.of($0) == nil }
        let ranked = challenges.compactMap { challenge in Strengths.of(challenge).map { (challenge, $0) } }
        // Stable: equals stay in the server's order.
        let sorted = ranked.enumerated().sorted { one, other in
            one.element.1 == other.element.1 ? one.offset < other.offset : one.element.1 > other.element.1
        }
        return unranked + sorted.map(\.element.0)
    }
}
