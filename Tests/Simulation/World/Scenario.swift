// The conversation that a seed chooses: dialect, the shape of both handshakes, the way over other hosts, extensions, the
// application's manners and the bounds in time.

import HTTPTypes
import KHPProtocol
import NIOCore

struct Scenario: Sendable {
    /// A bound in time that is configured to nothing, as a user might who wants none.
    enum ShortWait: String, CaseIterable {
        case none, connect, opening, extended, wait, replay, message, stalledWrite, closeHold, close, pong, idle
    }

    /// The places asked before a handshake completes: the application about every request, or about those that end one, or
    /// somebody who knows credentials.
    enum Asks { case before, application, credentialsOutside, credentialsInside, nobody }

    /// Parts that can be left out of a run that fails, to see whether it still fails.
    enum Part: String, CaseIterable {
        case deflate, pingPong, idleTimeout, revalidate, provisional, observed, legacy, pings, chunks, shortWait,
            places, body, cookies, session, holdsClose, extended
    }

    var dialect: Dialect
    var policy: ExtendedHandshakePolicy
    var isLegacy: Bool
    var hasBody: Bool
    var serverExtends: Bool
    var answersBeforeKeys: Bool
    /// The statuses of the servers' answers to opening requests, over all hops, then 101.
    var openingAnswers: [Int]
    /// The statuses of the servers' answers inside, over all hops, the last of them repeated.
    var insideAnswers: [Int]
    /// A provisional answer of an intermediary's, before the server's to an opening request.
    var provisional: Int?
    /// The places asked about a request.
    var asks: Asks
    /// False where the server has no room for one more.
    var hasRoom: Bool
    /// Where redirects lead, by number.
    var places: [Int]
    var redirects: RedirectPolicy
    var follows308: Bool
    /// The scheme of challenges.
    var scheme: Int
    var answersChallenges: Bool
    var setsCookies: Bool
    var subprotocol: String?
    var extensions: Set<ExtensionKind>
    var delivery: MessageDelivery
    var hasPings: Bool
    var shortWait: ShortWait
    var isObserved: Bool
    var holdsClose: Bool
    var hasSession: Bool
    var messageLimit: Int
    /// Steps before the transport is up.
    var stepsBeforeStart: Int
    var stepCount: Int
    var faultCount: Int

    init(_ generator: inout SeededGenerator) {
        self.dialect = generator.pick([
            (.rfc6455, weight: 7), (.hixie75, weight: 1), (.hixie76, weight: 1), (.whatwg2010, weight: 1),
        ])
        self.policy = generator.pick([(.preferred, weight: 6), (.off, weight: 2), (.required, weight: 1)])
        self.isLegacy = generator.once(in: 5)
        self.hasBody = generator.once(in: 6)
        self.serverExtends = !generator.once(in: 6)
        self.answersBeforeKeys = generator.once(in: 3)
        self.openingAnswers = generator.pick([
            ([], weight: 18), ([401], weight: 3), ([401, 401], weight: 1), ([Self.redirect(&generator)], weight: 2),
            ([Self.redirect(&generator), 401], weight: 1), ([404], weight: 1), ([407], weight: 1), ([426], weight: 1),
            ([503], weight: 1), ([Self.anyStatus(&generator)], weight: 4),
        ])
        let final = Self.final(&generator)
        self.insideAnswers = generator.pick([
            ([final], weight: 10), ([202, final], weight: 2), ([202, 202, final], weight: 1),
            ([401, final], weight: 4),
            ([401, 401, final], weight: 1), ([Self.redirect(&generator), final], weight: 2),
            ([Self.redirect(&generator), 401, final], weight: 1), ([202], weight: 1), ([401], weight: 1),
            ([401, 202, final], weight: 1), ([100, final], weight: 1), ([Self.redirect(&generator)], weight: 1),
        ])
        self.provisional =
            generator.once(in: 8) ? [100, 102, 103, 122, 161].randomElement(using: &generator) : nil
        self.asks = generator.pick([
            (.before, weight: 12), (.application, weight: 2), (.credentialsOutside, weight: 1),
            (.credentialsInside, weight: 1), (.nobody, weight: 1),
        ])
        self.hasRoom = !generator.once(in: 60)
        self.places = (0..<4).map { _ in Int.random(in: 0..<Places.count, using: &generator) }
        self.redirects =
            generator.once(in: 2) ? .always : RedirectPolicy.allCases.randomElement(using: &generator) ?? .always
        self.follows308 = generator.once(in: 2)
        self.scheme = Int.random(in: 0..<4, using: &generator)
        self.answersChallenges = !generator.once(in: 6)
        self.setsCookies = generator.once(in: 3)
        self.subprotocol = generator.once(in: 2) ? "amqp" : nil
        self.extensions = []
        for kind in ExtensionKind.allCases where generator.once(in: 4) { self.extensions.insert(kind) }
        self.delivery = generator.once(in: 4) ? .chunks : .messages
        self.hasPings = !generator.once(in: 4)
        self.shortWait = generator.once(in: 4) ? ShortWait.allCases.randomElement(using: &generator) ?? .none : .none
        self.isObserved = generator.once(in: 3)
        self.holdsClose = generator.once(in: 2)
        self.hasSession = generator.once(in: 10)
        self.messageLimit = generator.once(in: 3) ? 70_000 : 1_048_576
        self.stepsBeforeStart = generator.once(in: 10) ? Int.random(in: 1...6, using: &generator) : 0
        self.stepCount = Int.random(in: 20...120, using: &generator)
        self.faultCount = generator.pick([(0, weight: 4), (1, weight: 5), (2, weight: 2), (3, weight: 1)])
    }

