import ArgumentParser
import Foundation
import KHPClient
import KHPProtocol
import NIOSSL

/// The way through a proxy.
struct ProxyOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Connect through this proxy: http:, https:, socks5: or socks4:. Default: https_proxy for wss, http_proxy "
                + "for ws, all_proxy and no_proxy of the environment.",
            valueName: "url"
        )
    )
    var proxy: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Credentials for the proxy, in place of those in its URL. Without a password: KHP_PROXY_PASSWORD, else a "
                + "prompt.",
            valueName: "name[:password]"
        )
    )
    var proxyUser: LoginArgument?

    @Flag(name: .customLong("no-proxy"), help: "Connect directly, whatever the environment says.")
    var noProxy = false

    @Option(
        help: ArgumentHelp(
            "For the TLS of an https proxy trust the authorities of this PEM file and no others.",
            valueName: "file"
        )
    )
    var proxyCacert: String?

    @Flag(help: "Verify neither the certificate of an https proxy nor its name.")
    var proxyInsecure = false

    func validate() throws {
        if self.noProxy, self.proxy != nil || self.proxyUser != nil {
            throw ValidationError("--no-proxy does not go together with --proxy and --proxy-user")
        }
    }

    /// Nothing of what is wrong is repeated: it may be a part of a password.
    func apply(to configuration: inout WebSocketClient.Configuration, in surroundings: Surroundings) throws {
        if self.proxyInsecure { configuration.proxyTLS.certificateVerification = .none }
        if let proxyCacert {
            configuration.proxyTLS.trustRoots = .certificates(
                try PEM.certificates(proxyCacert, option: "--proxy-cacert")
            )
        } else if !self.proxyInsecure, let roots = EnvironmentRoots(surroundings.environment) {
            configuration.proxyTLS.trustRoots = try roots.roots(isNeeded: false)
        }
        if self.noProxy { return }
        let login = try self.login(in: surroundings)
        guard let proxy else {
            // A variable that is no proxy is told of when it is needed.
            let environment = ProxySelection.environment(surroundings.environment)
            configuration.proxy =
                login.map { environment.authenticated(user: $0.user, password: $0.password) } ?? environment
            return
        }
        do throws(WebSocketError) {
            var proxy = try Proxy(proxy)
            if let login { proxy = try proxy.authenticated(user: login.user, password: login.password) }
            configuration.proxy = .proxy(proxy)
        } catch {
            throw CommandFailure.usage("--proxy: \(error.message)".droppingStop)
        }
    }

    /// A missing password is asked for before anything is connected to: a SOCKS proxy is told at once whether there is one.
    private func login(in surroundings: Surroundings) throws(CommandFailure) -> (user: String, password: String)? {
        guard let proxyUser else { return nil }
        let typed = try proxyUser.login(of: "--proxy-user")
        let user = typed.name
        guard
            let password = typed.password ?? surroundings.environment["KHP_PROXY_PASSWORD"]
                ?? Self.ask(surroundings, user)
        else {
            throw .usage(
                "--proxy-user names no password, KHP_PROXY_PASSWORD is not set, and there is no terminal to ask at"
            )
        }
        guard (try? Credentials.basic(user: user, password: password).validate()) != nil else {
            throw .usage("--proxy-user cannot hold control characters")
        }
        return (user, password)
    }

    private static func ask(_ surroundings: Surroundings, _ user: String) -> String? {
        guard surroundings.person.canBeAsked else { return nil }
        surroundings.shutdown.trap()
        return surroundings.person.ask("Password of \(TerminalText.escaped(user)) for the proxy: ", echo: false)
    }
}

extension String {
    /// Without a full stop at the end, as a part of a sentence.
    fileprivate var droppingStop: String { hasSuffix(".") ? String(dropLast()) : self }
}
