// A log that keeps what it is told, for tests of what a server or a client says.

package import Logging
import Synchronization

/// Every line, each with its level.
package struct CollectingLog: LogHandler {
    private final class Lines: Sendable {
        let text = Mutex("")
    }

    private let lines = Lines()
    package var metadata: Logger.Metadata = [:]
    package var logLevel = Logger.Level.info

    package init() {}

    package var text: String { self.lines.text.withLock { $0 } }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        self.lines.text.withLock { $0 += "\(event.level) \(event.message) \(event.metadata ?? [:])\n" }
    }
}
