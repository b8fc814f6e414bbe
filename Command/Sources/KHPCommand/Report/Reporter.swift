import KHPProtocol
import NIOCore
import Synchronization

/// Turns what the library's observer tells into the command's outputs: JSON events on standard output, the ladder of
/// `-v` and `--trace` on standard error, the transcript of `--save-transcript`.
final class Reporter: Sendable {
    struct Options: Sendable {
        /// One JSON object per line on standard output.
        var json = false
        /// The steps of each connection.
        var verbose = false
        /// Every head and frame as well.
        var trace = false
        /// `true` when many connections share the output, so that each line names its own.
        var namesConnections = false
        /// `true` when messages are reported from here; otherwise their consumer reports them.
        var reportsMessages = false
        /// The extensions that a client asks for: what is not agreed on shall not go unnoticed.
        var extensions: [String] = []
    }

    private let options: Options
    private let output: Output
    private let ladder: Mutex<Ladder>
    private let attempts = Mutex(0)
    private let dropped = Mutex<[Int32: Int]>([:])
    /// Of the connections that are open.
    private let totals = Mutex<[UInt64: CompressionTotals]>([:])

    init(options: Options, output: Output = .shared) {
        self.options = options
        self.output = output
        self.ladder = Mutex(Ladder(style: Style(descriptor: Output.Stream.standardError.rawValue)))
    }

    /// `true` when anything would be shown.
    var isActive: Bool { options.json || options.verbose || options.trace }

    /// Takes an event; called on an event loop.
    func observe(_ event: ConnectionEvent, _ info: ConnectionInfo) {
        output.inOrder {
            let now = Clock.elapsed
            let id = options.namesConnections ? info.id : nil
            if options.json, let object = object(event, id: id, at: now) { write(object.line, to: .standardOutput) }
            guard options.verbose || options.trace else { return }
            if let summary = count(event, info) { step(summary, id: id, at: now) }
            for line in lines(event, info.role, id: id, at: now) { write(line, to: .standardError) }
            if case .open(let negotiation) = event, let missing = missing(negotiation) {
                step(missing, id: id, at: now)
            }
        }
    }

    /// A line that nobody has room for is counted; the next one that gets through is preceded by the count.
    private func write(_ line: String, to stream: Output.Stream) {
        dropped.withLock { dropped in
            let count = dropped[stream.rawValue, default: 0]
            if count > 0, output.line(Self.gap(count, stream), to: stream) { dropped[stream.rawValue] = nil }
            if !output.line(line, to: stream) { dropped[stream.rawValue, default: 0] += 1 }
        }
    }

    private static func gap(_ count: Int, _ stream: Output.Stream) -> String {
        guard stream == .standardOutput else { return "(\(count) lines dropped: nobody read them)" }
        var object = Events.object("dropped")
        object.set("count", count)
        return object.line
    }

    /// The extensions and subprotocols that were asked for and not granted.
    private func missing(_ negotiation: HandshakeSummary) -> String? {
        let missing = options.extensions.filter { name in !negotiation.extensions.contains { $0.name == name } }
        return missing.isEmpty ? nil : "asked for, not agreed on: " + missing.joined(separator: ", ")
    }

    /// Counts what compression saves.
    /// - Returns: what to say of it, at the end of a connection.
    private func count(_ event: ConnectionEvent, _ info: ConnectionInfo) -> String? {
        totals.withLock { totals in
            switch event {
            case .open:
                totals[info.id, default: CompressionTotals()].count(event)
                return nil
            // Frames of a handshake that failed have nobody who would let their count go.
            case .frameSent, .frameReceived:
                totals[info.id]?.count(event)
                return nil
            case .closed: return totals.removeValue(forKey: info.id)?.summary
            default: return nil
            }
        }
    }

    // MARK: JSON

    private func object(_ event: ConnectionEvent, id: UInt64?, at time: Duration) -> JSONObject? {
        switch event {
        case .frameReceived(let frame):
            guard options.reportsMessages, frame.isMessage else { return nil }
            return Events.message(frame.message, connection: id, at: time)
        case .closed where !options.reportsMessages:
            // The messages before it may not be printed yet: whoever prints them reports the end.
            return nil
        case .failed(let error):
            // A client's failure is the command's own, and reported with its exit status.
            guard options.reportsMessages else { return nil }
            return Events.failed(error, connection: id, at: time)
        case .connecting(let url, _, let proxy):
            return Events.connecting(url: url, attempt: nextAttempt(), proxy: proxy, at: time)
        default:
            return Events.object(for: event, connection: id, at: time)
        }
    }

    /// Attempts count over redirects and over reconnects, which the library cannot see.
    private func nextAttempt() -> Int {
        attempts.withLock { attempts in
            attempts += 1
            return attempts
        }
    }

    // MARK: The ladder

    private func step(_ text: String, id: UInt64?, at time: Duration) {
        let line = ladder.withLock { $0.step(.app, .none, TerminalText.escaped(text), at: time.seconds, id: id) }
        write(line, to: .standardError)
    }

    private func lines(_ event: ConnectionEvent, _ role: Role, id: UInt64?, at time: Duration) -> [String] {
        let steps = LadderStep.steps(of: event, role: role, trace: options.trace)
        return ladder.withLock { ladder in
            steps.flatMap { step in
                let line = ladder.step(step.layer, step.direction, step.text, at: time.seconds, id: id)
                guard options.trace, let detail = step.detail else { return [line] }
                return [line] + ladder.detail(detail)
            }
        }
    }
}

extension FrameInfo {
    /// `true` for a frame with data of the application, `false` for a control frame.
    var isMessage: Bool { kind == .text || kind == .binary }

    var message: WebSocketMessage {
        kind == .text ? .text(String(buffer: payload)) : .binary(payload)
    }
}
