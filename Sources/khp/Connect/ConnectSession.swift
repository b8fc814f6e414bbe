import Foundation
import KHPClient
import Synchronization

/// One run of `khp connect`: connect, converse, and with `--reconnect` again, until there is a reason to end.
struct ConnectSession: Sendable {
    let url: String
    let subprotocols: [String]
    let client: WebSocketClient
    let source: OutgoingSource
    let count: Int?
    let timeout: Duration
    let reconnects: Bool
    let printer: MessagePrinter

    /// Ends when the conversation is over.
    /// - Throws: ``CommandFailure`` unless it closed cleanly.
    func run() async throws {
        let interruption = Interruption()
        let signals = Signals { interruption.interrupt() }
        defer { withExtendedLifetime(signals) {} }
        let reception = Reception(count: count)
        let input = InputStart()
        let policy = policy
        do {
            try await interruption.cancelling {
                try await client.withReconnection(to: url, subprotocols: subprotocols, policy: policy) { socket in
                    if input.isDue() { startInput() }
                    try await converse(over: socket, reception, policy, interruption)
                }
            }
        } catch {
            var failure = CommandFailure(any: error)
            // What is no URL may hold a password, and is not shown.
            failure.url = failure.url ?? (try? WebSocketURL(url))?.redacted
            throw failure
        }
    }

    /// The library's policy; without `--reconnect` one that never does.
    private var policy: ReconnectPolicy {
        var policy = ReconnectPolicy()
        policy.attempts = reconnects ? nil : 0
        let printer = printer
        policy.observer = { attempt in
            printer.note(
                "khp: \(CommandFailure(attempt.cause).sentence) (connecting again in "
                    + "\(Ladder.fixed(attempt.delay.seconds, digits: 1)) s)"
            )
        }
        return policy
    }

    /// One open socket, to its end.
    private func converse(
        over socket: WebSocket,
        _ reception: Reception,
        _ policy: ReconnectPolicy,
        _ interruption: Interruption
    ) async throws {
        let conversation = Conversation(
            socket: socket,
            source: source,
            reception: reception,
            timeout: timeout,
            printer: printer
        )
        let close: @Sendable () -> Void = { Task { _ = try? await socket.close(code: .goingAway) } }
        let info = try await interruption.doing(close) { try await conversation.run() }
        printer.close(info)
        // The end was seen, so the library connects again.
        if reconnects, !interruption.isInterrupted, policy.allows(info) { return }
        if let ending = ending(info, reception, interruption) { throw ending }
    }

    private func startInput() {
        guard case .lines(let queue, let isInteractive) = source else { return }
        if isInteractive {
            StandardInput.editLines(into: queue, prompt: "> ", output: printer.output)
        } else {
            StandardInput.readLines(into: queue)
        }
    }

    /// Why the command cannot end with success after this; `nil` when it can.
    private func ending(_ info: CloseInfo, _ reception: Reception, _ interruption: Interruption) -> CommandFailure? {
        if let failure = CommandFailure(info) { return failure }
        if interruption.isInterrupted { return nil }
        if let missing = reception.missing {
            return CommandFailure(.timeout, code: "timeout", "the connection closed after \(missing)")
        }
        return nil
    }
}

/// Standard input is read from the first open socket on, once.
private final class InputStart: Sendable {
    private let hasBegun = Mutex(false)

    func isDue() -> Bool {
        hasBegun.withLock { hasBegun in
            defer { hasBegun = true }
            return !hasBegun
        }
    }
}
