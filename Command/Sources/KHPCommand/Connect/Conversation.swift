import Dispatch
import KHPClient
import NIOCore
import Synchronization

/// The messages received so far, against `--count`. Counts over reconnects.
final class Reception: Sendable {
    private struct State {
        var received = 0
        var last = Duration.zero
        /// Since when the message at hand is being written.
        var writingSince: Duration?
        /// The time that writing has taken.
        var writing = Duration.zero
    }

    let count: Int?
    private let state = Mutex(State())

    init(count: Int?) {
        self.count = count
    }

    /// A message has come, and is being written from now on.
    func begin(at time: Duration) { self.state.withLock { $0.writingSince = time } }

    /// Counts the message, which has been written at this time.
    /// - Returns: `true` when it was the last one wanted.
    func add(at time: Duration) -> Bool {
        self.state.withLock { state in
            state.received += 1
            state.last = time
            state.writing += time - (state.writingSince ?? time)
            state.writingSince = nil
            return self.isReached(by: state)
        }
    }

    /// `true` once all messages that are wanted have come; never where all are.
    var isComplete: Bool { self.state.withLock { self.isReached(by: $0) } }

    private func isReached(by state: State) -> Bool { self.count.map { state.received >= $0 } ?? false }

    /// When the last message was written, and how long writing has taken so far.
    /// - Returns: `nil` while one is being written: the reader of our output keeps it waiting, and the peer is not quiet.
    func pause() -> (last: Duration, writing: Duration)? {
        self.state.withLock { $0.writingSince == nil ? ($0.last, $0.writing) : nil }
    }

    /// `1 of 3 messages`, when fewer came than `--count` wants.
    var missing: String? {
        guard let count = self.count else { return nil }
        let received = self.state.withLock { $0.received }
        return received < count ? "\(received) of \(count) messages" : nil
    }
}

/// The life of one open socket: messages out, messages in, and the close.
struct Conversation<Socket: ConversationSocket>: Sendable {
    /// After the end of input, how long nothing must have come before we close: servers that answer from a queue of
    /// their own may drop what they have not answered when a close arrives.
    static var quiet: Duration { .milliseconds(100) }
    /// And for how long at most a talkative server is heard out.
    static var longestQuietWait: Duration { .seconds(2) }

    let socket: Socket
    let source: OutgoingSource
    let reception: Reception
    let prompt: Prompt
    /// True where it stays when everything has been sent.
    let listens: Bool
    let timeout: Duration
    let console: Console
    let time: CommandTime

    private enum Step: Sendable {
        case received(Result<Void, any Error>)
        case sent(Result<Void, any Error>)
        case tooLate
    }

    /// Ends when the socket has closed.
    /// - Throws: ``CommandFailure`` for what cannot be sent, and when `--count` is not reached in time.
    func run() async throws -> CloseInfo {
        let deadline = self.time.now() + self.timeout
        return try await withThrowingTaskGroup(of: Step.self) { group in
            group.addTask { .received(await self.result { try await self.receive() }) }
            group.addTask { .sent(await self.result { try await self.send() }) }
            if self.reception.count != nil {
                group.addTask {
                    try? await self.time.sleep(deadline)
                    return .tooLate
                }
            }
            defer { group.cancelAll() }
            while let step = try await group.next() {
                switch step {
                case .received:
                    // Whatever ended it, how it closed says all.
                    return try await self.socket.closed()
                case .sent(.failure(let error)) where Self.isMistake(error):
                    _ = try? await self.socket.close()
                    throw CommandFailure(any: error)
                // The socket has closed, which the messages' end tells as well.
                case .sent: break
                // All came in time, and how it closes says the rest.
                case .tooLate where self.reception.missing == nil: break
                case .tooLate:
                    // Ahead of the close, which hears the peer out.
                    let missing = self.reception.missing ?? "some messages"
                    if let info = try? await self.socket.close() { self.console.report(.closed(info)) }
                    throw CommandFailure(
                        .timeout,
                        code: "timeout",
                        "only \(missing) came within "
                            + "\(Ladder.fixed(self.timeout.seconds, digits: 1)) s; --timeout allows for more time"
                    )
                }
            }
            return try await self.socket.closed()
        }
    }

