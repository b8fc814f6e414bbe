// The command's root: from the words that were typed to the command that runs, in its surroundings.

import ArgumentParser
import Foundation
import KHPGateway

/// The command: `khp demo`, `khp connect`, `khp serve`, `khp tunnel`, `khp gateway`, `khp hash`.
///
/// Standard output carries payloads or JSON; everything else goes to standard error. Mistakes in what was typed end
/// with 2, the others as ``Ending`` says.
struct Khp: AsyncParsableCommand {
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
        version: Release.version,
        subcommands: [
            DemoCommand.self, ConnectCommand.self, ServeCommand.self, TunnelCommand.self, GatewayCommand.self,
            HashCommand.self,
        ]
    )

    /// Runs what was typed.
    /// - Returns: the failure that the command ends with; `nil` where it ends well.
    static func run(_ typed: [String], in surroundings: Surroundings) async -> CommandFailure? {
        let console = surroundings.console
        let parsed: any ParsableCommand
        do {
            parsed = try self.parse(typed)
        } catch {
            // The mistake may be in the option itself: the word alone says that somebody reads JSON.
            if typed.contains("--json") {
                console.use(ReportingOptions.renderers(json: true, console, surroundings.environment), whenFull: .wait)
            }
            return self.failure(ofParsing: error, console)
        }
        do {
            if let command = parsed as? any SurroundedCommand {
                console.use(
                    command.renderers(console, surroundings.environment),
                    whenFull: command.whenFull
                )
                try await command.run(in: surroundings)
            } else if var command = parsed as? any AsyncParsableCommand {
                try await command.run()
            } else {
                var command = parsed
                try command.run()
            }
            return nil
        } catch let error as CommandFailure {
            return error
        } catch {
            // No mistake that the parser knows of.
            if self.exitCode(for: error) == .failure { return CommandFailure(any: error) }
            return self.failure(ofParsing: error, console)
        }
    }

    /// The command that was typed.
    /// - Throws: the first mistake. An unknown option comes before the words that stand behind it, which were meant for it.
    static func parse(_ typed: [String]) throws -> any ParsableCommand {
        let parsed = try self.parseAsRoot(self.arguments(typed))
        try (parsed as? any SurroundedCommand)?.checkRest()
        // ArgumentParser reads an empty value as none.
        let noDepth = "--check="
        if parsed is GatewayCommand, typed.contains(noDepth) { throw GatewayCommand.unknownDepth("") }
        return parsed
    }

    /// The words to parse for those that were typed: a URL needs no `connect` before it, nor do options before a URL.
    static func arguments(_ typed: [String]) -> [String] {
        guard let first = typed.first else { return ["--help"] }
        let isConnect = first.contains("://") || first.hasPrefix("-") && typed.contains { $0.contains("://") }
        return isConnect ? ["connect"] + typed : typed
    }

    /// Help and version are results, and no failure. ArgumentParser says 64 and prints the usage for a mistake; the contract
    /// is 2 and one sentence.
    private static func failure(ofParsing error: any Error, _ console: Console) -> CommandFailure? {
        if let failure = error as? CommandFailure { return failure }
        guard self.exitCode(for: error) != .success else {
            console.report(.result(self.fullMessage(for: error)))
            return nil
        }
        return .usage(self.message(for: error).asSentence)
    }
}

extension String {
    /// On one line, for `khp: …`. A list of the parser becomes one with commas.
    var asSentence: String {
        let mark = "- "
        var sentence = ""
        var isList = false
        for line in self.split(whereSeparator: \.isNewline).map({ $0.trimmingSpaces() }) where !line.isEmpty {
            let isItem = line.hasPrefix(mark)
            if !sentence.isEmpty { sentence += isItem ? (isList ? ", " : " ") : "; " }
            sentence += isItem ? String(line.dropFirst(mark.count)) : String(line)
            isList = isItem
        }
        return sentence
    }
}
