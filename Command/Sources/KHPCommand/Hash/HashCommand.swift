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

    @Option(
        help: "bcrypt, sha512 or sha256 (default: bcrypt); with --digest SHA-512-256, SHA-256 or MD5 (SHA-256).",
        transform: AlgorithmArgument.init(argument:)
    )
    var algorithm: AlgorithmArgument?

    func validate() throws {
        if self.token, self.digest != nil {
            throw ValidationError("--token and --digest make two kinds of lines; ask for one")
        }
        if let digest, !digest.isPrintable { throw ValidationError("the realm of --digest holds a control character") }
        switch self.algorithm {
        case nil: break
        case _ where self.token: throw ValidationError("--token has no algorithm")
        case .password(let algorithm) where self.digest != nil:
            throw ValidationError(
                "--algorithm \(algorithm.rawValue) is none for digest; there are SHA-512-256, SHA-256 and MD5"
            )
        case .digest(let algorithm) where self.digest == nil:
            throw ValidationError(
                "--algorithm \(algorithm.rawValue) is none for passwords; there are bcrypt, sha512 and sha256"
            )
        case .password, .digest: break
        }
    }

    func run(in surroundings: Surroundings) async throws {
        let isTerminal = surroundings.terminal.isThere
        surroundings.shutdown.trap()
        let person = surroundings.person
        let user = try self.name ?? (isTerminal ? person.ask("Name: ", echo: true) : StandardInput.answer())
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
                return try .password(password, user: user, algorithm: self.algorithm?.ofPassword ?? .bcrypt)
            }
            return try .digest(
                password: password,
                user: user,
                realm: realm,
                algorithm: self.algorithm?.ofDigest ?? .sha256
            )
        } catch let error as WebSocketError {
            throw CommandFailure(any: error)
        }
    }

    private func askPassword(_ person: Person?) throws -> String {
        guard let person else {
            guard let line = try StandardInput.answer() else {
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

/// The algorithm of a line: of a password's hash, or of a key for digest.
enum AlgorithmArgument: Sendable, Equatable {
    case password(UsersFile.PasswordAlgorithm)
    case digest(DigestAlgorithm)

    init(argument: String) throws {
        if let algorithm = UsersFile.PasswordAlgorithm(rawValue: argument) {
            self = .password(algorithm)
        } else if let algorithm = DigestAlgorithm(name: argument), !algorithm.isSession {
            self = .digest(algorithm)
        } else {
            throw ValidationError("there are bcrypt, sha512 and sha256; for digest SHA-512-256, SHA-256 and MD5")
        }
    }

    fileprivate var ofPassword: UsersFile.PasswordAlgorithm? {
        if case .password(let algorithm) = self { algorithm } else { nil }
    }

    fileprivate var ofDigest: DigestAlgorithm? {
        if case .digest(let algorithm) = self { algorithm } else { nil }
    }
}
