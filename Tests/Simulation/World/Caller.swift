// The caller of a connect over all its hops, with the values that decide in the product: where to go next, what may come
// along, how challenges are answered.

import HTTPTypes
import KHPProtocol
import NIOCore

struct Caller {
    /// A challenge that the caller's handler is asked about.
    struct Question {
        var dialogue: ChallengeDialogue
        let layer: HandshakeLayer
        let since: NIODeadline
        var request: ChallengeRequest?
    }

    var attempt: ConnectAttempt
    /// Where the last hop that began leads. A connect whose time is over ends when its attempt is at the next place.
    private(set) var place: WebSocketURL
    var course = HopCourse()
    /// The answer to a challenge that waits for a fresh connection.
    var carried: ChallengeAnswer?
    var question: Question?
    private var jar = CookieJar()
    private var cookiesSent = 0
    /// The end of the whole connect; the time that the handler takes does not count.
    var deadline: NIODeadline
    var failure: WebSocketError?
    private let patience: Duration
    /// The owners of the tokens with which balancers have sent the client to a host.
    private var balanced: [Int: Set<Int>] = [:]
    private(set) var hops = 0
    /// True while another hop may follow.
    var goesOn = true

    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    static let clientNonce = "c2ltdWxhdGVk"
    /// Redirects, challenges and a version: no connect of the library's takes more.
    static let mostHops = 16

    init(
        _ scenario: Scenario,
        _ revalidations: Revalidations,
        _ generator: inout SeededGenerator,
        now: NIODeadline
    ) throws(Violation) {
        self.deadline = now + TimeAmount(scenario.timeouts.total)
        self.patience = scenario.timeouts.challenge
        do throws(WebSocketError) {
            let plan = try scenario.plan(&generator, revalidations)
            self.place = plan.url
            self.attempt = ConnectAttempt(
                plan,
                redirects: RedirectTracker(from: plan.url, policy: scenario.redirects, follows308: scenario.follows308),
                authenticator: Authenticator(limit: 4)
            )
        } catch {
            throw Violation(.plan, "\(error)")
        }
    }

    /// The next hop's side.
    mutating func connect(
        _ configuration: ConnectionConfiguration,
        _ scenario: Scenario,
        now: NIODeadline
    ) throws(Violation) -> Side {
        var plan = self.attempt.nextPlan(carrying: self.carried) { Self.clientNonce }
        self.carried = nil
        self.course = HopCourse()
        self.place = self.attempt.url
        plan.cookies = self.cookies()
        self.hops += 1
        do throws(WebSocketError) {
            let connection = try Connection(
                client: plan,
                configuration: configuration,
                key: Self.key,
                masks: CountedMasks(),
                deadline: self.deadline,
                now: now
            )
            return Side(.client, connection, holdsClose: scenario.holdsClose, now: now)
        } catch {
            throw Violation(.plan, "hop \(self.hops): \(error)")
        }
    }

    // MARK: Cookies

    mutating func keep(_ cookies: [SetCookie]) {
        for cookie in cookies.compactMap({ Cookie($0, from: self.attempt.url, now: 0) }) {
            self.jar.set(cookie, now: 0)
        }
    }

    /// The value of Cookie for the next request.
    private mutating func cookies() -> String? {
        self.cookiesSent = Self.state(self.jar, self.attempt.url)
        return self.jar.header(for: self.attempt.url, scope: self.attempt.cookieScope, now: 0)
    }

    /// Differs when the cookies for a URL do.
    private static func state(_ jar: CookieJar, _ url: WebSocketURL) -> Int {
        jar.cookies(for: url, now: 0).reduce(0) { count, cookie in
            count + cookie.name.utf8.count + cookie.value.utf8.count
        }
    }

    mutating func follow(_ outcome: HopOutcome) throws(WebSocketError) {
        let jar = self.jar
        _ = try self.attempt.follow(outcome, cookies: { Self.state(jar, $0) }, cookiesSent: self.cookiesSent)
        guard outcome.kind == .balancer else { return }
        let owners = Secrets.secrets(in: self.attempt.url.description).filter { $0.kind == .token }.map(\.owner)
        self.balanced[Secrets.host(self.attempt.url), default: []].formUnion(owners)
    }

    /// True where a balancer has sent the client to this host with a token of that one. A step up to TLS goes to the
    /// same resource, whose query is part of it.
    func isBalanced(tokenOf owner: Int, to host: Int) -> Bool {
        [host, host & ~1].contains { self.balanced[$0]?.contains(owner) ?? false }
    }

    // MARK: Challenges

    func dialogue(_ response: HandshakeResponse, _ layer: HandshakeLayer, now: NIODeadline) -> ChallengeDialogue {
        self.attempt.dialogue(
            about: response,
            in: layer,
            hasHandler: true,
            patience: self.patience,
            now: now
        )
    }

    /// The password of the place that asks; another one each time, so that it is not the one that was refused.
    func credentials(for request: ChallengeRequest, answers: Bool) -> Credentials? {
        guard answers, ["basic", "digest"].contains(request.scheme.lowercased()) else { return nil }
        let password = Secrets.of(Secrets.host(request.url), .password) + "-\(self.attempt.authenticator.count)"
        return .login(user: "user", password: password)
    }

    /// The request once more on the same connection.
    mutating func replay(_ answer: ChallengeAnswer) -> (OpeningReplay, ConnectAttempt) {
        self.course.holds(answer)
        var (replay, after) = self.attempt.replay(answer, clientNonce: Self.clientNonce)
        replay.cookies = self.cookies()
        return (replay, after)
    }

    static var replayKey: String { self.key }
}

/// Masks that are the same in each run; half of the frames go without, so that their bytes are those of the message.
struct CountedMasks: MaskSource {
    private var count: UInt32 = 0

    mutating func next() -> UInt32 {
        self.count &+= 1
        return self.count % 2 == 0 ? 0 : self.count &* 0x9E37_79B9
    }
}
