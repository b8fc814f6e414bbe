import Foundation
import Synchronization

/// Asks a person at the terminal, for a password without echo. Blocking: call it off the pools.
///
/// Speaks to `/dev/tty`, so that it works while standard input and output are files or pipes.
enum PasswordPrompt {
    /// The terminal that somebody is being asked at.
    private static let asked = Mutex<Int32?>(nil)

    /// `true` when there is a terminal to ask at.
    static var isPossible: Bool {
        let descriptor = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { return false }
        close(descriptor)
        return true
    }

    /// Asks, and returns the line that was typed; `nil` when there is no terminal or the input ended.
    static func ask(_ question: String, echo: Bool) -> String? {
        let descriptor = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { return nil }
        asked.withLock { $0 = descriptor }
        defer {
            asked.withLock { $0 = nil }
            close(descriptor)
        }
        guard !echo else {
            say(question, descriptor)
            return readLine(descriptor)
        }
        return TerminalMode.withoutEcho(descriptor) {
            // Only now: what is typed at once would be shown, and thrown away with the change of mode.
            say(question, descriptor)
            defer { say("\n", descriptor) }
            return readLine(descriptor)
        }
    }

    /// Ends the line of a prompt that an interrupt has come to, and has what is typed shown again.
    static func interrupted() {
        let isAsking = asked.withLock { descriptor in
            guard let terminal = descriptor.take() else { return false }
            say("\n", terminal)
            return true
        }
        if isAsking { TerminalMode.restore() }
    }

    /// For interrupts where there is nothing but the prompt: ends the command.
    static func leaveInterrupted(by number: Int32) {
        Khp.end(with: .interrupted(by: number))
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
