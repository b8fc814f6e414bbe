import ArgumentParser
import Foundation
import KHPGateway
import NIOSSL

/// `khp gateway ctl`: a gateway's admin address from the shell.
struct GatewayControlCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "ctl",
        abstract: "Ask a running gateway at its admin address.",
        discussion: """
            Prints the answer, in JSON; with --json a failure is an object of standard output, too. A token is taken \
            from KHP_ADMIN_TOKEN.

            EXAMPLES
              khp gateway ctl --admin unix:/run/khp/admin.sock status
              khp gateway ctl --admin 127.0.0.1:9090 sessions --service orders --principal joe
              khp gateway ctl --admin 127.0.0.1:9090 close 00f1e2d3c4b5a697
              khp gateway ctl --admin 127.0.0.1:9090 drain
              khp gateway ctl --admin https://gw1.internal:9443 --cacert ca.pem status

            VERBS
              status     services, backends and sessions
              ready      status 0 where clients may come
              reload     reads the configuration anew, and says what has changed
              drain      sends clients away, and ends all sessions
              undrain    lets clients in again
              sessions   the open sessions, all of them or those that are chosen
              close ID   ends one

            \(Ending.help(for: .control))
            """
    )

    enum Verb: String, ExpressibleByArgument, CaseIterable, Sendable {
        case status
        case ready
        case reload
        case drain
        case undrain
        case sessions
        case close

        var request: (method: String, path: String) {
            switch self {
            case .status: ("GET", "/services")
            case .ready: ("GET", "/readyz")
            case .reload: ("POST", "/reload")
            case .drain: ("POST", "/drain")
            case .undrain: ("DELETE", "/drain")
            case .sessions: ("GET", "/sessions")
            case .close: ("DELETE", "/sessions/")
            }
        }
    }

    @Option(
        help: ArgumentHelp(
            "The admin address: HOST:PORT, unix:PATH, or https://HOST:PORT where it has TLS.",
            valueName: "address"
        ),
        transform: AdminAddress.init(argument:)
    )
    var admin: AdminAddress

    @Option(help: ArgumentHelp("PEM authorities for https; the system's without it.", valueName: "file"))
    var cacert: String?

    @OptionGroup(title: "Options for sessions")
    var choice: SessionChoice

    @Flag(help: "Write a failure as a JSON object to standard output, too.")
    var json = false

    /// Takes `--json` wherever it stands: a word that both commands know is the outer one's.
    @ParentCommand var gateway: GatewayCommand

    @Argument(help: "What to ask for.")
    var verb: Verb

    @Argument(help: ArgumentHelp("The session, for close.", valueName: "id"))
    var id: String?

    func validate() throws {
        if (self.verb == .close) != (self.id != nil) {
            throw ValidationError(self.id == nil ? "close needs the ID of a session" : "only close takes an ID")
        }
        if self.cacert != nil, !self.admin.usesTLS { throw ValidationError("--cacert is for https:// addresses") }
        if self.verb != .sessions, !self.choice.query.isEmpty {
            throw ValidationError("--service, --principal, --address and --backend choose among sessions")
        }
        if let id, !id.allSatisfy({ $0.isHexDigit }) { throw ValidationError("an ID has hexadecimal digits") }
    }

    func renderers(_ console: Console, _ environment: [String: String]) -> [any Renderer] {
        ReportingOptions.renderers(json: self.json || self.gateway.json, console, environment)
    }

    func run(in surroundings: Surroundings) async throws {
        let address: ListenAddress
        switch self.admin.address {
        case .tcp(let host, let port): address = .host(host, port: port)
        case .unix(let path): address = .unix(path: path)
        }
        let client = AdminClient(
            address,
            tls: try self.tls(),
            token: surroundings.environment["KHP_ADMIN_TOKEN"]
        )
        let (method, path) = self.verb.request
        let answer: AdminClient.Answer
        do throws(AdminClient.Failure) {
            if self.verb == .sessions {
                answer = try await SessionPages.all { page throws(AdminClient.Failure) in
                    try await client.ask(method, path + "?" + (self.choice.query + page).joined(separator: "&"))
                }
            } else {
                answer = try await client.ask(method, path + (self.id ?? ""))
            }
            guard !answer.isDone || answer.isObject else { throw .noAnswer }
        } catch {
            let words: String
            switch error {
            case .unreachable(let failure): words = "\(self.admin.address) cannot be reached: \(failure)"
            case .noAnswer: words = "\(self.admin.address) does not answer as a gateway does"
            }
            throw CommandFailure(.connectFailed, code: "connect-failed", TerminalText.escaped(words))
        }
        surroundings.console.report(.result(answer.body.trimmingCharacters(in: .newlines)))
        guard answer.isDone else {
            let hint = answer.status == 401 ? "; KHP_ADMIN_TOKEN has to hold its token" : ""
            throw CommandFailure(.closedOtherwise, code: "refused", "the gateway answered \(answer.status)\(hint)")
        }
    }

    private func tls() throws -> TLSConfiguration? {
        guard self.admin.usesTLS else { return nil }
        var tls = TLSConfiguration.makeClientConfiguration()
        guard let cacert else { return tls }
        tls.trustRoots = .certificates(try PEM.certificates(cacert, option: "--cacert"))
        return tls
    }
}

extension AdminClient.Answer {
    /// `true` where the gateway has done what it was asked for.
    fileprivate var isDone: Bool { (200...299).contains(self.status) }

    /// `true` for an object in JSON, as a gateway answers each verb: a page of somebody else's on the way is none.
    fileprivate var isObject: Bool {
        (try? JSONSerialization.jsonObject(with: Data(self.body.utf8))) is [String: Any]
    }
}
