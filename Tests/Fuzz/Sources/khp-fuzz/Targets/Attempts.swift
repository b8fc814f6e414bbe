// A client's connect over many hops, as servers and proxies steer it: challenges, redirects, upgrades, other dialects.
// It ends, and no secret of the caller's goes where the caller has not sent it.

import HTTPTypes
import KHPProtocol
import NIOCore

extension FuzzTarget {
    static let attempts = FuzzTarget(name: "attempts") { seeds in
        let digest = "Digest realm=\"a\", nonce=\"b\", qop=\"auth, auth-int\", algorithm=SHA-256"
        let chains = [
            ["401 No\nWWW-Authenticate: Basic realm=\"a\"", "401 No\nWWW-Authenticate: Basic realm=\"a\"", "403 No"],
            ["401 No\nWWW-Authenticate: \(digest)", "401 No\nWWW-Authenticate: \(digest), stale=true", "101 Yes"],
            [
                "401 No\nWWW-Authenticate: \(digest)", "302 To\nLocation: /b\nAuthentication-Info: nextnonce=\"c\"",
                "403 No",
            ],
            ["302 To\nLocation: ws://other.example/", "401 No\nWWW-Authenticate: Basic realm=\"a\", Bearer", "401 No"],
            [
                "302 To\nLocation: ws://other.example/", "303 To\nLocation: ws://a.example/c", "308 To\nLocation: /d",
                "400 No",
            ],
            ["426 Up\nUpgrade: TLS/1.2", "426 Up\nSec-WebSocket-Version: 8, 7", "426 Up\nSec-WebSocket-Version: 9"],
            ["300 Many\nLocation: /a\nContent-Type: text/uri-list\n\n/b\nws://other.example/\n", "404 No"],
            ["407 No\nProxy-Authenticate: Basic realm=\"p\"", "407 No\nProxy-Authenticate: \(digest)", "405 No"],
            ["401 No\nWWW-Authenticate: Token, Bearer realm=\"x\", Basic realm=\"a\"\nSet-Cookie: a=b", "200 OK"],
            ["308 To\nLocation: /b", "301 To\nLocation: //other.example", "501 No"],
        ].map { Array($0.joined(separator: "\u{0}").utf8) }
        let ways: [[UInt8]] = (0..<8).map { [$0, $0 &* 37, $0 &* 11, $0] }
        return chains.deciding(ways) + [chains.flatMap { $0 + [0] }].deciding(ways)
            + seeds.heads(of: .server).prefix(30).map { $0 + [3, 17, 9, 1] }
    } run: { input in
        var input = input
        let handler = input.choice(8)
        let bits = input.byte()
        let more = input.byte()
        var layers = input.cuts()
        guard var traveller = Traveller(handler, bits, more) else { return check(false, "these are our own") }
        for part in input.content.split(separator: 0, omittingEmptySubsequences: false).prefix(40) {
            guard let response = Self.response(Array(part)), !traveller.isOver else { break }
            traveller.hop(response, &layers)
        }
    }

    /// A status line without the version and fields, each on a line, then an entity behind an empty one.
    private static func response(_ bytes: [UInt8]) -> HandshakeResponse? {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        let line = lines.first.map { $0.hasPrefix("HTTP/1.1 ") ? $0.dropFirst(9) : $0 } ?? ""
        guard let status = Int(line.prefix(3)), (100...999).contains(status) else { return nil }
        var fields = HTTPFields()
        let end = lines.firstIndex { $0.isEmpty || $0 == "\r" } ?? lines.endIndex
        for line in lines[..<end].dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, let name = HTTPField.Name(String(parts[0])) else { continue }
            let value = parts[1].drop { $0 == " " }
            guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { continue }
            fields.append(HTTPField(name: name, value: String(value)))
        }
        let entity = lines[end...].dropFirst().joined(separator: "\n")
        return HandshakeResponse(
            status: status,
            reason: line.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } ? String(line.dropFirst(4)) : "",
            headers: fields,
            body: ByteBuffer(string: entity)
        )
    }
}

