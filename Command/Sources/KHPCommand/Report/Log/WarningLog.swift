// The library tells its observer what happened, and its logger what somebody should know. The command passes both on.

import Logging

/// Makes warnings of the library's log records from `notice` upwards.
struct WarningLog: LogHandler {
    var logLevel = Logger.Level.notice
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    private let console: Console

    /// A logger that reports to a console.
    static func logger(_ console: Console) -> Logger {
        Logger(label: "khp") { _ in WarningLog(console: console) }
    }

    private init(console: Console) {
        self.console = console
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        self.console.report(
            .warning(Self.sentence("\(event.message)", self.metadata.merging(event.metadata ?? [:]) { $1 }))
        )
    }

    /// `message (key: value, key: value)`, on one line and without anything that moves a cursor.
    static func sentence(_ message: String, _ metadata: Logger.Metadata) -> String {
        let details = metadata.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        return TerminalText.escaped(details.isEmpty ? message : "\(message) (\(details))")
    }
}
