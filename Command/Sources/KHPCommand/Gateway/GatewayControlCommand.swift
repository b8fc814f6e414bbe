import ArgumentParser
import Foundation
import KHPGateway

/// `khp gateway ctl`: a gateway's admin address from the shell.
struct GatewayControlCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "ctl",
        abstract: "Ask a running gateway at its admin address.",
        discussion: """
            Prints the answer, in JSON. A token is taken from KHP_ADMIN_TOKEN.

            EXAMPLES
              khp gateway ctl --admin unix:/run/khp/admin.sock status
              khp gateway ctl --admin 127.0.0.1:9090 sessions
              khp gateway ctl --admin 127.0.0.1:9090 close 00f1e2d3c4b5a697
              khp gateway ctl --admin 127.0.0.1:9090 drain

            VERBS
              status     services, backends and sessions
              ready      status 0 where clients may come
              reload     reads the configuration anew, and says what has changed
              drain      sends clients away, and ends all sessions
              undrain    lets clients in again
              sessions   the open sessions
              close ID   ends one

            \(Ending.help(for: .gateway))
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
            case .sessions: ("GET", "/sessions?limit=1000")
            case .close: ("DELETE", "/sessions/")
            }
        }
    }

    @Option(
        help: ArgumentHelp("The admin address: HOST:PORT or unix:PATH.", valueName: "address"),
        transform: TunnelAddress.init(argument:)
    )
    var admin: TunnelAddress

    @Argument(help: "What to ask for.")
    var verb: Verb

    @Argument(help: ArgumentHelp("The session, for close.", valueName: "id"))
    var id: String?

    func validate() throws {
        if (self.verb == .close) != (self.id != nil) {
            throw ValidationError(self.id == nil ? "close needs the ID of a session" : "only close takes an ID")
        }
        if let id, !id.allSatisfy({ $0.isHexDigit }) { throw ValidationError("an ID has hexadecimal digits") }
    }

    func run(in surroundings: Surroundings) async throws {
        let address: ListenAddress
        switch self.admin {
        case .tcp(let host, let port): address = .host(host, port: port)
        case .unix(let path): address = .unix(path: path)
        }
        let client = AdminClient(address, token: surroundings.environment["KHP_ADMIN_TOKEN"])
        let (method, path) = self.verb.request
        let answer: AdminClient.Answer
        do throws(AdminClient.Failure) {
            answer = try await client.ask(method, path + (self.id ?? ""))
        } catch {
            let words: String
            switch error {
            case .unreachable(let failure): words = "\(self.admin) cannot be reached: \(failure)"
            case .noAnswer: words = "\(self.admin) does not answer as a gateway does"
            }
            throw CommandFailure(.connectFailed, code: "connect-failed", TerminalText.escaped(words))
        }
        surroundings.console.report(.result(answer.body.trimmingCharacters(in: .newlines)))
        guard answer.status < 400 else {
            throw CommandFailure(.closedOtherwise, code: "refused", "the gateway answered \(answer.status)")
        }
    }
}