    /// Returns `true` when the message itself cannot be sent: no UTF-8, or binary in a dialect that has none.
    private static func isMistake(_ error: any Error) -> Bool {
        error is CommandFailure || (error as? WebSocketError)?.code == .invalidArgument
    }

    private func result(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do {
            return .success(try await body())
        } catch {
            return .failure(error)
        }
    }

    // MARK: In

    private func receive() async throws {
        for try await message in self.socket.messages {
            self.reception.begin(at: self.time.now())
            await self.console.write(.message(message))
            if self.reception.add(at: self.time.now()) {
                try await self.socket.close()
                return
            }
        }
    }

    // MARK: Out

    private func send() async throws {
        switch self.source {
        case .list(let pending):
            while let message = pending.next() {
                try await self.send(message) { pending.putBack(message) }
            }
            try await self.finish(afterQuiet: true)
        case .lines(let queue, isInteractive: false):
            while let line = try await queue.next() {
                try await self.send(.text(line)) { queue.putBack(line) }
            }
            try await self.finish(afterQuiet: true)
        case .lines(let queue, isInteractive: true):
            try await self.converse(queue)
        }
    }

    /// Does what is typed, line by line. Pongs are waited for beside the lines.
    private func converse(_ queue: InputQueue) async throws {
        try await withThrowingTaskGroup(of: Void.self) { pings in
            defer { pings.cancelAll() }
            while let line = try await queue.next() {
                let command = InteractiveCommand(line)
                if case .ping(let text) = command, self.socket.negotiated.dialect.hasPings {
                    pings.addTask { try? await self.ping(text) }
                } else if try await !self.perform(command, { queue.putBack(line) }) {
                    return
                }
            }
            try await self.finish(afterQuiet: false)
        }
    }

    private func ping(_ text: String) async throws {
        let roundTrip = try await self.socket.ping(text.isEmpty ? nil : ByteBuffer(string: text))
        self.console.report(.note("pong after \(Ladder.interval(roundTrip.seconds).dropFirst())"))
    }

    /// Sends a message. One that the socket does not take any more is the first of the next connection.
    private func send(_ message: WebSocketMessage, orKeep putBack: () -> Void) async throws {
        do {
            try await self.socket.send(message)
        } catch {
            if !Self.isMistake(error) { putBack() }
            throw error
        }
    }

    /// The end of input closes, unless messages are being counted or listened for.
    private func finish(afterQuiet: Bool) async throws {
        guard self.reception.count == nil, !self.listens else { return }
        let end = self.time.now()
        while afterQuiet {
            let now = self.time.now()
            guard let pause = self.reception.pause() else {
                try await self.time.sleep(now + Self.quiet)
                continue
            }
            let since = max(end, pause.last)
            if now - since >= Self.quiet || now - end - pause.writing >= Self.longestQuietWait { break }
            try await self.time.sleep(since + Self.quiet)
        }
        try await self.socket.close()
    }

    /// - Parameter putBack: keeps the line for the next connection.
    /// - Returns: `true` to go on.
    private func perform(_ command: InteractiveCommand, _ putBack: () -> Void) async throws -> Bool {
        switch command {
        case .send(let text):
            try await self.send(.text(text), orKeep: putBack)
        case .sendUnknown(let text):
            try await self.send(.text(text), orKeep: putBack)
            if self.prompt.takeHint() { self.console.report(.note(InteractiveCommand.unknownHint)) }
        case .ping:
            self.console.report(.note("\(self.socket.negotiated.dialect) has no pings"))
        case .close(let code, let reason):
            self.prompt.noteClose()
            try await self.socket.close(code: WebSocketCloseCode(rawValue: code), reason: reason)
            return false
        case .help:
            self.console.report(.note(InteractiveCommand.summary))
        case .mistake(let text):
            self.console.report(.note(text))
        }
        return true
    }
}
