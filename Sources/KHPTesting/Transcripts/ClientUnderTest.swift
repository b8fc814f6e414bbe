// The shell of a client, with a transcript's answers in place of people and networks: what is decided is decided by the
// same values as in the product.

import HTTPTypes
import KHPProtocol
import NIOCore

struct ClientUnderTest {
    private var attempt: ConnectAttempt
    private let configuration: ConnectionConfiguration
    private let logins: [Credentials]
    private let hasHandler: Bool
    private let origin: WebSocketURL
    private let deadline: NIODeadline
    /// Its cookies, where it has any.
    private var jar: CookieJar?
    private var cookiesSent = 0
    private var used = 0
    private var error: WebSocketError?
    private var course = HopCourse()
    /// The answer to a challenge that waits for a fresh connection.
    private var carried: ChallengeAnswer?
    private let isOnStream: Bool
    private(set) var driven: DrivenConnection

    init(
        _ transcript: Transcript,
        extensions: [any WebSocketExtension],
        settings: ConnectionSettings,
        now: NIODeadline
    ) throws(TranscriptError) {
        func failed(_ message: String) -> TranscriptError { TranscriptError(transcript.name, 1, message) }
        do throws(WebSocketError) {
            guard let url = transcript["client"] else { throw WebSocketError(.invalidURL, "there is no client") }
            var plan = ClientPlan(url: try WebSocketURL(url))
            plan.dialect = transcript.dialect
            plan.keys = HixieKeys(
                key1: Transcript.Constants.key1,
                key2: Transcript.Constants.key2,
                key3: Array(Transcript.Constants.key3.utf8)
            )
            plan.origin = transcript["client.origin"]
            plan.subprotocols = transcript.list("client.subprotocols")
            plan.extensions = try transcript.extensions("client.extensions", known: extensions, role: .client)
            plan.extended.method = transcript["client.method"] ?? plan.extended.method
            plan.extended.body = transcript["client.body"].map { ByteBuffer(string: $0) }
            plan.extended.policy =
                transcript["client.extended"].flatMap(ExtendedHandshakePolicy.init) ?? .preferred
            plan.extended.kaazingLegacy = transcript["client.kaazing-legacy"] == "yes"
            for field in transcript.fields where field.name == "client.extended-header" {
                let parts = field.value.split(separator: ":", maxSplits: 1).map { String($0.trimmingSpaces) }
                guard parts.count == 2, let name = HTTPField.Name(parts[0]) else {
                    throw WebSocketError(.invalidArgument, "\(field.value) is no field")
                }
                plan.extended.headers.append(HTTPField(name: name, value: parts[1]))
            }
            var settings = settings
            if let wait = transcript["client.wait"] {
                guard let time = Transcript.time(wait) else {
                    throw WebSocketError(
                        .invalidArgument,
                        "client.wait: \(wait) is no time from 0 to \(Transcript.longestTime) s"
                    )
                }
                settings.timeouts.wait = time
            }
            let configuration = ConnectionConfiguration(settings)
            self.configuration = configuration
            self.logins = transcript.list("client.user").map { login in
                let parts = login.split(separator: ":", maxSplits: 1).map(String.init)
                return .login(user: parts.first ?? "", password: parts.count > 1 ? parts[1] : "")
            }
            self.hasHandler = !self.logins.isEmpty
            self.origin = plan.url
            let redirects = RedirectTracker(
                from: plan.url,
                policy: transcript["client.redirects"].flatMap(RedirectPolicy.init) ?? .always,
                follows308: transcript["client.follow-308"] == "yes"
            )
            self.deadline = now + TimeAmount(settings.timeouts.total)
            self.attempt = ConnectAttempt(
                plan,
                redirects: redirects,
                authenticator: Authenticator(limit: settings.limits.challengeRounds)
            )
            self.jar = transcript["client.cookies"] == "yes" ? CookieJar() : nil
            let first = self.attempt.nextPlan { Transcript.Constants.clientNonce }
            self.isOnStream = transcript.isOnStream
            self.driven = try Self.connect(first, configuration, self.isOnStream, until: self.deadline, now: now)
        } catch {
            throw failed(error.message)
        }
    }

