// Surroundings of a test's own: no terminal, no person, no environment, a console over pipes.

import Foundation

@testable import KHPCommand

extension Surroundings {
    /// With nobody to ask and nothing to read.
    static func alone(console: Console = Console(terminals: .init(), clock: { .zero })) -> Surroundings {
        let shutdown = Shutdown(console: console)
        let terminal = TerminalMode()
        return Surroundings(
            console: console,
            shutdown: shutdown,
            terminal: terminal,
            person: Person(isWatching: false, terminal: terminal, shutdown: shutdown),
            environment: [:]
        )
    }
}

/// A console over two pipes.
struct PipedConsole {
    let console: Console
    private let output = Pipe()
    private let errors = Pipe()

    init(terminals: Console.Terminals = .init(), highWaterMark: Int = 1 << 20) {
        self.console = Console(
            descriptors: .init(
                output: self.output.fileHandleForWriting.fileDescriptor,
                errors: self.errors.fileHandleForWriting.fileDescriptor
            ),
            terminals: terminals,
            highWaterMark: highWaterMark,
            clock: { .milliseconds(1500) }
        )
    }

    /// Everything that was written to a stream, once all of it is. Closes it.
    func text(_ stream: Console.Stream = .standardOutput) throws -> String {
        self.console.flush()
        let pipe = stream == .standardOutput ? self.output : self.errors
        try pipe.fileHandleForWriting.close()
        return String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }

    /// Reads as much as there is.
    func read() -> String { String(decoding: self.output.fileHandleForReading.availableData, as: UTF8.self) }

    /// The reader of standard output goes away.
    func closeReader() throws { try self.output.fileHandleForReading.close() }
}
