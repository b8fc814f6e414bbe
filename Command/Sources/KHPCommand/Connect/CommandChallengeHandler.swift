import Foundation
import KHPClient
import NIOPosix
import Synchronization

/// Answers challenges from `--user`, `--token`, `--netrc`, KHP_PASSWORD and, where there is a terminal, from the person
/// at it: Digest and Basic with name and password, Bearer and Token with the token.
///
/// Credentials of `--user` and `--token` belong to the origin of the URL that was given (D20): another origin's
/// challenge is looked up among the machines of the `.netrc` or asked at the terminal. What was refused once is not
/// sent again.
final class CommandChallengeHandler: ChallengeHandler {
    /// A space of credentials: what a person types for it serves the next connect of `--reconnect` too.
    private struct Place: Hashable {
        var origin: String
        var realm: String

        init(_ request: ChallengeRequest) {
            self.origin = "\(request.url.origin)"
            self.realm = request.realm ?? ""
        }
    }

    private struct State {
        /// The credentials that a person typed.
        var typed: [Place: Credentials] = [:]
        /// The challenge that a person did not answer. The response that holds it may hold others.
        var declined: ChallengeRequest?
    }

    private let user: String?
    private let password: String?
    private let token: String?
    private let netrc: Netrc?
    private let console: Console
    private let person: Person?
    private let environment: [String: String]
    private let state = Mutex(State())

    /// - Parameters:
    ///   - login: the login of the URL, where `--user` is not given.
    ///   - surroundings: where the environment is, and the person who may be asked.
    init(options: CredentialOptions, login: Login? = nil, in surroundings: Surroundings) throws(CommandFailure) {
        let login = try options.user.map { user throws(CommandFailure) in try user.login(of: "--user") } ?? login
        self.user = login?.name
        self.password = login?.password
        self.token = options.token
        guard self.token == nil || (try? Credentials.token(self.token ?? "").validate()) != nil else {
            throw .usage("--token cannot be empty or hold control characters")
        }
        self.netrc = try options.netrc.map { path throws(CommandFailure) in
            try Netrc(try FileArgument.text(path, option: "--netrc"), name: path)
        }
        for note in self.netrc?.notes ?? [] {
            surroundings.console.report(.note("khp: note: \(TerminalText.escaped(note))"))
        }
        self.console = surroundings.console
        self.person = surroundings.person.canBeAsked ? surroundings.person : nil
        self.environment = surroundings.environment
    }

    func respond(to request: ChallengeRequest) async -> Credentials? {
        guard request.layer != .proxy else { return nil }
        switch request.scheme.lowercased() {
        case "basic", "digest":
            return await self.login(request)
        case let scheme where scheme == "bearer" || scheme == "token":
            guard let token = self.token, request.url.isSameOrigin(as: request.originalURL) else { return nil }
            return scheme == "bearer" ? .bearer(token) : .token(token)
        default:
            return nil
        }
    }

    private func login(_ request: ChallengeRequest) async -> Credentials? {
        let place = Place(request)
        let known = self.state.withLock { $0.typed[place] } ?? self.known(request)
        if let known, !request.previousWasRefused { return known }
        // Nobody to ask: the library does not send again what was refused, and says so.
        guard let answer = await self.askOnce(request) else { return known }
        self.state.withLock { $0.typed[place] = answer }
        return answer
    }

    /// Asks for one challenge of a response alone: a person who does not answer the first is not asked for the next.
    private func askOnce(_ request: ChallengeRequest) async -> Credentials? {
        let isDeclined = self.state.withLock { state in
            guard let declined = state.declined else { return false }
            return declined.round == request.round && declined.layer == request.layer && declined.url == request.url
                && declined.realm == request.realm
        }
        if isDeclined { return nil }
        let answer = await self.ask(request)
        if answer == nil { self.state.withLock { $0.declined = request } }
        return answer
    }

    /// The credentials that were given beforehand.
    private func known(_ request: ChallengeRequest) -> Credentials? {
        if let user = self.user, request.url.isSameOrigin(as: request.originalURL) {
            let password =
                self.password ?? self.netrc?.password(of: user, at: request.url.host)
                ?? self.environment["KHP_PASSWORD"]
            return password.map { .login(user: user, password: $0) }
        }
        let entry = self.netrc?.entry(
            for: request.url.host,
            allowsDefault: request.url.isSameOrigin(as: request.originalURL)
        )
        guard let entry, let login = entry.login else { return nil }
        return .login(user: login, password: entry.password ?? "")
    }

    private func ask(_ request: ChallengeRequest) async -> Credentials? {
        guard let person = self.person else { return nil }
        let realm = request.realm.map { " \"\(TerminalText.escaped($0))\"" } ?? ""
        let given = request.url.isSameOrigin(as: request.originalURL) ? self.user : nil
        let place = TerminalText.escaped(request.url.authority)
        return try? await NIOThreadPool.singleton.runIfActive { () -> Credentials? in
            if request.previousWasRefused { self.console.report(.note("The server refused that. Once more:")) }
            self.console.flush()
            guard let user = given ?? person.ask("Name for \(place)\(realm): ", echo: true), !user.isEmpty,
                let password = person.ask("Password of \(user) for \(place)\(realm): ", echo: false)
            else { return nil }
            return .login(user: user, password: password)
        }
    }
}
