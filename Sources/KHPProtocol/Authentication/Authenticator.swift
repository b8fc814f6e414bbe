// The client's authentication for one connect: one engine for 401 in the opening handshake, 401 in the extended one and
// 407 of a proxy. Sans-I/O: the shell asks people and makes randomness.
//
// Credentials and nonces are bound to their place. A place is an origin's handshake or a proxy; a protection space is
// an origin or proxy together with a realm (RFC 9110 section 11.5). Nothing is shared between two of them (threats G8,
// G9).
//
//   challenged ──▶ answer     only the nonce was too old: the same credentials go out with the new one
//       │
//       └──▶ ask ──▶ handler ──▶ answer(credentials) ──▶ sent ──▶ accepted, or challenged again: refused
//
// - our own bug or the API user's: `invalidArgument`, such as credentials of another scheme than was asked for;
// - the peer's violation: `authenticationFailed`, or `proxyAuthenticationRequired` for a proxy;
// - ignored: challenges that cannot be read where another can.

import HTTPTypes
package import NIOCore

package struct Authenticator: Sendable {
    /// The party that asks.
    package enum Challenger: Hashable, Sendable {
        /// The origin of this URL, in one of its handshakes.
        case origin(WebSocketURL, HandshakeLayer)
        /// The proxy of this host and port.
        case proxy(authority: String)
    }

    /// The request that carries the answer, as Digest signs it.
    package struct Target: Sendable {
        package var method: String
        /// The request target exactly as it is sent; host and port for CONNECT.
        package var uri: String
        package var entity: ByteBuffer

        package init(method: String, uri: String, entity: ByteBuffer = ByteBuffer()) {
            self.method = method
            self.uri = uri
            self.entity = entity
        }
    }

    /// The next step after a challenge.
    package enum Challenged: Sendable {
        /// Send this at once: the credentials are known, and only their nonce was too old.
        case answer(String, to: ChallengeRequest)
        /// Ask the handler, in this order: schemes that are not ranked as the server sent them, then Digest, the
        /// strongest first, then Basic.
        case ask([ChallengeRequest])
    }

    /// An origin or a proxy, and which of its handshakes asks.
    struct Slot: Hashable {
        var party: String
        var layer: HandshakeLayer

        init(_ place: Challenger) {
            switch place {
            case .origin(let url, let layer): (self.party, self.layer) = (url.origin, layer)
            case .proxy(let authority): (self.party, self.layer) = ("proxy " + authority, .proxy)
            }
        }
    }

    /// A protection space.
    struct Space: Hashable {
        var party: String
        var realm: String?
    }

    /// Credentials that a protection space has asked for.
    private struct Login {
        var credentials: Credentials
        /// In lower case.
        var scheme: String
        var digest: DigestSession?
    }

    /// The last authorization at a place, not yet judged.
    private struct Sent {
        var identity: Credentials
        var scheme: String?
        /// `nil` when no realm is known: credentials that were sent unasked.
        var space: Space?
        /// `true` when it answered a challenge, `false` when it was sent unasked.
        var wasAsked: Bool
        var digest: (nonce: String, proof: DigestProof)?
    }

    private struct Refusal: Hashable {
        var slot: Slot
        var identity: Credentials
    }

    private let limit: Int
    let allowsWeakerScheme: Bool
    private var preemptive: [PreemptiveCredentials]
    /// How many challenges were answered, over all hops and layers of the connect.
    package private(set) var count = 0
    /// How many of them came from the origin where the chain is now, not from a proxy.
    package private(set) var serverCount = 0
    private var logins: [Space: Login] = [:]
    /// The login that the next request to a place takes along.
    private var current: [Slot: Space] = [:]
    private var sent: [Slot: Sent] = [:]
    private var refused: Set<Refusal> = []
    var strengths = Strengths()

    /// - Parameters:
    ///   - limit: how many challenges may be answered (D18).
    ///   - allowsWeakerScheme: `true` to answer a weaker scheme than was offered before (threat G1).
    ///   - preemptive: the credentials that are sent unasked.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for what cannot be sent unasked, or not at all.
    package init(
        limit: Int = 4,
        allowsWeakerScheme: Bool = false,
        preemptive: [PreemptiveCredentials]
    ) throws(WebSocketError) {
        for entry in preemptive { _ = try entry.credentials.authorizationValue() }
        self.limit = limit
        self.allowsWeakerScheme = allowsWeakerScheme
        self.preemptive = preemptive
    }

    /// Nothing is sent unasked.
    package init(limit: Int = 4, allowsWeakerScheme: Bool = false) {
        self.limit = limit
        self.allowsWeakerScheme = allowsWeakerScheme
        self.preemptive = []
    }

    // MARK: Challenges

    /// A 401 or 407 came; what was sent there last was not enough.
    /// - Parameters:
    ///   - url: the URL of this hop, also where a proxy asks.
    ///   - target: the request that would carry the answer.
    ///   - clientNonce: fresh randomness.
    /// - Throws: `authenticationFailed` or `proxyAuthenticationRequired` when nothing can be answered.
    package mutating func challenged(
        by response: HandshakeResponse,
        at place: Challenger,
        url: WebSocketURL,
        originalURL: WebSocketURL,
        target: Target,
        clientNonce: String
    ) throws(WebSocketError) -> Challenged {
        let slot = Slot(place)
        let sent = self.sent.removeValue(forKey: slot)
        guard self.count < self.limit else {
            throw Self.failure(
                "The \(place.party) did not accept any of the \(self.count) answers to its challenges.",
                .credentialsRefused,
                at: place,
                url
            )
        }
        let challenges = try self.offers(in: response, at: place, url)
        var proxy: String?
        if case .proxy(let authority) = place { proxy = authority }
        let round = self.count + 1
        func request(_ challenge: Challenge, _ wasRefused: Bool) -> ChallengeRequest {
            ChallengeRequest(
                challenge,
                url: url,
                originalURL: originalURL,
                layer: slot.layer,
                round: round,
                proxy: proxy,
                previousWasRefused: wasRefused
            )
        }
        if let sent, let space = sent.space, let (challenge, stale) = Self.stale(challenges, sent.digest, space),
            let answer = self.renew(stale, for: sent, at: slot, target: target, clientNonce: clientNonce)
        {
            self.countAnswer(at: slot)
            return .answer(answer, to: request(challenge, false))
        }
        let wasRefused = sent.map { self.isRefusal(of: $0, by: challenges) } ?? false
        if let sent, wasRefused {
            self.refused.insert(Refusal(slot: slot, identity: sent.identity))
            self.current[slot] = nil
            if let space = sent.space { self.logins[space] = nil }
        }
        return .ask(challenges.map { request($0, wasRefused) })
    }

    /// Credentials are refused when they answered a challenge, or when their realm is asked for again.
    private func isRefusal(of sent: Sent, by challenges: [Challenge]) -> Bool {
        if sent.wasAsked { return true }
        return challenges.contains { challenge in
            guard sent.scheme == nil || sent.scheme == Bytes.lowercasedASCII(challenge.scheme) else { return false }
            return sent.space == nil || sent.space?.realm == challenge.realm
        }
    }

    /// A challenge that only brings a newer nonce for what was sent.
    private static func stale(
        _ challenges: [Challenge],
        _ digest: (nonce: String, proof: DigestProof)?,
        _ space: Space
    ) -> (Challenge, DigestChallenge)? {
        guard let digest else { return nil }
        for challenge in challenges where challenge.isScheme("Digest") && challenge.realm == space.realm {
            if let read = try? DigestChallenge(challenge), read.isStale, read.nonce != digest.nonce {
                return (challenge, read)
            }
        }
        return nil
    }

    private mutating func renew(
        _ challenge: DigestChallenge,
        for sent: Sent,
        at slot: Slot,
        target: Target,
        clientNonce: String
    ) -> String? {
        guard let space = sent.space, let known = self.logins[space], let login = known.credentials.login,
            var session = try? DigestSession(challenge, user: login.user, password: login.password)
        else { return nil }
        if let earlier = known.digest { session.count(on: earlier) }
        self.logins[space]?.digest = session
        return self.send(space, at: slot, target: target, clientNonce: clientNonce, wasAsked: true)
    }

    // MARK: Answers

    /// Turns a handler's credentials into the value of Authorization or Proxy-Authorization.
    /// - Throws: `invalidArgument` for what cannot be sent or does not fit the challenge; `authenticationFailed` or
    ///   `proxyAuthenticationRequired` for what was refused there before: sending it again can only get an account
    ///   locked.
    package mutating func answer(
        _ credentials: Credentials,
        to request: ChallengeRequest,
        at place: Challenger,
        target: Target,
        clientNonce: String
    ) throws(WebSocketError) -> String {
        let slot = Slot(place)
        let scheme = Bytes.lowercasedASCII(request.scheme)
        try Self.check(credentials, fit: scheme, request.scheme)
        guard !self.refused.contains(Refusal(slot: slot, identity: credentials.identity)) else {
            throw Self.failure(
                "The \(place.party) refused the credentials.",
                .credentialsRefused,
                at: place,
                request.url
            )
        }
        guard self.count < self.limit else {
            throw Self.failure(
                "There were more than \(self.limit) challenges.",
                .credentialsRefused,
                at: place,
                request.url
            )
        }
        let space = Space(party: slot.party, realm: request.sent["realm"])
        var login = Login(credentials: credentials, scheme: scheme)
        if scheme == "digest", let known = credentials.login {
            login.digest = try self.session(for: known, at: space, request, place)
        } else {
            _ = try Self.plainValue(credentials)
        }
        self.logins[space] = login
        guard let value = self.send(space, at: slot, target: target, clientNonce: clientNonce, wasAsked: true) else {
            throw Self.failure("The server's nonce was used too often.", nil, at: place, request.url)
        }
        self.countAnswer(at: slot)
        return value
    }

    /// Returns `true` when these were refused there: another challenge may still be answered with other credentials.
    package func isRefused(_ credentials: Credentials, at place: Challenger) -> Bool {
        self.refused.contains(Refusal(slot: Slot(place), identity: credentials.identity))
    }

    private mutating func countAnswer(at slot: Slot) {
        self.count += 1
        if slot.layer != .proxy { self.serverCount += 1 }
    }

    private func session(
        for login: (user: String, password: String),
        at space: Space,
        _ request: ChallengeRequest,
        _ place: Challenger
    ) throws(WebSocketError) -> DigestSession {
        let challenge: DigestChallenge
        do throws(DigestChallenge.Unusable) {
            challenge = try DigestChallenge(parameters: request.sent)
        } catch {
            throw Self.failure(
                "The \(place.party)'s Digest challenge cannot be answered: \(error.message).",
                .unusableChallenge,
                at: place,
                request.url
            )
        }
        var session = try DigestSession(challenge, user: login.user, password: login.password)
        if let earlier = self.logins[space]?.digest { session.count(on: earlier) }
        return session
    }

    /// The credentials of a fresh request: the login that its place has asked for, with Digest's nonce counted on, or
    /// credentials that are sent unasked. Those that their origin refused in either handshake are not sent again.
    package mutating func authorization(at place: Challenger, target: Target, clientNonce: String) -> String? {
        let slot = Slot(place)
        if let space = self.current[slot] {
            return self.send(space, at: slot, target: target, clientNonce: clientNonce, wasAsked: false)
        }
        guard case .origin(let url, _) = place,
            let entry = self.preemptive.first(where: { $0.origin.isSameOrigin(as: url) }),
            !self.refused.contains(where: { $0.slot.party == slot.party && $0.identity == entry.credentials.identity }),
            let value = try? entry.credentials.authorizationValue()
        else { return nil }
        self.sent[slot] = Sent(
            identity: entry.credentials.identity,
            scheme: entry.credentials.scheme,
            space: nil,
            wasAsked: false,
            digest: nil
        )
        return value
    }

    private mutating func send(
        _ space: Space,
        at slot: Slot,
        target: Target,
        clientNonce: String,
        wasAsked: Bool
    ) -> String? {
        guard var login = self.logins[space] else { return nil }
        var sent = Sent(
            identity: login.credentials.identity,
            scheme: login.scheme,
            space: space,
            wasAsked: wasAsked,
            digest: nil
        )
        let value: String
        if var session = login.digest {
            let nonce = session.challenge.nonce
            let answer = session.answer(
                method: target.method,
                uri: target.uri,
                entity: target.entity,
                clientNonce: clientNonce
            )
            guard let answer else { return nil }
            login.digest = session
            sent.digest = (nonce, answer.proof)
            value = answer.value
        } else {
            guard let plain = try? Self.plainValue(login.credentials) else { return nil }
            value = plain
        }
        self.logins[space] = login
        self.current[slot] = space
        self.sent[slot] = sent
        return value
    }

    /// The proof that the answer to the last request there owes (threat G14).
    package func proof(at place: Challenger) -> DigestProof? { self.sent[Slot(place)]?.digest?.proof }

    /// An answer without a challenge came: the credentials were accepted. Checks the server's own proof, and takes its
    /// nonce for next time.
    /// - Throws: `authenticationFailed` when its rspauth is wrong (threat G14).
    package mutating func accepted(_ response: HandshakeResponse, at place: Challenger) throws(WebSocketError) {
        let name: HTTPField.Name =
            Slot(place).layer == .proxy ? .proxyAuthenticationInfo : .authenticationInfo
        // A redirect's content is not waited for (D28). RFC 7616 section 3.5: an rspauth may cover all of it.
        let isWhole = response.headers[.contentLength] == String(response.body.readableBytes)
        try self.accepted(response.headers.texts(name), isWhole ? response.body : nil, at: place)
    }

    /// As ``accepted(_:at:)``, for an answer that has no content.
    package mutating func accepted(_ head: ResponseHead, at place: Challenger) throws(WebSocketError) {
        guard self.sent[Slot(place)] != nil else { return }
        let name = Slot(place).layer == .proxy ? "Proxy-Authentication-Info" : "Authentication-Info"
        try self.accepted(head.fields.all(name), ByteBuffer(), at: place)
    }

    private mutating func accepted(
        _ values: [String],
        _ entity: ByteBuffer?,
        at place: Challenger
    ) throws(WebSocketError) {
        guard let sent = self.sent.removeValue(forKey: Slot(place)), let digest = sent.digest else { return }
        guard let next = try digest.proof.check(values, entity: entity), let space = sent.space else { return }
        self.logins[space]?.digest?.take(nextNonce: next)
    }

    /// A redirect leads away from the origin of this URL: its credentials are forgotten for the rest of the connect,
    /// also where that comes back (D12, threat F2). What it refused stays refused.
    package mutating func left(_ url: WebSocketURL) {
        let party = url.origin
        self.serverCount = 0
        self.preemptive.removeAll { $0.origin.isSameOrigin(as: url) }
        self.logins = self.logins.filter { $0.key.party != party }
        self.current = self.current.filter { $0.key.party != party }
        self.sent = self.sent.filter { $0.key.party != party }
    }

    // MARK: Credentials

    private static func check(_ credentials: Credentials, fit scheme: String, _ name: String) throws(WebSocketError) {
        switch credentials {
        case .authorization: return
        case .login where scheme == "basic" || scheme == "digest": return
        case _ where credentials.scheme == scheme: return
        default:
            throw WebSocketError(
                .invalidArgument,
                "The challenge handler gave credentials of another scheme than \(Token.isToken(name) ? name : "asked for")."
            )
        }
    }

    private static func plainValue(_ credentials: Credentials) throws(WebSocketError) -> String {
        guard case .login(let user, let password) = credentials else { return try credentials.authorizationValue() }
        return try Credentials.basic(user: user, password: password).authorizationValue()
    }

    static func failure(
        _ message: String,
        _ detail: WebSocketError.Detail?,
        at place: Challenger,
        _ url: WebSocketURL
    ) -> WebSocketError {
        WebSocketError(place.failureCode, message, detail: detail, url: url, phase: place.phase)
    }
}

extension Authenticator.Challenger {
    /// The party's name in an error.
    var party: String {
        switch self {
        case .origin: "server"
        case .proxy: "proxy"
        }
    }

    /// The code of an error about its challenges.
    fileprivate var failureCode: WebSocketError.Code {
        switch self {
        case .origin: .authenticationFailed
        case .proxy: .proxyAuthenticationRequired
        }
    }

    /// The stage in which it asks.
    var phase: WebSocketError.Phase {
        switch self {
        case .origin(_, let layer): WebSocketError.Phase(layer)
        case .proxy: .connect
        }
    }
}

extension Authenticator: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(self.count) of \(self.limit) rounds" }

    package var customMirror: Mirror { Mirror(self, children: ["rounds": self.description]) }
}