    private static func connect(
        _ plan: ClientPlan,
        _ configuration: ConnectionConfiguration,
        _ isOnStream: Bool,
        until deadline: NIODeadline,
        now: NIODeadline
    ) throws(WebSocketError) -> DrivenConnection {
        let prepared = try PreparedClient(plan, key: Transcript.Constants.key)
        let connection = Connection(
            isOnStream ? try prepared.onStream() : prepared,
            configuration: configuration,
            masks: FixedMask(),
            deadline: deadline,
            now: now
        )
        return DrivenConnection(connection, now: now)
    }

    /// Keeps the cookies of an opening response before the next request goes out (D44). Time stands still for cookies.
    private mutating func keepCookies(_ fields: [SetCookie]) {
        for cookie in fields.compactMap({ Cookie($0, from: self.attempt.url, now: 0) }) {
            self.jar?.set(cookie, now: 0)
        }
    }

    /// The value of Cookie for the next request.
    private mutating func cookies() -> String? {
        self.cookiesSent = Self.state(self.jar, self.attempt.url)
        return self.jar?.header(for: self.attempt.url, scope: self.attempt.cookieScope, now: 0)
    }

    /// Differs when the cookies for a URL do.
    private static func state(_ jar: CookieJar?, _ url: WebSocketURL) -> Int {
        let cookies = jar?.cookies(for: url, now: 0) ?? []
        return cookies.isEmpty ? 0 : cookies.map { [$0.name, $0.value] }.hashValue
    }

    /// Goes on from the same place.
    func copy() -> ClientUnderTest {
        var copy = self
        copy.driven = self.driven.copy()
        return copy
    }

    mutating func withConnection<Result>(_ body: (DrivenConnection) -> Result) -> Result { body(self.driven) }

    /// Does what waits to be done, if anything does: a challenge to answer.
    mutating func proceed() -> Bool {
        guard let (response, layer) = self.driven.challenge else { return false }
        self.driven.challenge = nil
        self.keepCookies(self.attempt.earlyCookies(of: response, in: layer))
        do throws(WebSocketError) {
            let answer = try self.answer(response, in: layer)
            switch layer {
            case .extended:
                self.driven.connection.answerChallenge(
                    answer.authorization,
                    challenges: answer.count,
                    deadline: self.deadline,
                    now: self.driven.now
                )
            case .proxy, .opening:
                self.course.holds(answer)
                var (replay, after) = self.attempt.replay(answer, clientNonce: Transcript.Constants.clientNonce)
                replay.cookies = self.cookies()
                let isSent = self.driven.connection.replayOpening(
                    replay,
                    key: Transcript.Constants.key,
                    deadline: self.deadline,
                    now: self.driven.now
                )
                if isSent {
                    self.course.sent()
                    self.attempt = after
                }
            }
        } catch {
            self.course.failed(error)
            let code = ChallengeDialogue.closeCode(after: error)
            self.driven.connection.close(code: code, reason: "", now: self.driven.now)
        }
        self.driven.run()
        return true
    }

    private mutating func answer(
        _ response: HandshakeResponse,
        in layer: HandshakeLayer
    ) throws(WebSocketError) -> ChallengeAnswer {
        var dialogue = self.attempt.dialogue(
            about: response,
            in: layer,
            hasHandler: self.hasHandler,
            patience: self.configuration.timeouts.challenge,
            now: self.driven.now
        )
        var step = dialogue.begin(&self.attempt.authenticator, clientNonce: Transcript.Constants.clientNonce)
        while true {
            switch step {
            case .ask(let request):
                let credentials = self.credentials(for: request)
                step = dialogue.take(
                    credentials,
                    &self.attempt.authenticator,
                    clientNonce: Transcript.Constants.clientNonce
                )
            case .send(let answer): return answer
            case .giveUp(let error, _): throw error
            }
        }
    }

    private mutating func credentials(for request: ChallengeRequest) -> Credentials? {
        guard !self.logins.isEmpty, request.url.isSameOrigin(as: self.origin),
            ["basic", "digest"].contains(request.scheme.lowercased())
        else { return nil }
        defer { self.used += 1 }
        return self.logins[min(self.used, self.logins.count - 1)]
    }

