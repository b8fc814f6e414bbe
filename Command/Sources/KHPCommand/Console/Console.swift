// The one way out: everything that the command writes passes here, so that lines never mix, a prompt stays intact while
// messages arrive, and no event loop waits for a slow reader of a pipe.

import Dispatch
import Foundation
import Synchronization

/// Renders reports and writes their lines, in the order of their times.
///
/// The bytes that wait for a slow reader, behind the line that is being written, are bounded. Above the bound the caller
/// waits until the queue is empty; a server's output is dropped instead, since nobody who forgot to read its events may
/// stop its connections. Dropped lines are counted, and the next line that gets through is preceded by the count.
final class Console: Sendable {
    enum Stream: Int, Sendable, CaseIterable {
        case standardOutput
        case standardError
    }

    /// The descriptors of the two streams.
    struct Descriptors: Sendable {
        var output: Int32 = 1
        var errors: Int32 = 2

        subscript(_ stream: Stream) -> Int32 { stream == .standardOutput ? self.output : self.errors }
    }

    /// Which of the streams are terminals.
    struct Terminals: Sendable, Equatable {
        var output = false
        var errors = false

        subscript(_ stream: Stream) -> Bool { stream == .standardOutput ? self.output : self.errors }

        init(output: Bool = false, errors: Bool = false) {
            (self.output, self.errors) = (output, errors)
        }

        init(_ descriptors: Descriptors) {
            self.init(output: isatty(descriptors.output) == 1, errors: isatty(descriptors.errors) == 1)
        }
    }

    /// The way of a line for which there is no room.
    enum WhenFull: Sendable {
        case wait
        case drop
    }

    /// Held from when a report's time is taken until its lines are queued, so that times never go back.
    private struct Order {
        var renderers: [any Renderer]
        var whenFull = WhenFull.wait
        var dropped: [Stream: Int] = [:]
    }

    private struct State {
        var prompt: String?
        var loss: OutputLoss?
        var lossAction: (@Sendable (OutputLoss) -> Void)?
    }

    let terminals: Terminals
    private let descriptors: Descriptors
    private let clock: @Sendable () -> Duration
    private let highWaterMark: Int
    private let queue = DispatchQueue(label: "khp.console")
    private let pending = Atomic<Int>(0)
    private let order: Mutex<Order>
    /// Taken by work items of `queue`, hardly ever by others, and held while writing.
    private let state = Mutex(State())

    /// - Parameters:
    ///   - clock: the time since the command started.
    ///   - highWaterMark: the bytes that may wait for a slow reader, behind the line that is being written.
    init(
        descriptors: Descriptors = Descriptors(),
        terminals: Terminals? = nil,
        highWaterMark: Int = 1 << 20,
        clock: @escaping @Sendable () -> Duration
    ) {
        let terminals = terminals ?? Terminals(descriptors)
        self.descriptors = descriptors
        self.terminals = terminals
        self.clock = clock
        self.highWaterMark = highWaterMark
        self.order = Mutex(Order(renderers: [PlainRenderer(terminals: terminals)]))
    }

    /// The time since the command started.
    var elapsed: Duration { self.clock() }

    /// Renders like this from now on: once what was typed has been understood.
    func use(_ renderers: [any Renderer], whenFull: WhenFull) {
        self.order.withLock { order in
            order.renderers = renderers
            order.whenFull = whenFull
        }
    }

    // MARK: Reports

    /// Takes a report; its lines are written soon.
    func report(_ report: Report) {
        self.order.withLock { order in
            let time = self.clock()
            for line in Self.lines(for: report, &order, at: time) { self.put(line, &order, at: time) }
        }
    }

    /// Takes a report, and returns when it is written: back-pressure without blocking a thread of the pool.
    func write(_ report: Report) async {
        await withCheckedContinuation { continuation in
            self.order.withLock { order in
                let lines = Self.lines(for: report, &order, at: self.clock())
                for line in lines {
                    self.pending.add(line.bytes.count, ordering: .relaxed)
                    self.queue.async { self.perform(line) }
                }
                self.queue.async { continuation.resume() }
            }
        }
    }

    private static func lines(for report: Report, _ order: inout Order, at time: Duration) -> [Line] {
        var lines: [Line] = []
        for index in order.renderers.indices { lines += order.renderers[index].lines(for: report, at: time) }
        return lines
    }

    private func put(_ line: Line, _ order: inout Order, at time: Duration) {
        if order.whenFull == .drop {
            if self.pending.load(ordering: .relaxed) > self.highWaterMark {
                order.dropped[line.stream, default: 0] += 1
                return
            }
            if let count = order.dropped.removeValue(forKey: line.stream) {
                for gap in Self.lines(for: .dropped(count, from: line.stream), &order, at: time) { self.enqueue(gap) }
            }
        }
        self.enqueue(line)
        let isFull = self.pending.load(ordering: .relaxed) > self.highWaterMark
        if isFull, order.whenFull == .wait { self.flush() }
    }

