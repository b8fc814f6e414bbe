import ArgumentParser
import Foundation

/// `khp hash`: a line for `khp serve --users`.
struct HashCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hash",
        abstract: "Make a line for `khp serve --users` from a name and a password.",
        discussion: """
            Asks for the password without showing it; where there is no terminal, reads it from the first line of \
            standard input.

            EXAMPLE
              khp hash joe >> users
              khp serve --route /trades=echo --auth /trades=basic:desk --users users
            """
    )

    @Argument(help: "The user's name; asked for when it is not given.")
    var name: String?

    @Option(help: "bcrypt, sha512 or sha256.")
    var algorithm: PasswordHash.Algorithm = .bcrypt

    func run() async throws {
        let isTerminal = isatty(0) == 1
        let user = name ?? (isTerminal ? PasswordPrompt.ask("Name: ", echo: true) : readLine(strippingNewline: true))
        guard let user, !user.isEmpty else {
            throw CommandFailure.usage("there is no name; type `khp hash NAME`")
        }
        guard !user.contains(":"), user.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw CommandFailure.usage("a name holds neither colons nor control characters")
        }
        let password = try askPassword(isTerminal)
        guard !password.isEmpty else { throw CommandFailure.usage("the password is empty") }
        Output.shared.line("\(user):\(try PasswordHash.make(password, algorithm: algorithm))")
    }

    private func askPassword(_ isTerminal: Bool) throws -> String {
        guard isTerminal else {
            guard let line = readLine(strippingNewline: true) else {
                throw CommandFailure.usage("there is no password on standard input and no terminal to ask at")
            }
            return line
        }
        guard let first = PasswordPrompt.ask("Password: ", echo: false),
            let second = PasswordPrompt.ask("Once more: ", echo: false)
        else { throw CommandFailure.usage("no password was typed") }
        guard first == second else { throw CommandFailure.usage("the two passwords differ; run `khp hash` again") }
        return first
    }
}

extension PasswordHash.Algorithm: ExpressibleByArgument {}
