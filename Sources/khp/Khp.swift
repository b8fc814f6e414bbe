import ArgumentParser
import Foundation

/// The command: `khp demo`, `khp connect`, `khp serve`, `khp hash`.
///
/// Standard output carries payloads or JSON; everything else goes to standard error. Mistakes in what was typed end
/// with 2, the others as ``CommandStatus`` says.
@main
struct Khp: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "khp",
        abstract: "WebSocket with the Kaazing extended handshake: a client, a server and a demo.",
        discussion: """
            EXAMPLE
              khp serve &
              echo hello | khp connect ws://127.0.0.1:8080/echo
            """,
        version: version,
        subcommands: [DemoCommand.self, ConnectCommand.self, ServeCommand.self, HashCommand.self]
    )

    static func main() async {
        // A reader that goes away shows as an error of `write`, which is handled there.
        signal(SIGPIPE, SIG_IGN)
        _ = Clock.start
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            leave(0)
        } catch {
            leave(report(error))
        }
    }

    /// Says what went wrong, and returns the exit status.
    private static func report(_ error: any Error) -> Int32 {
        if let failure = error as? CommandFailure {
            report(failure)
            return failure.status.rawValue
        }
        if let exit = error as? ExitCode { return exit.rawValue }
        let message = fullMessage(for: error)
        guard exitCode(for: error) != .success else {
            Output.shared.line(message)
            return 0
        }
        // ArgumentParser says 64 and prints the usage; the contract is 2 and one sentence.
        report(.usage(Self.message(for: error).asSentence))
        return CommandStatus.usage.rawValue
    }

    /// The sentence on standard error and, with `--json`, the event on standard output.
    private static func report(_ failure: CommandFailure) {
        if CommandLine.arguments.contains("--json") {
            Output.shared.line(Events.error(failure).line)
        }
        Output.shared.line("khp: \(failure.sentence)", to: .standardError)
    }

    /// Ends the command from wherever it is.
    static func end(with failure: CommandFailure) -> Never {
        report(failure)
        leave(failure.status.rawValue)
    }

    private static func leave(_ status: Int32) -> Never {
        Output.shared.setPrompt(nil)
        Capture.finish()
        Output.shared.finish()
        TerminalMode.restore()
        Foundation.exit(status)
    }
}

/// Time since the command started, for `"t"` and the ladder.
enum Clock {
    static let start = ContinuousClock.now

    static var elapsed: Duration { ContinuousClock.now - start }
}

extension String {
    /// On one line, for `khp: …`.
    var asSentence: String {
        split { $0.isNewline }.map { $0.trimmingSpaces() }.joined(separator: "; ")
    }
}