/// One connect, without connections.
private struct Traveller {
    private static let password = "Zq9vXw7Rk2"
    private static let nonce = "f2/wE4q7"

    private let start: WebSocketURL
    private let proxy: Proxy
    private let handler: any ChallengeHandler
    private let hasHandler: Bool
    private let isLoginForAll: Bool
    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var attempt: ConnectAttempt
    private var jar = CookieJar()
    private var hasLeft = false
    private var answers = 0
    private var hops = 0
    private(set) var isOver = false

    init?(_ handler: Int, _ bits: UInt8, _ more: UInt8) {
        guard let start = try? WebSocketURL("ws://a.example/echo?"), let proxy = try? Proxy("http://p.example:3128")
        else { return nil }
        self.start = start
        self.proxy = proxy
        self.hasHandler = handler != 7
        // The caller itself sends these logins everywhere.
        self.isLoginForAll = handler >= 5
        self.handler = Self.handler(handler)
        var plan = ClientPlan(url: start)
        plan.headers[.authorization] = bits & 1 == 1 ? "Custom \(Self.password)" : nil
        plan.extended.headers[.cookie] = "own=\(Self.password)"
        plan.extended.method = bits & 2 == 2 ? "POST" : "GET"
        plan.extended.body = bits & 2 == 2 ? ByteBuffer(string: Self.password) : nil
        plan.extended.kaazingLegacy = bits & 4 == 4
        plan.dialect = bits & 8 == 8 ? .hixie76 : .rfc6455
        let policy = RedirectPolicy.allCases[Int(more) % RedirectPolicy.allCases.count]
        let login = PreemptiveCredentials(.basic(user: "joe", password: Self.password), origin: start)
        let authenticator = try? Authenticator(
            limit: 4,
            allowsWeakerScheme: bits & 16 == 16,
            preemptive: bits & 32 == 32 ? [login] : []
        )
        guard let authenticator else { return nil }
        self.attempt = ConnectAttempt(
            plan,
            redirects: RedirectTracker(
                from: start,
                policy: policy,
                allowsLeavingTLS: more & 64 == 64,
                follows308: bits & 64 == 64
            ),
            authenticator: authenticator,
            fallbacks: bits & 128 == 128 ? [.rfc6455, .hixie76, .hixie75] : []
        )
    }

    private static func handler(_ number: Int) -> any ChallengeHandler {
        switch number {
        case 0: return BasicChallengeHandler(user: "joe", password: password)
        case 1: return LoginChallengeHandler(user: "jöe", password: password)
        case 2: return TokenChallengeHandler(token: password)
        case 3:
            var handler = DispatchChallengeHandler()
            for pattern in ["ws://a.example/echo", "*.a.example:*/x/*", "ws://a.example"] {
                try? handler.register(LoginChallengeHandler(user: "joe", password: password), for: pattern, realm: "a*")
            }
            handler.register(BasicChallengeHandler { _ in .basic(user: "p", password: "other") }, forProxy: nil)
            return handler
        case 4: return BasicChallengeHandler { _ in nil }
        case 5:
            return LoginChallengeHandler { request in (request.round % 2 == 0 ? "joe" : "ann", password) }
        default:
            return Anything { request in
                switch request.round % 4 {
                case 0: .bearer(password)
                case 1: .token(password)
                case 2: .authorization("Basic am9lOndlbGNvbWU=")
                default: .digest(user: "joe", password: password)
                }
            }
        }
    }

    private struct Anything: ChallengeHandler {
        let credentials: @Sendable (ChallengeRequest) -> Credentials?

        func respond(to request: ChallengeRequest) async -> Credentials? { self.credentials(request) }
    }

    // MARK: One response

