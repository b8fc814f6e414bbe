import ArgumentParser
import Foundation
import KHPProtocol
import KHPServer

/// `khp hash`: a line for `khp serve --users`.
struct HashCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "hash",
        abstract: "Make a line for `khp serve --users` from a name and a password.",
        discussion: """
            Asks for the password without showing it; where there is no terminal, reads it from the first line of \
            standard input. With --token the secret is made here and not asked for.

            EXAMPLES
              khp hash joe >> users
              khp serve --route /desk=echo --auth /desk=basic --users users
              khp hash --digest desk joe >> users
              khp hash --token robot >> users

            \(Ending.help(for: .hash))
            """
    )

    @Argument(help: "The user's name; asked for when it is not given.")
    var name: String?

    @Option(
        help: ArgumentHelp("Make a line for digest: the key of the user in this realm.", valueName: "realm")
    )
    var digest: String?

    @Flag(help: "Make a line for bearer and token, with 256 random bits.")
    var token = false

    @Option(help: "bcrypt, sha512 or sha256 (default: bcrypt); with --digest SHA-512-256, SHA-256 or MD5 (SHA-256).")
    var algorithm: String?

    func validate() throws {
        if token, digest != nil {
            throw ValidationError("`--token` and `--digest` make two kinds of lines; ask for one")
        }
        if token, algorithm != nil { throw ValidationError("`--token` has no algorithm") }
        if let digest, !digest.isPrintable {
            throw ValidationError("the realm of `--digest` holds a control character")
        }
        _ = digest == nil ? try self.passwordAlgorithm().rawValue : try self.digestAlgorithm().rawValue
    }

    func run(in surroundings: Surroundings) async throws {
        let isTerminal = isatty(0) == 1
        surroundings.shutdown.trap()
        let person = surroundings.person
        let user = name ?? (isTerminal ? person.ask("Name: ", echo: true) : readLine(strippingNewline: true))
        guard let user, !user.isEmpty else {
            throw CommandFailure.usage("there is no name; type `khp hash NAME`")
        }
        guard !user.contains(":"), user.isPrintable else {
            throw CommandFailure.usage("a name holds neither colons nor control characters")
        }
        surroundings.console.report(.result(try self.line(of: user, isTerminal ? person : nil).text))
    }

    /// - Parameter person: whoever can be asked; without one, standard input holds the password.
    private func line(of user: String, _ person: Person?) throws -> UsersFile.Line {
        do {
            if self.token { return try UsersFile.Line.token(user: user) }
            let password = try self.askPassword(person)
            guard !password.isEmpty else { throw CommandFailure.usage("the password is empty") }
            guard let realm = self.digest else {
                return try .password(password, user: user, algorithm: self.passwordAlgorithm())
            }
            return try .digest(password: password, user: user, realm: realm, algorithm: self.digestAlgorithm())
        } catch let error as WebSocketError {
            throw CommandFailure(any: error)
        }
    }

    private func passwordAlgorithm() throws -> UsersFile.PasswordAlgorithm {
        guard let algorithm else { return .bcrypt }
        guard let known = UsersFile.PasswordAlgorithm(rawValue: algorithm) else {
            throw ValidationError(
                "`--algorithm \(algorithm)` is none for passwords; there are bcrypt, sha512 and sha256"
            )
        }
        return known
    }

    private func digestAlgorithm() throws -> DigestAlgorithm {
        guard let algorithm else { return .sha256 }
        guard let known = DigestAlgorithm(name: algorithm), !known.isSession else {
            throw ValidationError(
                "`--algorithm \(algorithm)` is none for digest; there are SHA-512-256, SHA-256 and MD5"
            )
        }
        return known
    }

    private func askPassword(_ person: Person?) throws -> String {
        guard let person else {
            guard let line = readLine(strippingNewline: true) else {
                throw CommandFailure.usage("there is no password on standard input and no terminal to ask at")
            }
            return line
        }
        guard let first = person.ask("Password: ", echo: false),
            let second = person.ask("Once more: ", echo: false)
        else { throw CommandFailure.usage("no password was typed") }
        guard first == second else { throw CommandFailure.usage("the two passwords differ; run `khp hash` again") }
        return first
    }
}
