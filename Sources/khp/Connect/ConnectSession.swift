import Foundation
import KHPClient

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
        var backoff = Backoff()
        var hasInput = false
        while true {
            var failure: CommandFailure
            do {
                let socket = try await connect(interruption)
                backoff.reset()
                if !hasInput {
                    hasInput = true
                    startInput()
                }
                let conversation = Conversation(
                    socket: socket,
                    source: source,
                    reception: reception,
                    timeout: timeout,
                    printer: printer
                )
                interruption.set { Task { _ = try? await socket.close(code: .goingAway) } }
                let info = try await conversation.run()
                interruption.set(nil)
                printer.close(info)
                guard let ending = ending(info, reception, interruption) else { return }
                failure = ending
            } catch {
                failure = CommandFailure(any: error)
            }
            // What is no URL may hold a password, and is not shown.
            failure.url = failure.url ?? (try? WebSocketURL(url))?.description
            guard reconnects, !interruption.isInterrupted, Self.isWorthAnother(failure) else { throw failure }
            try await pause(&backoff, after: failure, interruption)
        }
    }

    private func connect(_ interruption: Interruption) async throws -> WebSocket {
        let (client, url, subprotocols) = (client, url, subprotocols)
        return try await interruption.cancelling {
            try await client.connect(to: url, subprotocols: subprotocols)
        }
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
        if reconnects, info.initiator == .peer, info.code == .goingAway {
            return CommandFailure(.closedOtherwise, code: "closed", "the server is going away")
        }
        return nil
    }

    /// Whether a new connection may fare better: not when something was typed wrong, refused or broken.
    private static func isWorthAnother(_ failure: CommandFailure) -> Bool {
        switch failure.status {
        case .closedOtherwise, .connectFailed, .timeout: true
        case .openingFailed, .extendedFailed: failure.httpStatus.map { [502, 503, 504].contains($0) } ?? false
        default: false
        }
    }

    private func pause(_ backoff: inout Backoff, after failure: CommandFailure, _ interruption: Interruption)
        async throws
    {
        let pause = backoff.next()
        printer.note(
            "khp: \(failure.sentence) (connecting again in \(Ladder.fixed(pause.seconds, digits: 1)) s)"
        )
        try await interruption.cancelling { try await Task.sleep(for: pause) }
    }
}