    private static func redirect(_ generator: inout SeededGenerator) -> Int {
        generator.pick([
            (302, weight: 3), (301, weight: 1), (303, weight: 1), (307, weight: 1), (308, weight: 1), (300, weight: 1),
        ])
    }

    private static func final(_ generator: inout SeededGenerator) -> Int {
        generator.pick([
            (101, weight: 24), (201, weight: 2), (204, weight: 1), (205, weight: 1), (403, weight: 1), (407, weight: 1),
            (426, weight: 1), (503, weight: 1), (200, weight: 1),
            (Self.anyStatus(&generator), weight: 6),
        ])
    }

    private static func anyStatus(_ generator: inout SeededGenerator) -> Int {
        StatusCodes.code(Int.random(in: 0..<100_000, using: &generator))
    }

    /// The same without a part.
    func without(_ part: Part) -> Scenario {
        var plain = self
        switch part {
        case .deflate: plain.extensions.remove(.deflate)
        case .pingPong: plain.extensions.remove(.pingPong)
        case .idleTimeout: plain.extensions.remove(.idleTimeout)
        case .revalidate: plain.extensions.remove(.revalidate)
        case .provisional: plain.provisional = nil
        case .observed: plain.isObserved = false
        case .legacy: plain.isLegacy = false
        case .pings: plain.hasPings = false
        case .chunks: plain.delivery = .messages
        case .shortWait: plain.shortWait = .none
        case .places: plain.places = [0, 0, 0, 0]
        case .body: plain.hasBody = false
        case .cookies: plain.setsCookies = false
        case .session: plain.hasSession = false
        case .holdsClose: plain.holdsClose = false
        case .extended: plain.policy = .off
        }
        return plain
    }

    // MARK: As the connections have it

    var timeouts: Timeouts {
        var timeouts = Timeouts()
        switch self.shortWait {
        case .none, .pong, .idle: break
        case .connect: timeouts.connect = .zero
        case .opening: timeouts.opening = .zero
        case .extended: timeouts.extended = .zero
        case .wait: timeouts.wait = .zero
        case .replay: timeouts.replay = .zero
        case .message: timeouts.message = .zero
        case .stalledWrite: timeouts.stalledWrite = .zero
        case .closeHold: timeouts.closeHold = .zero
        case .close: timeouts.close = .zero
        }
        return timeouts
    }

