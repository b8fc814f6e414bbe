// A socket whose peer is the test, a time that passes when the test says so, and a console that keeps what it is told:
// with them a conversation runs without sockets, processes and waiting.

import KHPClient
import KHPTesting
import NIOCore
import Synchronization

@testable import KHPCommand

/// Counts something, and lets a test wait until it has happened often enough.
final class Milestones: Sendable {
    private struct State {
        var count = 0
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var count: Int { self.state.withLock { $0.count } }

    func reach() {
        let due = self.state.withLock { state in
            state.count += 1
            let count = state.count
            defer { state.waiters.removeAll { $0.count <= count } }
            return state.waiters.filter { $0.count <= count }
        }
        for waiter in due { waiter.continuation.resume() }
    }

    func wait(for count: Int) async {
        await withCheckedContinuation { continuation in
            let isReached = self.state.withLock { state in
                guard state.count < count else { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isReached { continuation.resume() }
        }
    }
}

/// A time that stands still until it is advanced.
final class ManualTime: Sendable {
    private struct Sleeper {
        var until: Duration
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now = Duration.zero
        var sleepers: [Int: Sleeper] = [:]
        var cancelled: Set<Int> = []
        var last = 0
    }

    private let state = Mutex(State())
    /// How often somebody has begun to sleep.
    let sleeps = Milestones()

    var now: Duration { self.state.withLock { $0.now } }
    var time: CommandTime { CommandTime(now: { self.now }, sleep: { try await self.sleep(until: $0) }) }

    /// Wakes those whose time has come.
    /// - Returns: how many they are.
    @discardableResult
    func advance(to time: Duration) -> Int {
        let due = self.state.withLock { state in
            state.now = time
            let due = state.sleepers.filter { $0.value.until <= time }
            for number in due.keys { state.sleepers[number] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
        return due.count
    }

    private func sleep(until: Duration) async throws {
        let number = self.state.withLock { state in
            state.last += 1
            return state.last
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let result = self.state.withLock { state -> Result<Void, any Error>? in
                    if state.cancelled.contains(number) { return .failure(CancellationError()) }
                    if until <= state.now { return .success(()) }
                    state.sleepers[number] = Sleeper(until: until, continuation: continuation)
                    return nil
                }
                if let result { continuation.resume(with: result) }
                self.sleeps.reach()
            }
        } onCancel: {
            let sleeper = self.state.withLock { state in
                state.cancelled.insert(number)
                return state.sleepers.removeValue(forKey: number)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }
}

/// An open socket whose peer is the test.
final class ScriptedSocket: ConversationSocket {
    /// The messages that the test delivers. Tells when the next one is asked for.
    struct Messages: AsyncSequence, Sendable {
        let stream: AsyncStream<WebSocketMessage>
        let asked: Milestones

        struct Iterator: AsyncIteratorProtocol {
            var base: AsyncStream<WebSocketMessage>.Iterator
            let asked: Milestones

            mutating func next() async -> WebSocketMessage? {
                self.asked.reach()
                return await self.base.next()
            }
        }

        func makeAsyncIterator() -> Iterator {
            Iterator(base: self.stream.makeAsyncIterator(), asked: self.asked)
        }
    }

    private struct State {
        var sent: [WebSocketMessage] = []
        var pings = 0
        var holdsPongs = false
        var end: CloseInfo?
        var refusal: WebSocketError?
        var onClose: (@Sendable () async -> Void)?
    }

    let negotiated: HandshakeSummary
    let messages: Messages
    let hasLostMessages = false
    private let arrivals: AsyncStream<WebSocketMessage>.Continuation
    private let ends: (stream: AsyncStream<CloseInfo>, continuation: AsyncStream<CloseInfo>.Continuation)
    private let state = Mutex(State())
    /// How many messages were sent.
    let sends = Milestones()

    init() throws {
        self.negotiated = try ConnectionPipe().open().client
        let (stream, arrivals) = AsyncStream.makeStream(of: WebSocketMessage.self)
        self.messages = Messages(stream: stream, asked: Milestones())
        self.arrivals = arrivals
        self.ends = AsyncStream.makeStream(of: CloseInfo.self)
    }

    var sent: [WebSocketMessage] { self.state.withLock { $0.sent } }
    var pings: Int { self.state.withLock { $0.pings } }
    /// How it ended; `nil` while it is open.
    var end: CloseInfo? { self.state.withLock { $0.end } }

    /// Refuses each message from here on.
    func refuse(_ error: WebSocketError) { self.state.withLock { $0.refusal = error } }

    /// Answers no ping.
    func holdPongs() { self.state.withLock { $0.holdsPongs = true } }

    /// Waits for this before the first close of its own.
    func onClose(_ body: @escaping @Sendable () async -> Void) { self.state.withLock { $0.onClose = body } }

    /// Delivers a message, and waits until it has been dealt with: then the next one is asked for.
    func deliver(_ text: String) async {
        let asked = self.messages.asked.count
        self.arrivals.yield(.text(text))
        await self.messages.asked.wait(for: max(asked, 1) + 1)
    }

    /// Delivers a message after which nothing more is asked for.
    func deliverLast(_ text: String) { self.arrivals.yield(.text(text)) }

    /// Ends it, as the peer or the way to it does.
    func end(_ info: CloseInfo) {
        let isFirst = self.state.withLock { state in
            guard state.end == nil else { return false }
            state.end = info
            return true
        }
        guard isFirst else { return }
        self.ends.continuation.yield(info)
        self.ends.continuation.finish()
        self.arrivals.finish()
    }

    func send(_ message: WebSocketMessage) async throws {
        try self.state.withLock { state in
            if let refusal = state.refusal { throw refusal }
            if state.end != nil { throw WebSocketError(.closed, "The socket has closed.") }
            state.sent.append(message)
        }
        self.sends.reach()
    }

    func ping(_ payload: ByteBuffer?) async throws -> Duration {
        let isHeld = self.state.withLock { state in
            state.pings += 1
            return state.holdsPongs
        }
        if isHeld { try await Task.sleep(for: .seconds(3600)) }
        return .milliseconds(3)
    }

    @discardableResult
    func close(code: WebSocketCloseCode, reason: String) async throws -> CloseInfo {
        let wait = self.state.withLock { state in
            defer { state.onClose = nil }
            return state.onClose
        }
        await wait?()
        let info = CloseInfo(code: code, reason: reason, clean: true, initiator: .local)
        self.end(info)
        return self.end ?? info
    }

    func closed() async throws(CancellationError) -> CloseInfo {
        if let end { return end }
        for await info in self.ends.stream { return info }
        guard let end else { throw CancellationError() }
        return end
    }
}

/// A console that writes nothing, and the reports that it was given, in short.
struct RecordingConsole {
    private final class Reports: Sendable {
        let texts = Mutex<[String]>([])
    }

    private struct Recorder: Renderer {
        let reports: Reports

        mutating func lines(for report: Report, at time: Duration) -> [Line] {
            let text: String? =
                switch report {
                case .message(.text(let text)): "message \(text)"
                case .closed(let info): "closed \(info.code.map { "\($0.rawValue)" } ?? "none")"
                case .note(let text): "note \(text)"
                case .failure(let failure): "failure \(failure.sentence)"
                default: nil
                }
            if let text { self.reports.texts.withLock { $0.append(text) } }
            return []
        }
    }

    let console = Console(terminals: .init(), clock: { .zero })
    private let reports = Reports()

    init() {
        self.console.use([Recorder(reports: self.reports)], whenFull: .wait)
    }

    var texts: [String] { self.reports.texts.withLock { $0 } }
}