    mutating func hop(_ response: HandshakeResponse, _ layers: inout Cuts) {
        self.hops += 1
        let layer: HandshakeLayer = Bool.random(using: &layers) ? .opening : .extended
        self.verifyPlan()
        _ = self.attempt.authorization(for: self.proxy, clientNonce: Self.nonce)
        var course = HopCourse()
        do throws(WebSocketError) {
            switch StatusAction.action(forStatus: response.status, method: self.attempt.plan.extended.method) {
            case .challenge: course.ended(HopOutcome(kind: .challenge, layer: layer, response: response))
            case .redirect: course.ended(HopOutcome(kind: .redirect, layer: layer, response: response))
            case .choose: course.ended(HopOutcome(kind: .choose, layer: layer, response: response))
            case .upgrade: course.ended(HopOutcome(kind: .upgrade, layer: layer, response: response))
            case .proxyAuth: return try self.answerProxy(response)
            case .complete:
                try self.attempt.accepted(ResponseHead(status: 101, reason: ""))
                self.isOver = true
                return
            case .wait, .sendBody: return
            case .close where response.status == 308:
                course.ended(HopOutcome(kind: .redirect, layer: layer, response: response))
            case .close: course.failed(Self.refusal(response, layer))
            }
            check(course.isDecided, "a hop has ended, and nothing is decided")
            switch try course.end(at: self.attempt.url) {
            case .again: check(false, "nothing was held")
            case .challenged(let response, let layer): try self.answer(response, in: layer, &layers)
            case .redirected(let outcome): try self.follow(outcome)
            }
        } catch {
            self.fail(error)
        }
    }

    private static func refusal(_ response: HandshakeResponse, _ layer: HandshakeLayer) -> WebSocketError {
        WebSocketError(
            layer == .opening ? .openingRefused : .extendedRefused,
            "The server refused.",
            response: response,
            phase: layer == .opening ? .opening : .extended
        )
    }

    private mutating func fail(_ error: WebSocketError) {
        let explained = self.attempt.explained(error)
        check(!"\(explained)".contains(Self.password) && !explained.message.contains(Self.password), "\(explained)")
        self.keep(self.attempt.earlyCookies(of: error))
        guard self.attempt.fallBack(after: error) else { return self.isOver = true }
    }

    private mutating func follow(_ outcome: HopOutcome) throws(WebSocketError) {
        self.keep(self.attempt.earlyCookies(of: outcome))
        let choice = self.attempt.alternatives(of: outcome)?.last
        let jar = self.jar
        let (from, before) = (self.attempt.url, self.attempt.plan.redirects.count)
        let step = try self.attempt.follow(
            outcome,
            choice: choice,
            cookies: { jar.cookies(for: $0, now: 0).count },
            cookiesSent: jar.cookies(for: from, now: 0).count
        )
        guard let step else { return check(self.attempt.url == from, "without a step it is elsewhere") }
        check(!"\(step)".contains(Self.password), "a step tells a secret")
        check(self.attempt.plan.redirects.count == before + 1 && before < 5, "\(before) redirects are followed")
        check(step.to == self.attempt.url && step.from == from, "another step than was taken")
        if !self.attempt.url.isSameOrigin(as: self.start) { self.hasLeft = true }
        if let moved = self.attempt.moved {
            check(self.attempt.plan.redirects.contains { $0.to == moved.url }, "it moved to where it never was")
        }
    }

    private mutating func answer(
        _ response: HandshakeResponse,
        in layer: HandshakeLayer,
        _ layers: inout Cuts
    ) throws(WebSocketError) {
        self.keep(self.attempt.earlyCookies(of: response, in: layer))
        let dialogue = self.attempt.dialogue(
            about: response,
            in: layer,
            hasHandler: self.hasHandler,
            patience: .seconds(1),
            now: self.now
        )
        let answer = try self.end(dialogue)
        self.verify(answer.authorization.value)
        if Bool.random(using: &layers) {
            let (_, after) = self.attempt.replay(answer, clientNonce: Self.nonce)
            self.attempt = after
        } else {
            let plan = self.attempt.nextPlan(carrying: answer) { Self.nonce }
            let sent = layer == .opening ? plan.authorization : plan.extended.authorization
            check(sent?.value == answer.authorization.value, "the answer does not go out")
        }
    }

