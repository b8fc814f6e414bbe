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
    private struct State {
        /// In this connect, by URL, layer and realm: what was sent. A challenge there again means that it was refused.
        var sent: [String: Credentials] = [:]
        /// The credentials that a person typed, by origin and realm, for the next connect of `--reconnect`.
        var typed: [String: Credentials] = [:]
        /// The challenges that a person did not answer, by round and place: a response may hold several.
        var declined: Set<String> = []
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
    ///   - login: what the URL holds, where `--user` is not given.
    ///   - surroundings: where the environment is, and the person who may be asked.
    init(options: CredentialOptions, login: Login? = nil, in surroundings: Surroundings) throws(CommandFailure) {
        let login =
            try options.user.map { text throws(CommandFailure) in try Login(argument: text, option: "--user") } ?? login
        user = login?.name
        password = login?.password
        token = options.token
        guard token == nil || (try? Credentials.token(token ?? "").validate()) != nil else {
            throw .usage("`--token` cannot be empty or hold control characters")
        }
        netrc = try options.netrc.map { path throws(CommandFailure) in
            try Netrc(try FileArgument.text(path, option: "--netrc"), name: path)
        }
        for note in netrc?.notes ?? [] {
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
            return await login(request)
        case let scheme where scheme == "bearer" || scheme == "token":
            guard let token, request.url.isSameOrigin(as: request.originalURL) else { return nil }
            return scheme == "bearer" ? .bearer(token) : .token(token)
        default:
            return nil
        }
    }

    private func login(_ request: ChallengeRequest) async -> Credentials? {
        let realm = request.realm ?? ""
        let key = "\(request.layer) \(request.url) \(realm)"
        let place = "\(request.url.origin) \(realm)"
        let (refused, typed) = state.withLock { state in
            if request.round == 1 { state.sent = [:] }
            return (state.sent[key], state.typed[place])
        }
        var found = typed ?? known(request)
        if found == nil || found == refused {
            let answer = await askOnce(request, again: refused != nil, place: "\(request.round) \(key)")
            state.withLock { $0.typed[place] = answer }
            // Nobody to ask: the library does not send again what was refused, and says so.
            found = answer ?? refused
        }
        guard let found else { return nil }
        state.withLock { $0.sent[key] = found }
        return found
    }

    /// Asks for one challenge of a response alone: a person who does not answer the first is not asked for the next.
    private func askOnce(_ request: ChallengeRequest, again: Bool, place: String) async -> Credentials? {
        if state.withLock({ $0.declined.contains(place) }) { return nil }
        let answer = await ask(request, again: again)
        if answer == nil { state.withLock { _ = $0.declined.insert(place) } }
        return answer
    }

    /// The credentials that were given beforehand.
    private func known(_ request: ChallengeRequest) -> Credentials? {
        if let user, request.url.isSameOrigin(as: request.originalURL) {
            let password =
                password ?? netrc?.password(of: user, at: request.url.host)
                ?? self.environment["KHP_PASSWORD"]
            return password.map { .login(user: user, password: $0) }
        }
        let entry = netrc?.entry(
            for: request.url.host,
            allowsDefault: request.url.isSameOrigin(as: request.originalURL)
        )
        guard let entry, let login = entry.login else { return nil }
        return .login(user: login, password: entry.password ?? "")
    }

    private func ask(_ request: ChallengeRequest, again: Bool) async -> Credentials? {
        guard let person = self.person else { return nil }
        let realm = request.realm.map { " \"\(TerminalText.escaped($0))\"" } ?? ""
        let given = request.url.isSameOrigin(as: request.originalURL) ? user : nil
        let place = TerminalText.escaped(request.url.authority)
        return try? await NIOThreadPool.singleton.runIfActive { () -> Credentials? in
            if again { self.console.report(.note("The server refused that. Once more:")) }
            self.console.flush()
            guard let user = given ?? person.ask("Name for \(place)\(realm): ", echo: true), !user.isEmpty,
                let password = person.ask("Password of \(user) for \(place)\(realm): ", echo: false)
            else { return nil }
            return .login(user: user, password: password)
        }
    }
}
