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
        /// When a kind of line that may come often was last written, and how many were not since.
        var last: [String: (at: NIODeadline, suppressed: Int)] = [:]
    }

    let instance: String
    private let state: Mutex<State>
    private let sink: @Sendable (String) -> Void

    /// - Parameter sink: takes whole lines, without their ends.
    init(instance: String, _ rules: GatewayConfiguration.Log, sink: @escaping @Sendable (String) -> Void) {
        self.instance = instance
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
            // The words of peers are quoted, so that it ends no line.
            self.sink("\(time) \(level.rawValue) \(event) \(JSONTree.string(message).text)\(words)")
        }
    }

    /// The same for a kind of line that a flood of clients would bring: one a second, with the number of those left out.
    func writeSeldom(
        _ level: Level,
        _ event: String,
        kind: String,
        _ message: String,
        _ fields: Fields = [],
        now: NIODeadline = .now()
    ) {
        let suppressed: Int? = self.state.withLock { state in
            let key = "\(event) \(kind)"
            if let last = state.last[key], now < last.at + .seconds(1) {
                state.last[key] = (last.at, last.suppressed + 1)
                return nil
            }
            defer { state.last[key] = (now, 0) }
            return state.last[key]?.suppressed ?? 0
        }
        guard let suppressed else { return }
        self.write(level, event, message, fields + (suppressed > 0 ? [("suppressed", .integer(suppressed))] : []))
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

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = self.metadata.merging(event.metadata ?? [:]) { $1 }
        let name = event.message.description == Self.blocked ? "auth.blocked" : "library"
        self.log.writeSeldom(
            GatewayLog.Level(rawValue: event.level == .critical ? "error" : event.level.rawValue) ?? .info,
            name,
            kind: event.message.description,
            event.message.description,
            all.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value.description)) }
        )
    }
}
