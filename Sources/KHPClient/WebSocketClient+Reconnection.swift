// Sockets one after the other, for programs that need one to stay: an opt-in loop around connect.

import KHPProtocol
public import KHPWebSocket
import Logging

extension WebSocketClient {
    /// Opens a socket, runs `body` with it, and when the connection cannot be made or is lost, opens another one and
    /// runs `body` anew.
    ///
    /// It ends
    /// - when `body` returns, unless it had come to the end of `messages` or `chunks`, or seen `closed()`, of a
    ///   connection whose end the policy allows to be followed by another: then its result is dropped and it runs
    ///   again, as long as attempts are left. A body that returns of its own accord is never run twice;
    /// - when `body` throws, unless that is a ``WebSocketError`` of a connection that was lost in this way, or that
    ///   the peer is closing in this way. Its socket is closed with 1011 then;
    /// - when a connect fails in a way that the policy does not allow to be repeated, or its attempts are used up: then
    ///   the last error is thrown;
    /// - when the task is cancelled.
    ///
    /// The next connect begins at the URL that permanent redirects alone (301, and 308 where it is followed) have led
    /// to. After any other redirect it begins at `url`.
    ///
    /// Messages sent before a connection was lost may have arrived or not: `body` decides whether to send them again.
    /// Every connect has ``Timeouts/total`` for itself.
    /// - Parameters:
    ///   - url: ws, wss, http or https.
    ///   - subprotocols: the application's, in order of preference.
    ///   - policy: when to connect again, and after which pause.
    ///   - body: the work to do with each socket.
    /// - Returns: the result of `body`.
    /// - Throws: ``WebSocketError`` for a URL that is none and for the last connect that fails, `CancellationError`, and the
    ///   errors of `body`.
    nonisolated(nonsending) public func withReconnection<Value>(
        to url: String,
        subprotocols: [String] = [],
        policy: ReconnectPolicy = ReconnectPolicy(),
        _ body: (WebSocket) async throws -> Value
    ) async throws -> Value {
        try await self.withReconnection(to: WebSocketURL(url), subprotocols: subprotocols, policy: policy, body)
    }

    /// As the form that takes a text, at a URL that is parsed already.
    /// - Parameters:
    ///   - url: the URL to connect to.
    ///   - subprotocols: the application's, in order of preference.
    ///   - policy: when to connect again, and after which pause.
    ///   - body: the work to do with each socket.
    /// - Returns: the result of `body`.
    /// - Throws: as the form that takes a text does, but for ``WebSocketError/Code/invalidURL``.
    nonisolated(nonsending) public func withReconnection<Value>(
        to url: WebSocketURL,
        subprotocols: [String] = [],
        policy: ReconnectPolicy = ReconnectPolicy(),
        _ body: (WebSocket) async throws -> Value
    ) async throws -> Value {
        try await self.withReconnection(
            to: url,
            subprotocols: subprotocols,
            policy: policy,
            time: ReconnectTime(),
            body
        )
    }

    /// Connects and reconnects with the given clock and randomness, for tests.
    nonisolated(nonsending) package func withReconnection<Value>(
        to url: WebSocketURL,
        subprotocols: [String] = [],
        policy: ReconnectPolicy,
        time: ReconnectTime,
        _ body: (WebSocket) async throws -> Value
    ) async throws -> Value {
        var schedule = ReconnectSchedule(policy)
        var earlier = EarlierConnects()
        while true {
            let cause: WebSocketError
            var returned: Value? = nil
            switch await self.attempt(url, subprotocols, &earlier) {
            case .failure(let error):
                guard let error = error as? WebSocketError, policy.allows(error) else { throw error }
                cause = error
            case .success(let socket):
                let began = time.clock()
                switch try await Self.run(body, with: socket, policy) {
                case .done(let result): return result
                case .lost(let error, let result):
                    cause = error
                    returned = result
                }
                if time.clock() - began >= policy.stableTime { schedule.reset() }
            }
            let asked = policy.retryAfter(cause, now: time.wallClock())
            guard let delay = schedule.next(retryAfter: asked, random: time.random()) else {
                // No attempt is left, and the body has returned: an end that it saw is not its failure.
                if let returned { return returned }
                throw cause
            }
            earlier.observer?.observe(
                .reconnecting(attempt: schedule.failures, delay: delay, cause: cause),
                earlier.info
            )
            self.configuration.logger?.info(
                "connecting again",
                metadata: ["attempt": "\(schedule.failures)", "delay": "\(delay)", "cause": "\(cause)"]
            )
            try await time.sleep(delay)
        }
    }

    private func attempt(
        _ url: WebSocketURL,
        _ subprotocols: [String],
        _ earlier: inout EarlierConnects
    ) async -> Result<WebSocket, any Error> {
        do {
            return .success(try await self.connect(to: url, subprotocols: subprotocols, after: &earlier))
        } catch {
            return .failure(error)
        }
    }

    private enum Run<Value> {
        case done(Value)
        /// With the body's result, if it returned one.
        case lost(WebSocketError, Value?)
    }

    nonisolated(nonsending) private static func run<Value>(
        _ body: (WebSocket) async throws -> Value,
        with socket: WebSocket,
        _ policy: ReconnectPolicy
    ) async throws -> Run<Value> {
        do {
            let result = try await socket.withOwner(body)
            let sawEnd = socket.endWasSeen
            let end = try await socket.close()
            return sawEnd && policy.allows(end) ? .lost(Self.cause(end, socket), result) : .done(result)
        } catch {
            let hadEnded = socket.hasEnded
            let end = try? await socket.close(code: error is CancellationError ? .goingAway : .internalError)
            guard let known = error as? WebSocketError, !Task.isCancelled, let end, policy.allows(end),
                // Whoever sends is told of the peer's close at once, and the connection lasts until TCP has ended.
                hadEnded || known.code == .closed && end.initiator == .peer
            else { throw error }
            return .lost(Self.cause(end, socket), nil)
        }
    }

    private static func cause(_ end: CloseInfo, _ socket: WebSocket) -> WebSocketError {
        if var error = end.error {
            error.url = error.url ?? socket.negotiated.url
            return error
        }
        return WebSocketError(
            .closed,
            "The server closed the connection with \(end.code.map(\.description) ?? "no code").",
            url: socket.negotiated.url,
            closeCode: end.code,
            phase: .open
        )
    }
}
