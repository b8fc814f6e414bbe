public import KHPProtocol

/// When ``WebSocketClient/withReconnection(to:subprotocols:policy:_:)-(String,_,_,_)`` connects again, and after which pause.
///
/// The longest pause grows exponentially up to a cap. Each pause is drawn at random between zero and the longest one
/// (full jitter), so that clients that lost the same server do not come back together.
///
/// It connects again after errors of the network, timeouts, the statuses 429, 500, 502, 503 and 504, of a server or of
/// a proxy, a SOCKS proxy that did not reach the server, and the close codes 1001, 1006 (a lost connection), 1012 and
/// 1013. It never does after any other status, 401 and 403 among them, after a failure of TLS, a redirect that was not
/// followed, an extension that is required and not agreed on, or a violation of the protocol: what was refused once
/// will be refused again.
public struct ReconnectPolicy: Sendable {
    /// The longest pause before the first new attempt.
    public var initialDelay: Duration = .milliseconds(500)
    /// How much longer the longest pause is after each further failure; less than 1 counts as 1.
    public var multiplier = 2.0
    /// The cap: no pause is longer, unless a server asks for more.
    public var maximumDelay: Duration = .seconds(30)
    /// How many attempts in a row may follow a connection that was lost or could not be made; `nil`: any number.
    public var attempts: Int?
    /// A socket that was open for so long starts the pauses and the count of attempts anew.
    public var stableTime: Duration = .seconds(10)
    /// The longest Retry-After of a 503 or 429 that is honoured. A random pause follows it, so that clients with the
    /// same Retry-After do not come back together.
    public var maximumRetryAfter: Duration = .seconds(300)
    /// Half a second that doubles up to 30 s, without an end.
    public init() {}

    /// Returns `true` when a connect that failed like this may succeed next time.
    public func allows(_ error: WebSocketError) -> Bool {
        switch error.code {
        case .timeout, .closedDuringHandshake: true
        case .connectFailed, .openingRefused, .extendedRefused, .proxyRefused:
            // A proxy says so where the server cannot be reached.
            error.response.map { [429, 500, 502, 503, 504].contains($0.status) }
                ?? (error.code == .connectFailed || error.detail == .beyondProxy)
        default: false
        }
    }

    /// Returns `true` when a connection that ended like this is worth a new one.
    public func allows(_ end: CloseInfo) -> Bool {
        if end.initiator == .peer, let code = end.code, [1001, 1012, 1013].contains(code.rawValue) { return true }
        guard !end.clean, let error = end.error, error.phase != .closing else { return false }
        switch error.code {
        // Lost, silent or stalled: 1006. Any other end without a close frame is a fault of one side.
        case .connectFailed, .closed, .timeout, .tlsFailed: return true
        default: return false
        }
    }

    /// The wait that a server asks for.
    /// - Parameter now: seconds since 1970 UTC.
    func retryAfter(_ error: WebSocketError, now: Int64) -> Duration? {
        guard let response = error.response, response.status == 503 || response.status == 429 else { return nil }
        return response.retryAfter(now: now)
    }
}

/// Time and chance, for a loop that reconnects.
package struct ReconnectTime: Sendable {
    package var sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    /// From 0 to 1.
    package var random: @Sendable () -> Double = { Double.random(in: 0...1) }
    /// A time that never goes back.
    package var clock: @Sendable () -> Duration = {
        let start = Self.start
        return start.duration(to: .now)
    }
    /// Seconds since 1970 UTC.
    package var wallClock: @Sendable () -> Int64 = { WallClock.now() }

    private static let start = ContinuousClock.now

    package init() {}
}

/// The pauses, one after the other. Chance is an argument.
struct ReconnectSchedule {
    /// A year: a clock cannot count to the end of a pause that is as long as a duration can be.
    private static let longest = Duration.seconds(365 * 86_400)

    private let policy: ReconnectPolicy
    private(set) var failures = 0

    init(_ policy: ReconnectPolicy) {
        self.policy = policy
    }

    /// The longest that the next pause can be without Retry-After, in seconds.
    var bound: Double {
        let multiplier = self.policy.multiplier >= 1 ? self.policy.multiplier : 1
        let cap = max(0, self.policy.maximumDelay / .seconds(1))
        var bound = max(0, self.policy.initialDelay / .seconds(1))
        for _ in 0..<min(self.failures, 1000) where bound > 0 && bound < cap { bound *= multiplier }
        return min(bound, cap)
    }

    /// The next pause; nil when the attempts are used up.
    /// - Parameters:
    ///   - retryAfter: the time that the server asks for.
    ///   - random: from 0 to 1.
    mutating func next(retryAfter: Duration?, random: Double) -> Duration? {
        if let attempts = self.policy.attempts, self.failures >= attempts { return nil }
        // The jitter comes after the cap: otherwise most pauses would be the cap.
        let pause = Duration.seconds(self.bound * (random >= 0 ? min(random, 1) : 0))
        self.failures += 1
        return min(pause + max(.zero, min(retryAfter ?? .zero, self.policy.maximumRetryAfter)), Self.longest)
    }

    /// A connection was stable.
    mutating func reset() {
        self.failures = 0
    }
}