    private func enqueue(_ line: Line) {
        self.pending.add(line.bytes.count, ordering: .relaxed)
        self.queue.async { self.perform(line) }
    }

    /// Returns when all that was queued is written.
    func flush() {
        self.queue.sync {}
    }

    /// The last flush: one that drops lines does not wait for long for somebody to read the rest.
    func finish() {
        guard self.order.withLock({ $0.whenFull }) == .drop else { return self.flush() }
        let done = DispatchSemaphore(value: 0)
        self.queue.async { done.signal() }
        _ = done.wait(timeout: .now() + 1)
    }

    // MARK: A reader that leaves

    /// The failure of standard output, once everything was queued. `nil` where nothing failed, where the reader left on
    /// purpose, and where lines may be dropped: that output is for whoever wants it.
    var failure: CommandFailure? {
        guard self.order.withLock({ $0.whenFull }) == .wait else { return nil }
        self.flush()
        return self.state.withLock { $0.loss }?.failure
    }

    /// Has this done once, on any thread, when standard output takes nothing any more; at once where that is so already.
    func onLoss(_ action: (@Sendable (OutputLoss) -> Void)?) {
        let loss = self.state.withLock { state in
            state.lossAction = action
            return state.loss
        }
        if let loss { action?(loss) }
    }

    /// Notices that the reader of a pipe or socket is gone also while there is nothing to write.
    func watchReader() {
        let output = self.descriptors.output
        var status = stat()
        guard fstat(output, &status) == 0, [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT) else { return }
        Thread.detachNewThread {
            // Asks for nothing: errors and hang-ups are told unasked.
            var descriptor = pollfd(fd: output, events: 0, revents: 0)
            while poll(&descriptor, 1, -1) < 0 {
                guard errno == EINTR else { return }
            }
            if descriptor.revents & Int16(POLLERR | POLLHUP) != 0 { self.lose(.readerLeft) }
        }
    }

    private func lose(_ loss: OutputLoss) {
        let action = self.state.withLock { state in
            guard state.loss == nil else { return nil as (@Sendable (OutputLoss) -> Void)? }
            state.loss = loss
            return state.lossAction
        }
        action?(loss)
    }

    // MARK: The terminal

    /// The stream of the terminal that shows the prompt.
    var screen: Stream { self.terminals.output ? .standardOutput : .standardError }

    /// The width of that terminal.
    var columns: Int { TerminalMode.columns(self.descriptors[self.screen]) }

    /// Shows, changes or takes away the prompt: the last line of the terminal, drawn again after each line of output.
    func setPrompt(_ prompt: String?) {
        self.queue.async {
            self.state.withLock { state in
                if state.prompt != nil || prompt != nil {
                    _ = self.writeAll(Array(("\r\u{1B}[K" + (prompt ?? "")).utf8), to: self.screen)
                }
                state.prompt = prompt
            }
        }
    }

    /// Draws the prompt once more, where the screen may hold something else.
    func redrawPrompt() {
        self.queue.async {
            self.state.withLock { state in
                guard let prompt = state.prompt else { return }
                _ = self.writeAll(Array(("\r\u{1B}[K" + prompt).utf8), to: self.screen)
            }
        }
    }

    /// A line that was typed stays on the screen as one of its own.
    func keepTyped(_ text: String) {
        self.setPrompt(nil)
        self.enqueue(Line(text, to: self.screen))
    }

    private func perform(_ line: Line) {
        // One line may be longer than the bound, and those behind it are to have room all the same.
        self.pending.subtract(line.bytes.count, ordering: .relaxed)
        let error: Int32 = self.state.withLock { state in
            var failure: Int32 = 0
            let isOnScreen = self.terminals[line.stream] && state.prompt != nil
            if isOnScreen { _ = self.writeAll(Array("\r\u{1B}[K".utf8), to: self.screen) }
            if line.stream == .standardError || state.loss == nil {
                failure = self.writeAll(line.bytes, to: line.stream)
            }
            if isOnScreen, let prompt = state.prompt { _ = self.writeAll(Array(prompt.utf8), to: self.screen) }
            return line.stream == .standardOutput ? failure : 0
        }
        if error != 0 { self.lose(error == EPIPE ? .readerLeft : .failed(String(cString: strerror(error)))) }
    }

    /// - Returns: the number of the error, or 0.
    private func writeAll(_ bytes: [UInt8], to stream: Stream) -> Int32 {
        let descriptor = self.descriptors[stream]
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
