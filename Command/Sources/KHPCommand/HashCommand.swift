import ArgumentParser
import Foundation
import KHPProtocol
import KHPServer

/// `khp hash`: a line for `khp serve --users`.
struct HashCommand: AsyncParsableCommand {
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
        if let digest, !digest.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) {
            throw ValidationError("the realm of `--digest` holds a control character")
        }
        if digest == nil { _ = try passwordAlgorithm() } else { _ = try digestAlgorithm() }
    }

    func run() async throws {
        let isTerminal = isatty(0) == 1
        let signals = Signals { PasswordPrompt.leaveInterrupted(by: $0) }
        defer { withExtendedLifetime(signals) {} }
        let user = name ?? (isTerminal ? PasswordPrompt.ask("Name: ", echo: true) : readLine(strippingNewline: true))
        guard let user, !user.isEmpty else {
            throw CommandFailure.usage("there is no name; type `khp hash NAME`")
        }
        guard !user.contains(":"), user.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
            throw CommandFailure.usage("a name holds neither colons nor control characters")
        }
        Output.shared.line("\(user):\(token ? Self.makeToken() : try secret(of: user, isTerminal))")
    }

    /// The text behind the name.
    private func secret(of user: String, _ isTerminal: Bool) throws -> String {
        let password = try askPassword(isTerminal)
        guard !password.isEmpty else { throw CommandFailure.usage("the password is empty") }
        if let digest {
            let algorithm = try digestAlgorithm()
            let key = algorithm.key(user: user, realm: digest, password: password)
            // MD5 is what a line without an algorithm means, here and in Apache's htdigest (D22).
            let middle = algorithm == .md5 ? digest : "\(digest):\(algorithm.rawValue)"
            return "\(middle):\(key)"
        }
        do {
            return try PasswordHash.make(password, algorithm: passwordAlgorithm())
        } catch {
            throw CommandFailure(any: error)
        }
    }

    private func passwordAlgorithm() throws -> PasswordHash.Algorithm {
        guard let algorithm else { return .bcrypt }
        guard let known = PasswordHash.Algorithm(rawValue: algorithm) else {
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

    /// As RFC 6750 writes tokens, in the alphabet that is safe in URLs and in shells.
    private static func makeToken() -> String {
        var generator = SystemRandomNumberGenerator()
        let bytes = (0..<32).map { _ in generator.next() as UInt8 }
        return String(
            Base64.encode(bytes).compactMap { character -> Character? in
                switch character {
                case "+": "-"
                case "/": "_"
                case "=": nil
                default: character
                }
            }
        )
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
