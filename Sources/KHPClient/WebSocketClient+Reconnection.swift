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
    /// - when `body` throws, unless that is a ``WebSocketError`` of a connection that was lost in this way. Its socket
    ///   is closed with 1011 then;
    /// - when a connect fails in a way that the policy does not allow to be repeated, or its attempts are used up: then
    ///   the last error is thrown;
    /// - when the task is cancelled.
    ///
    /// Where permanent redirects (301, and 308 where it is followed) alone have led to, the next connect begins; after
    /// any other redirect it begins at `url` (D29).
    ///
    /// Messages sent before a connection was lost may have arrived or not: `body` decides whether to send them again.
    /// Every connect has ``Timeouts/total`` for itself.
    /// - Parameters:
    ///   - url: ws, wss, http or https.
    ///   - subprotocols: the application's, in order of preference.
    ///   - policy: when to connect again, and after which pause.
    ///   - body: what to do with each socket.
    /// - Returns: what `body` returns.
    nonisolated(nonsending) public func withReconnection<Result>(
        to url: String,
        subprotocols: [String] = [],
        policy: ReconnectPolicy = ReconnectPolicy(),
        _ body: (WebSocket) async throws -> Result
    ) async throws -> Result {
        var schedule = ReconnectSchedule(policy)
        var earlier = EarlierConnects()
        while true {
            let cause: WebSocketError
            var returned: Result? = nil
            switch await self.attempt(url, subprotocols, &earlier) {
            case .failure(let error):
                guard let error = error as? WebSocketError, policy.allows(error) else { throw error }
                cause = error
            case .success(let socket):
                let began = policy.clock()
                switch try await Self.run(body, with: socket, policy) {
                case .done(let result): return result
                case .lost(let error, let result):
                    cause = error
                    returned = result
                }
                if policy.clock() - began >= policy.stableTime { schedule.reset() }
            }
            let asked = policy.retryAfter(cause)
            guard let delay = schedule.next(retryAfter: asked, random: policy.random()) else {
                // No attempt is left, and the body has returned: an end that it saw is not its failure.
                if let returned { return returned }
                throw cause
            }
            policy.observe?(ReconnectAttempt(attempt: schedule.failures, delay: delay, cause: cause))
            self.configuration.logger?.info(
                "connecting again",
                metadata: ["attempt": "\(schedule.failures)", "delay": "\(delay)", "cause": "\(cause)"]
            )
            try await policy.sleep(delay)
        }
    }

    private func attempt(
        _ url: String,
        _ subprotocols: [String],
        _ earlier: inout EarlierConnects
    ) async -> Swift.Result<WebSocket, any Error> {
        do {
            return .success(try await self.connect(to: url, subprotocols: subprotocols, after: &earlier))
        } catch {
            return .failure(error)
        }
    }

    private enum Run<Result> {
        case done(Result)
        /// With the body's result, if it returned one.
        case lost(WebSocketError, Result?)
    }

    nonisolated(nonsending) private static func run<Result>(
        _ body: (WebSocket) async throws -> Result,
        with socket: WebSocket,
        _ policy: ReconnectPolicy
    ) async throws -> Run<Result> {
        do {
            let result = try await socket.withOwner(body)
            let sawEnd = socket.endWasSeen
            let end = try await socket.close()
            return sawEnd && policy.allows(end) ? .lost(Self.cause(end, socket), result) : .done(result)
        } catch {
            let hadEnded = socket.hasEnded
            let end = try? await socket.close(code: error is CancellationError ? .goingAway : .internalError)
            guard hadEnded, error is WebSocketError, !Task.isCancelled, let end, policy.allows(end) else { throw error }
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
