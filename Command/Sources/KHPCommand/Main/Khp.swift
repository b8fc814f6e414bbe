import ArgumentParser
import Foundation
import Synchronization

/// The command: `khp demo`, `khp connect`, `khp serve`, `khp hash`.
///
/// Standard output carries payloads or JSON; everything else goes to standard error. Mistakes in what was typed end
/// with 2, the others as ``CommandStatus`` says.
struct Khp: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "khp",
        abstract: "WebSocket with the Kaazing extended handshake: a client, a server and a demo.",
        discussion: """
            `khp URL` is `khp connect URL`.

            EXAMPLE
              khp serve &
              echo hello | khp connect ws://127.0.0.1:8080/echo
              khp ws://127.0.0.1:8080/echo
            """,
        version: version,
        subcommands: [DemoCommand.self, ConnectCommand.self, ServeCommand.self, HashCommand.self]
    )

    static func main() async {
        // A reader that goes away shows as an error of `write`, which is handled there.
        signal(SIGPIPE, SIG_IGN)
        StandardDescriptors.fill()
        _ = Clock.start
        Output.shared.onLoss { loss in
            Thread.detachNewThread { leave(for: loss) }
        }
        do {
            var command = try parseAsRoot(arguments(Array(CommandLine.arguments.dropFirst())))
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

    /// The words to parse for those that were typed: a URL needs no `connect` before it, nor do options before a URL.
    static func arguments(_ typed: [String]) -> [String] {
        guard let first = typed.first else { return ["--help"] }
        let isConnect = first.contains("://") || first.hasPrefix("-") && typed.contains { $0.contains("://") }
        return isConnect ? ["connect"] + typed : typed
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
        let isJSON = CommandLine.arguments.contains("--json")
        if isJSON { Output.shared.line(Events.error(failure).line) }
        Output.shared.line("khp: \(failure.sentence)", to: .standardError)
        guard !isJSON, let entity = failure.entity else { return }
        for line in entity.lines(forTerminal: Output.shared.isTerminal(.standardError)) {
            Output.shared.line(line, to: .standardError)
        }
    }

    // MARK: Leaving

    private static let isLeaving = Atomic<Bool>(false)

    /// Ends the command from wherever it is.
    static func end(with failure: CommandFailure) -> Never {
        claimEnd()
        report(failure)
        finish(failure.status.rawValue)
    }

    /// Ends it because of a standard output that takes nothing any more.
    static func leave(for loss: OutputLoss) -> Never {
        guard let failure = loss.failure else { leave(0) }
        end(with: failure)
    }

    private static func leave(_ status: Int32) -> Never {
        claimEnd()
        // The lines that are still queued may fail as well; a server's output is for whoever wants it.
        if status == 0, !Output.shared.isDropping, let failure = Output.shared.loss?.failure {
            report(failure)
            finish(failure.status.rawValue)
        }
        finish(status)
    }

    /// One thread ends the process; another one that wants to waits for that.
    private static func claimEnd() {
        guard isLeaving.exchange(true, ordering: .sequentiallyConsistent) else { return }
        while true { sleep(60) }
    }

    private static func finish(_ status: Int32) -> Never {
        Output.shared.setPrompt(nil)
        // A file that was asked for is an output as well.
        let areWritten = [Capture.finish(), SavedLadder.finish()].allSatisfy { $0 }
        Output.shared.finish()
        TerminalMode.restore()
        Foundation.exit(status == 0 && !areWritten ? CommandStatus.output.rawValue : status)
    }

    /// Ends the process whatever it is doing, an output that blocks included.
    static func leaveAtOnce(_ status: Int32) -> Never {
        TerminalMode.restore()
        Capture.finish()
        SavedLadder.finish()
        _exit(status)
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
