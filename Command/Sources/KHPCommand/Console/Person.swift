import Foundation
import Synchronization

/// The person at the terminal, who can be asked: for a password without echo. Blocking: call it off the pools.
///
/// Speaks to `/dev/tty`, so that it works while standard input and output are files or pipes.
final class Person: Sendable {
    private let path: String
    private let isWatching: Bool
    private let terminal: TerminalMode
    private let shutdown: Shutdown
    /// The terminal that somebody is being asked at.
    private let asked = Mutex<Int32?>(nil)

    /// - Parameters:
    ///   - isWatching: `true` when a terminal shows what is written.
    ///   - path: the terminal.
    init(isWatching: Bool, terminal: TerminalMode, shutdown: Shutdown, path: String = "/dev/tty") {
        self.path = path
        self.isWatching = isWatching
        self.terminal = terminal
        self.shutdown = shutdown
    }

    /// `true` when somebody watches and there is a terminal to ask at.
    var canBeAsked: Bool {
        guard self.isWatching else { return false }
        let descriptor = self.openTerminal()
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return true
    }

    private func openTerminal() -> Int32 { open(self.path, O_RDWR | O_CLOEXEC | O_NOCTTY) }

    /// Asks, and returns the line that was typed; `nil` when there is no terminal or the input ended.
    func ask(_ question: String, echo: Bool) -> String? {
        let descriptor = self.openTerminal()
        guard descriptor >= 0 else { return nil }
        self.asked.withLock { $0 = descriptor }
        defer {
            self.asked.withLock { $0 = nil }
            close(descriptor)
        }
        return self.shutdown.interrupting({ self.interrupted() }) {
            guard !echo else {
                Self.say(question, descriptor)
                return Self.readLine(descriptor)
            }
            return self.terminal.withoutEcho(descriptor, redraw: { Self.say(question, descriptor) }) {
                // Only now: what is typed at once would be shown, and thrown away with the change of mode.
                Self.say(question, descriptor)
                defer { Self.say("\n", descriptor) }
                return Self.readLine(descriptor)
            }
        }
    }

    /// Ends the line of a prompt that an interrupt has come to, and has what is typed shown again.
    private func interrupted() {
        let isAsking = self.asked.withLock { descriptor in
            guard let terminal = descriptor.take() else { return false }
            Self.say("\n", terminal)
            return true
        }
        if isAsking { self.terminal.restore() }
    }

    private static func say(_ text: String, _ descriptor: Int32) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    private static func readLine(_ descriptor: Int32) -> String? {
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while line.count < 4096 {
            let count = read(descriptor, &byte, 1)
            if count < 0, errno == EINTR { continue }
            guard count == 1 else { return line.isEmpty ? nil : String(validating: line, as: UTF8.self) }
            if byte == UInt8(ascii: "\n") { break }
            line.append(byte)
        }
        return String(validating: line, as: UTF8.self)
    }
}
