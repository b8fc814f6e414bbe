// The log of a gateway, one line an event: JSON for machines, or words for people. Payload and credentials never are in it.

import Logging
import NIOCore
import Synchronization

/// Writes events where the sink takes them.
final class GatewayLog: Sendable {
    typealias Level = GatewayConfiguration.Log.Level
    typealias Fields = [(String, JSONTree)]

    private struct State {
        var rules: GatewayConfiguration.Log
        /// Lines that may come often, by their kinds.
        var seldom: [String: Bucket] = [:]
        /// True while a task waits to write the lines that were left out.
        var isWaiting = false
    }

    /// The lines of one kind within a period.
    private struct Bucket {
        var begin: NIODeadline
        var written = 0
        /// How many are left out, and the last of them.
        var suppressed = 0
        var last: Line?
    }

    private struct Line {
        var level: Level
        var event: String
        var message: String
        var fields: Fields
        /// How many of its kind were left out before it.
        var suppressed = 0
    }

    let instance: String
    private let state: Mutex<State>
    private let period: TimeAmount
    private let sink: @Sendable (String) -> Void

    /// - Parameters:
    ///   - period: the time for which lines of a kind are counted.
    ///   - sink: takes whole lines, without their ends.
    init(
        instance: String,
        _ rules: GatewayConfiguration.Log,
        period: TimeAmount = .seconds(1),
        sink: @escaping @Sendable (String) -> Void
    ) {
        self.instance = instance
        self.period = period
        self.state = Mutex(State(rules: rules))
        self.sink = sink
    }

    func set(_ rules: GatewayConfiguration.Log) { self.state.withLock { $0.rules = rules } }

    /// `true` where each session's end gets a line.
    var tellsSessions: Bool { self.state.withLock { $0.rules.sessions } }

    /// Writes a line, unless its level is too low.
    func write(_ level: Level, _ event: String, _ message: String, _ fields: Fields = []) {
        let rules = self.state.withLock { $0.rules }
        guard level.rank >= rules.level.rank else { return }
        let time = Timestamp.now.description
        switch rules.format {
        case .json:
            let head: Fields = [
                ("time", .string(time)), ("level", .string(level.rawValue)), ("event", .string(event)),
                ("msg", .string(message)), ("instance", .string(self.instance)),
            ]
            self.sink(JSONTree.object(head + fields).text)
        case .text:
            let words = fields.map { " \($0.0)=\($0.1.text)" }.joined()
            // The message is quoted as a JSON string: line breaks in a peer's text end no line of the log.
            self.sink("\(time) \(level.rawValue) \(event) \(JSONTree.string(message).text)\(words)")
        }
    }

    // MARK: Lines that come often

    /// The lines of a kind within a second that are written each.
    static let most = 10

    /// Writes a line of a kind that a flood of clients would cause: at most ``most`` a second. Of the lines beyond these the
    /// last is written once the second is past, or with the next line, together with the number of the others.
    func writeSeldom(
        _ level: Level,
        _ event: String,
        kind: String,
        most: Int = GatewayLog.most,
        _ message: String,
        _ fields: Fields = [],
        now: NIODeadline = .now()
    ) {
        var line = Line(level: level, event: event, message: message, fields: fields)
        let (isWritten, waits) = self.state.withLock { state in
            let key = "\(event) \(kind)"
            var bucket = state.seldom[key] ?? Bucket(begin: now)
            defer { state.seldom[key] = bucket }
            if now >= bucket.begin + self.period {
                line.suppressed = bucket.suppressed
                bucket = Bucket(begin: now)
            }
            guard bucket.written >= most else {
                bucket.written += 1
                return (true, false)
            }
            bucket.suppressed += 1
            bucket.last = line
            defer { state.isWaiting = true }
            return (false, !state.isWaiting)
        }
        if isWritten { self.write(line) }
        if waits { self.wait() }
    }

    /// Writes what was left out so far. For the end, and for tests.
    func writeLeftOut() { self.writeLeftOut { _ in true } }

    /// Once the period is past. What comes meanwhile is written then as well, or has somebody wait anew.
    private func wait() {
        Task {
            try? await Task.sleep(for: .nanoseconds(self.period.nanoseconds))
            let now = NIODeadline.now()
            self.writeLeftOut { now >= $0 }
            let waits = self.state.withLock { state in
                state.isWaiting = state.seldom.values.contains { $0.suppressed > 0 }
                return state.isWaiting
            }
            if waits { self.wait() }
        }
    }

    /// - Parameter isDue: asked about the end of each period.
    private func writeLeftOut(_ isDue: (NIODeadline) -> Bool) {
        let lines = self.state.withLock { state in
            state.seldom.compactMap { key, bucket -> Line? in
                guard bucket.suppressed > 0, isDue(bucket.begin + self.period), var line = bucket.last else {
                    return nil
                }
                line.suppressed = bucket.suppressed - 1
                // It counts for the period that begins.
                state.seldom[key] = Bucket(begin: .now(), written: 1)
                return line
            }
        }
        for line in lines { self.write(line) }
    }

    private func write(_ line: Line) {
        let suppressed: Fields = line.suppressed > 0 ? [("suppressed", .integer(line.suppressed))] : []
        self.write(line.level, line.event, line.message, line.fields + suppressed)
    }
}

extension GatewayConfiguration.Log.Level {
    fileprivate var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// The library's own lines, as lines of the gateway's.
struct LibraryLog: LogHandler {
    private let log: GatewayLog
    var metadata: Logger.Metadata = [:]
    /// Its remarks on listeners and wrong passwords are the gateway's own events.
    var logLevel = Logger.Level.notice

    init(_ log: GatewayLog) {
        self.log = log
    }

    /// The library's words for an address that guesses.
    private static let blocked = "too many wrong answers from one address"

    /// The beginning of its words for a connection that gets no place.
    private static let refused = "connection refused"

    /// Its words for a header that a balancer sends unasked.
    private static let unwantedHeader = "connection refused: it begins with a PROXY header, which is not taken here"

    /// A field's name as all of a log's are: without blanks.
    private static func name(_ key: String) -> String { String(key.map { $0 == " " ? "_" : $0 }) }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = self.metadata.merging(event.metadata ?? [:]) { $1 }
        let words = event.message.description
        let other = words.hasPrefix(Self.refused) ? "connection.refused" : "library"
        let name = words == Self.blocked ? "auth.blocked" : other
        var sentence = words
        if words == Self.unwantedHeader, let listener = all["listener"] {
            sentence = "a PROXY header came, but listeners.\(listener).proxyProtocol is off"
        }
        self.log.writeSeldom(
            GatewayLog.Level(rawValue: event.level == .critical ? "error" : event.level.rawValue) ?? .info,
            name,
            kind: words,
            most: words == Self.blocked ? 1 : GatewayLog.most,
            sentence,
            all.sorted { $0.key < $1.key }.map { (Self.name($0.key), .string($0.value.description)) }
        )
    }
}