    var keepAlive: KeepAliveConfiguration {
        var keepAlive = KeepAliveConfiguration()
        if !self.hasPings { keepAlive.pingInterval = nil }
        if self.shortWait == .pong { keepAlive.pongTimeout = .zero }
        if self.shortWait == .idle { keepAlive.idleTimeout = .seconds(50) }
        return keepAlive
    }

    /// In one order, that each run of a seed has.
    var extensionKinds: [ExtensionKind] { ExtensionKind.allCases.filter { self.extensions.contains($0) } }

    var deflates: Bool { self.extensions.contains(.deflate) }

    var sessionLifetime: TimeAmount? { self.hasSession ? .seconds(40) : nil }

    var configuration: ConnectionConfiguration {
        var settings = ConnectionSettings()
        settings.delivery = self.delivery
        settings.observation = self.isObserved ? .everything : .nothing
        settings.dialects = [self.dialect]
        settings.limits.messages.messageBytes = self.messageLimit
        settings.timeouts = self.timeouts
        settings.keepAlive = self.keepAlive
        return ConnectionConfiguration(settings)
    }

    func plan(_ generator: inout SeededGenerator, _ revalidations: Revalidations) throws(WebSocketError) -> ClientPlan {
        var plan = ClientPlan(url: try WebSocketURL(Places.first))
        plan.dialect = self.dialect
        plan.subprotocols = self.subprotocol.map { [$0] } ?? []
        plan.extended.policy = self.policy
        plan.extended.kaazingLegacy = self.isLegacy && self.policy != .off
        plan.takesCookies = true
        if self.hasBody {
            plan.extended.method = "POST"
            plan.extended.body = ByteBuffer(string: "the body of the extended request")
        }
        plan.headers[.authorization] = nil
        if let name = HTTPField.Name("X-Api-Key") {
            plan.headers[name] = Secrets.of(0, .key)
            plan.extended.headers[name] = Secrets.of(0, .key)
        }
        plan.extensions = self.extensionKinds.map { $0.make(revalidations) }
        return plan.withKeys(using: &generator)
    }

    func endpoints() throws(WebSocketError) -> EndpointSet {
        var values = EndpointConfiguration.Values(path: "/{path...}")
        values.plan.dialects = [self.dialect]
        values.plan.answersBeforeKeys = self.answersBeforeKeys
        values.plan.subprotocols = ["amqp"]
        values.plan.servesWithoutSubprotocol = true
        values.plan.extensions = self.extensionKinds.map { $0.make(nil) }
        values.plan.sessionLifetime = self.sessionLifetime
        values.extendedHandshake = self.serverExtends ? .optional : .off
        switch self.asks {
        case .before: values.asksBefore = true
        case .application: values.asksApplication = true
        case .credentialsOutside: values.authenticatesIn = .opening
        case .credentialsInside: values.authenticatesIn = .extended
        case .nobody: break
        }
        return try EndpointSet([EndpointConfiguration(values, index: 0)])
    }
}

/// Where redirects lead: the same place, other ports, hosts above, below and beside, other schemes, and no place at all.
enum Places {
    static let first = "ws://sim.example.com/room?token=\(Secrets.of(0, .token))"

    private static let all = [
        "/other", "ws://sim.example.com/third?a=b", "ws://sim.example.com:8080/port", "ws://peer.example.com/peer",
        "ws://a.sim.example.com/below", "ws://other.example.net/away", "wss://sim.example.com/secure",
        "http://sim.example.com/http", first, "ws://sim.example.com:8080/port#fragment", "::no place::",
        "ws://user:pass@other.example.net/", "",
    ]

    static var count: Int { self.all.count }

    /// A Location that holds a secret of the place that it leads to.
    static func location(_ number: Int, from url: WebSocketURL) -> String {
        let place = self.all[number % self.all.count]
        guard let target = try? url.resolving(place), !place.contains("#"), !place.isEmpty, !place.contains("token")
        else { return place }
        return place + (place.contains("?") ? "&" : "?") + "token=" + Secrets.of(Secrets.host(target), .token)
    }
}