    /// The hop is over: where to next, if anywhere.
    private mutating func leave() -> Bool {
        guard self.error == nil else { return false }
        if let head = self.driven.established { self.keepCookies(self.attempt.earlyCookies(of: head)) }
        if let failure = self.driven.failure {
            self.keepCookies(self.attempt.earlyCookies(of: failure))
            self.course.failed(failure)
        }
        if let outcome = self.driven.hop {
            self.course.ended(outcome)
            self.keepCookies(self.attempt.earlyCookies(of: outcome))
        }
        guard self.driven.opened == nil, self.driven.hasEnded || self.course.isDecided else { return false }
        do throws(WebSocketError) {
            switch try self.course.end(at: self.attempt.url) {
            case .again(let answer):
                self.carried = answer
            case .challenged(let response, let layer):
                self.carried = try self.answer(response, in: layer)
            case .redirected(let outcome):
                let jar = self.jar
                _ = try self.attempt.follow(
                    outcome,
                    cookies: { Self.state(jar, $0) },
                    cookiesSent: self.cookiesSent
                )
            }
            return true
        } catch {
            self.error = error
            return false
        }
    }

    /// The next hop begins; says what is wrong with that.
    mutating func connect(to url: WebSocketURL) -> String? {
        // A challenge that came before the end of its connection is answered in any case.
        if self.driven.challenge?.layer == .opening { _ = self.proceed() }
        guard self.driven.hasEnded else { return "the connection before has not ended" }
        guard self.leave() else { return "no further hop: \(self.outcome.error?.description ?? "no reason")" }
        guard self.attempt.url == url else { return "the client goes to \(self.attempt.url)" }
        do throws(WebSocketError) {
            var plan = self.attempt.nextPlan(carrying: self.carried) { Transcript.Constants.clientNonce }
            self.carried = nil
            self.course = HopCourse()
            plan.cookies = self.cookies()
            self.driven = try Self.connect(
                plan,
                self.configuration,
                self.isOnStream,
                until: self.deadline,
                now: self.driven.now
            )
            return nil
        } catch {
            return error.description
        }
    }

    /// Ends the attempt as it stands.
    mutating func finish() -> TranscriptOutcome {
        if self.leave() {
            self.error = WebSocketError(.connectFailed, "the client would go on to \(self.attempt.url)")
        }
        return self.outcome
    }

    private var outcome: TranscriptOutcome {
        var outcome = TranscriptOutcome()
        outcome.negotiation = self.driven.opened
        outcome.error = (self.error ?? self.driven.failure).map { self.attempt.explained($0) }
        outcome.redirects = self.attempt.plan.redirects.count
        outcome.challenges = self.attempt.plan.challenges
        return outcome
    }
}

extension Transcript {
    /// In seconds: over thirty years.
    static let longestTime = 1_000_000_000

    /// A number of seconds, such as `1.5`; nil for one that no test waits for.
    static func time(_ seconds: some StringProtocol) -> Duration? {
        guard let value = Double(seconds), (0...Double(self.longestTime)).contains(value) else { return nil }
        return .seconds(value)
    }

    /// A field that is a list, separated by a comma and spaces.
    func list(_ field: String) -> [String] {
        (self[field] ?? "").split(separator: ",").map { String($0.trimmingSpaces) }
    }

    /// Extensions as in a header field: those that are known by name, else ones that do nothing.
    func extensions(
        _ field: String,
        known: [any WebSocketExtension],
        role: Role
    ) throws(WebSocketError) -> [any WebSocketExtension] {
        guard let value = self[field] else { return [] }
        let offers: [ExtensionOffer]
        do throws(GrammarError) {
            offers = try parseExtensions([value])
        } catch {
            throw WebSocketError(.invalidArgument, error.message)
        }
        var extensions: [any WebSocketExtension] = []
        for offer in offers {
            if let item = known.first(where: { $0.name == offer.name }) {
                extensions.append(item)
            } else if let item = try BuiltInExtensions.make(offer, role: role) {
                extensions.append(item)
            } else {
                extensions.append(NamedExtension(offer.name, parameters: offer.parameters))
            }
        }
        return extensions
    }
}