    private mutating func answerProxy(_ response: HandshakeResponse) throws(WebSocketError) {
        let dialogue = self.attempt.dialogue(
            about: response,
            of: self.proxy,
            hasHandler: self.hasHandler,
            patience: .seconds(1),
            now: self.now
        )
        let answer = try self.end(dialogue)
        // Logins for servers are for no proxy.
        check(self.isLoginForAll || !Self.tells(answer.authorization.value), "a proxy gets a server's login")
        try self.attempt.accepted(
            ResponseHead(status: 200, reason: ""),
            of: self.proxy
        )
    }

    /// Asks the handler until there is an answer, or none.
    private mutating func end(_ dialogue: ChallengeDialogue) throws(WebSocketError) -> ChallengeAnswer {
        var dialogue = dialogue
        var step = dialogue.begin(&self.attempt.authenticator, clientNonce: Self.nonce)
        for _ in 0..<1_000 {
            switch step {
            case .ask(let request):
                let credentials = ask(self.handler, request)
                guard request.round < 4 || credentials != nil else {
                    step = dialogue.timeReached()
                    continue
                }
                step = dialogue.take(credentials, &self.attempt.authenticator, clientNonce: Self.nonce)
            case .send(let answer):
                self.answers += 1
                check(self.answers <= 4, "\(self.answers) answers to challenges")
                check(answer.count <= 4, "\(answer.count) answers are counted")
                return answer
            case .giveUp(let error, _):
                check(ChallengeDialogue.closeCode(after: error).isValidOnWire, "a close code for nobody")
                throw error
            }
        }
        return { fatalError("a dialogue without an end") }()
    }

    // MARK: Rules

    private mutating func keep(_ fields: [SetCookie]) {
        for field in fields {
            guard let cookie = Cookie(field, from: self.attempt.url, now: 0) else { continue }
            self.jar.set(cookie, now: 0)
        }
    }

    /// Nothing that the caller gave for the first origin goes elsewhere, or back (threat F2).
    private mutating func verifyPlan() {
        check(self.hops <= 40, "there is no end")
        let plan = self.attempt.nextPlan { Self.nonce }
        check(!String(reflecting: plan.authorization).contains(Self.password), "a dump tells a login")
        if self.hasLeft {
            check(plan.headers.isEmpty && plan.extended.headers.isEmpty, "the caller's fields go along")
            check(plan.extended.body == nil && plan.extended.method == "GET", "the caller's body goes along")
            check(!self.attempt.isAtOrigin && !self.attempt.presentsClientCertificate, "secrets are kept")
        }
        for value in [plan.authorization?.value, plan.extended.authorization?.value] {
            if let value { self.verify(value) }
        }
        if self.attempt.cookieScope != .none {
            let cookies = self.jar.cookies(for: plan.url, scope: self.attempt.cookieScope, now: 0)
            check(cookies.allSatisfy { plan.url.host.hasSuffix($0.domain) }, "\(cookies) go to \(plan.url)")
        }
        // A connection can be made of it, or an error says why not.
        var generator = Cuts(seed: 7)
        let keyed = plan.withKeys(using: &generator)
        guard let prepared = try? PreparedClient(keyed, key: AcceptKey.makeKey(using: &generator)) else { return }
        check(prepared.challenges == plan.challenges, "challenges are not counted")
    }

    private func verify(_ value: String) {
        let isAtOrigin = self.attempt.url.isSameOrigin(as: self.start)
        check(isAtOrigin || self.isLoginForAll || !Self.tells(value), "\(self.attempt.url) gets the login")
        check(value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "a field of \(value.debugDescription)")
    }

    /// True for the login or the token, which are for the first origin only.
    private static func tells(_ value: String) -> Bool {
        value.contains(self.password) || BasicCredentials(authorization: value)?.password == self.password
            || value.hasPrefix("Digest ")
    }
}

/// The answer of a handler that waits for nothing.
func ask(_ handler: any ChallengeHandler, _ request: ChallengeRequest) -> Credentials? {
    let answer = Answer()
    Task.immediate {
        answer.credentials = await handler.respond(to: request); answer.isGiven = true
    }
    check(answer.isGiven, "a handler that waits for nothing is waited for")
    return answer.credentials
}

/// Fuzzing has one thread.
private final class Answer: @unchecked Sendable {
    var credentials: Credentials?
    var isGiven = false
}
