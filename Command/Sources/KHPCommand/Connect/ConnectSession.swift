import Foundation
import KHPClient
import Synchronization

/// One run of `khp connect`: connect, converse, and with `--reconnect` again, until there is a reason to end.
struct ConnectSession<Sockets: SocketSource>: Sendable {
    /// How long the closing handshake may take when nobody is there to see it.
    private static var farewell: Duration { .milliseconds(250) }

    let url: String
    let subprotocols: [String]
    let sockets: Sockets
    let source: OutgoingSource
    let count: Int?
    /// True where it stays when everything has been sent.
    let listens: Bool
    let timeout: Duration
    let reconnects: Bool
    let watcher: Watcher
    let surroundings: Surroundings
    let time: CommandTime

    /// Ends when the conversation is over.
    /// - Throws: ``CommandFailure`` unless it closed cleanly.
    func run() async throws {
        let (console, shutdown, time) = (self.surroundings.console, self.surroundings.shutdown, self.time)
        let interruption = Interruption()
        console.onLoss { loss in
            interruption.interrupt(.outputLost(loss))
            Task {
                try await time.sleep(time.now() + Self.farewell)
                shutdown.leave(for: loss)
            }
        }
        console.watchReader()
        do {
            let signals = shutdown.signals()
            try await withThrowingTaskGroup(of: Void.self) { group in
                defer { group.cancelAll() }
                group.addTask {
                    for await number in signals { interruption.interrupt(.signal(number)) }
                }
                try await self.connect(interruption)
            }
        } catch is Over {
            // As it was wanted.
        } catch {
            if case .outputLost(let loss)? = interruption.cause { shutdown.leave(for: loss) }
            throw self.failure(error, interruption)
        }
        if case .outputLost(let loss)? = interruption.cause { shutdown.leave(for: loss) }
    }

    private func connect(_ interruption: Interruption) async throws {
        let reception = Reception(count: self.count)
        let prompt = Prompt()
        let input = InputStart()
        try await interruption.cancelling {
            guard self.reconnects else {
                return try await self.sockets.withConnection(to: self.url, subprotocols: self.subprotocols) { socket in
                    try await self.converse(over: socket, reception, prompt, nil, interruption, input)
                }
            }
            let policy = self.policy
            try await self.sockets.withReconnection(to: self.url, subprotocols: self.subprotocols, policy: policy) {
                socket in
                try await self.converse(over: socket, reception, prompt, policy, interruption, input)
            }
        }
    }

    private func failure(_ error: any Error, _ interruption: Interruption) -> CommandFailure {
        var failure = CommandFailure(any: error, offered: self.sockets.offersExtendedHandshake)
        if failure.status == .interrupted, case .signal(SIGTERM)? = interruption.cause { failure.status = .terminated }
        // A text that is no URL may hold a password, and is not shown.
        failure.url = failure.url ?? (try? WebSocketURL(self.url))?.redacted
        return failure
    }

    /// The library's policy, which tells of each retry.
    private var policy: ReconnectPolicy {
        var policy = ReconnectPolicy()
        policy.attempts = nil
        return policy
    }

    /// One open socket, to its end.
    private func converse(
        over socket: Sockets.Socket,
        _ reception: Reception,
        _ prompt: Prompt,
        _ policy: ReconnectPolicy?,
        _ interruption: Interruption,
        _ input: InputStart
    ) async throws {
        self.watcher.opened(socket.negotiated)
        if input.isDue() { self.startInput() }
        let conversation = Conversation(
            socket: socket,
            source: self.source,
            reception: reception,
            prompt: prompt,
            listens: self.listens,
            timeout: self.timeout,
            console: self.surroundings.console,
            time: self.time
        )
        let close: @Sendable () -> Void = { Task { _ = try? await socket.close(code: .goingAway, reason: "") } }
        let info = try await interruption.closing(close) { try await conversation.run() }
        self.surroundings.console.report(.closed(info))
        // The end was seen, so the library connects again.
        let isOver = interruption.cause != nil || prompt.hasClosed
        if let policy, !isOver, !reception.isComplete, policy.allows(info) { return }
        if let ending = self.ending(info, reception, prompt, interruption) { throw ending }
        if !isOver, socket.hasLostMessages {
            throw CommandFailure(
                .output,
                code: "output",
                "messages that came during the close were dropped, as standard output did not take them in time"
            )
        }
        if isOver { throw Over() }
        self.watcher.ended(info)
        // Nothing more is wanted, however it has closed.
        if policy != nil, reception.isComplete { throw Over() }
    }

    private func startInput() {
        guard case .lines(let queue, let isInteractive) = self.source else { return }
        if isInteractive {
            StandardInput.editLines(
                into: queue,
                prompt: "> ",
                console: self.surroundings.console,
                terminal: self.surroundings.terminal
            )
        } else {
            StandardInput.readLines(into: queue)
        }
    }

    /// Why the command cannot end with success after this; `nil` when it can.
    private func ending(
        _ info: CloseInfo,
        _ reception: Reception,
        _ prompt: Prompt,
        _ interruption: Interruption
    ) -> CommandFailure? {
        if let failure = CommandFailure(info) {
            guard prompt.hasClosed, failure.status != .protocolViolation else { return failure }
            if !info.clean { self.watcher.note("the server did not answer the close") }
            return nil
        }
        if interruption.cause != nil || prompt.hasClosed { return nil }
        if let missing = reception.missing {
            return CommandFailure(.timeout, code: "timeout", "the connection closed after \(missing)")
        }
        return nil
    }
}

/// Thrown where somebody wanted the end, so that no connection follows.
private struct Over: Error {}

/// Standard input is read from the first open socket on, once.
private final class InputStart: Sendable {
    private let hasBegun = Mutex(false)

    func isDue() -> Bool {
        self.hasBegun.withLock { hasBegun in
            defer { hasBegun = true }
            return !hasBegun
        }
    }
}
