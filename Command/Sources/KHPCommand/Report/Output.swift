import Dispatch
import Foundation
import Synchronization

/// The one way out: everything that the command writes passes here, so that lines never mix, a prompt stays intact
/// while messages arrive, and no event loop waits for a slow reader of a pipe.
///
/// The queue is bounded. Above ``highWaterMark`` the caller waits until the queue is empty; a server's output is
/// dropped instead, since nobody who forgot to read its events may stop its connections.
final class Output: Sendable {
    enum Stream: Int32, Sendable {
        case standardOutput = 1
        case standardError = 2
    }

    /// Bytes that may wait for a slow reader before writers have to wait as well.
    private static let highWaterMark = 1 << 20

    private struct State {
        var prompt: String?
        var loss: OutputLoss?
        var lossAction: (@Sendable (OutputLoss) -> Void)?
    }

    private let queue = DispatchQueue(label: "khp.output")
    private let pending = Atomic<Int>(0)
    private let drops = Atomic<Bool>(false)
    /// Taken by work items of `queue`, hardly ever by others, and held while writing.
    private let state = Mutex(State())
    /// Held from when a line's time is taken until the line is queued, so that times never go back.
    private let order = Mutex(())
    private let isTerminal: [Bool]

    /// The output of this process.
    static let shared = Output()

    init() {
        self.isTerminal = [false, isatty(1) == 1, isatty(2) == 1]
    }

    /// Returns `true` when a stream is a terminal.
    func isTerminal(_ stream: Stream) -> Bool { self.isTerminal[Int(stream.rawValue)] }

    /// Why standard output took no more, once everything was queued; `nil` where it did.
    var loss: OutputLoss? {
        self.flush()
        return self.state.withLock { $0.loss }
    }

    /// Has this done once, on any thread, when standard output takes nothing any more; at once where that is so
    /// already.
    func onLoss(_ action: (@Sendable (OutputLoss) -> Void)?) {
        let loss = state.withLock { state in
            state.lossAction = action
            return state.loss
        }
        if let loss { action?(loss) }
    }

    /// Notices that the reader of a pipe or socket is gone also while there is nothing to write.
    func watchReader() {
        var status = stat()
        guard fstat(1, &status) == 0, [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT) else { return }
        Thread.detachNewThread {
            // Asks for nothing: errors and hang-ups are told unasked.
            var descriptor = pollfd(fd: 1, events: 0, revents: 0)
            while poll(&descriptor, 1, -1) < 0 {
                guard errno == EINTR else { return }
            }
            if descriptor.revents & Int16(POLLERR | POLLHUP) != 0 { self.lose(.readerLeft) }
        }
    }

    private func lose(_ loss: OutputLoss) {
        let action = state.withLock { state in
            guard state.loss == nil else { return nil as (@Sendable (OutputLoss) -> Void)? }
            state.loss = loss
            return state.lossAction
        }
        action?(loss)
    }

    /// True where lines that do not fit are dropped.
    var isDropping: Bool { self.drops.load(ordering: .relaxed) }

    /// From now on drops what does not fit, where it would have made the caller wait.
    func dropWhenFull() {
        self.drops.store(true, ordering: .relaxed)
    }

    /// Does what takes the time and queues the line that shows it, one such at a time.
    func inOrder(_ body: () -> Void) {
        self.order.withLock { _ in body() }
    }

    /// Queues one line; the line end is added.
    /// - Returns: false when it was dropped.
    @discardableResult
    func line(_ text: String, to stream: Stream = .standardOutput) -> Bool {
        let bytes = Array((text + "\n").utf8)
        if self.drops.load(ordering: .relaxed), self.pending.load(ordering: .relaxed) > Self.highWaterMark {
            return false
        }
        self.write(bytes, to: stream)
        return true
    }

    private func write(_ bytes: [UInt8], to stream: Stream) {
        let waiting = self.pending.add(bytes.count, ordering: .relaxed).newValue
        self.queue.async { self.perform(bytes, stream) }
        if waiting > Self.highWaterMark, !self.drops.load(ordering: .relaxed) { self.flush() }
    }

    /// Makes and queues bytes in order, and returns when they are written: back-pressure without blocking a thread of
    /// the pool.
    func written(to stream: Stream = .standardOutput, _ make: () -> [UInt8]) async {
        await withCheckedContinuation { continuation in
            self.inOrder {
                let bytes = make()
                self.pending.add(bytes.count, ordering: .relaxed)
                self.queue.async {
                    self.perform(bytes, stream)
                    continuation.resume()
                }
            }
        }
    }

    /// Returns when all that was queued is written.
    func flush() {
        self.queue.sync {}
    }

    /// The last flush: a server does not wait for long for somebody to read the rest.
    func finish() {
        guard self.drops.load(ordering: .relaxed) else { return self.flush() }
        let done = DispatchSemaphore(value: 0)
        self.queue.async { done.signal() }
        _ = done.wait(timeout: .now() + 1)
    }

    /// Shows, changes or takes away the prompt: the last line of the terminal, drawn again after each line of output.
    func setPrompt(_ prompt: String?) {
        self.queue.async {
            self.state.withLock { state in
                if state.prompt != nil || prompt != nil {
                    Self.writeAll(Array(("\r\u{1B}[K" + (prompt ?? "")).utf8), descriptor: Self.screen(self.isTerminal))
                }
                state.prompt = prompt
            }
        }
    }

    private func perform(_ bytes: [UInt8], _ stream: Stream) {
        let error: Int32 = state.withLock { state in
            var failure: Int32 = 0
            let onScreen = self.isTerminal(stream)
            let screen = Self.screen(self.isTerminal)
            if onScreen, state.prompt != nil {
                Self.writeAll(Array("\r\u{1B}[K".utf8), descriptor: screen)
            }
            if stream == .standardError || state.loss == nil {
                failure = Self.writeAll(bytes, descriptor: stream.rawValue)
            }
            if onScreen, let prompt = state.prompt {
                Self.writeAll(Array(prompt.utf8), descriptor: screen)
            }
            return stream == .standardOutput ? failure : 0
        }
        if error != 0 { self.lose(error == EPIPE ? .readerLeft : .failed(String(cString: strerror(error)))) }
        self.pending.subtract(bytes.count, ordering: .relaxed)
    }

    /// The descriptor of the terminal that shows the prompt.
    private static func screen(_ isTerminal: [Bool]) -> Int32 { isTerminal[1] ? 1 : 2 }

    @discardableResult
    private static func writeAll(_ bytes: [UInt8], descriptor: Int32) -> Int32 {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { raw in
                Foundation.write(descriptor, raw.baseAddress.map { $0 + offset }, raw.count - offset)
            }
            if count > 0 {
                offset += count
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN {
                // A descriptor that another process made non-blocking.
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&wait, 1, 1000)
            } else {
                return errno
            }
        }
        return 0
    }
}
