// All options on the way to an open socket: the same for every command that connects.

import ArgumentParser
import KHPClient

/// The options of `khp connect` and `khp tunnel` that concern getting there.
struct ReachingOptions: ParsableArguments {
    @OptionGroup(title: "HANDSHAKES") var handshake: HandshakeOptions
    @OptionGroup(title: "SUBPROTOCOLS AND EXTENSIONS") var negotiation: NegotiationOptions
    @OptionGroup(title: "DIALECT") var dialect: DialectOptions
    @OptionGroup(title: "CREDENTIALS") var credentials: CredentialOptions
    @OptionGroup(title: "REDIRECTS AND TIME") var route: RouteOptions
    @OptionGroup(title: "TLS") var tls: TLSOptions
    @OptionGroup(title: "PROXY") var proxy: ProxyOptions
    @OptionGroup(title: "PLACE") var target: TargetOptions
    @OptionGroup(title: "BOUNDS") var limits: LimitOptions

    @Option(
        help: ArgumentHelp("Seconds of silence before a ping; 0 sends none. (default: 20)", valueName: "seconds"),
        transform: Seconds.init(argument:)
    )
    var pingInterval = Seconds(20)

    /// Reads the URL, and tells that credentials in it can be seen.
    func typedURL(_ url: String, _ console: Console) throws(CommandFailure) -> TypedURL {
        let typed = try TypedURL(url)
        if typed.login != nil {
            console.report(.note(typed.note(isOverridden: self.credentials.user != nil)))
        }
        return typed
    }

    /// The client that these options ask for.
    func configuration(for typed: TypedURL, in surroundings: Surroundings) throws -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.logger = WarningLog.logger(surroundings.console)
        try self.handshake.apply(to: &configuration, self.negotiation, console: surroundings.console)
        self.dialect.apply(to: &configuration)
        self.route.apply(to: &configuration)
        let isSecure = ["wss:", "https:"].contains { typed.url.lowercased().hasPrefix($0) }
        configuration.tls = try self.tls.configuration(isNeeded: isSecure)
        try self.proxy.apply(to: &configuration, in: surroundings)
        try self.target.apply(to: &configuration)
        configuration.limits.messages.messageBytes = self.limits.maxMessageSize.value
        configuration.keepAlive.pingInterval =
            self.pingInterval.duration > .zero ? self.pingInterval.duration : nil
        configuration.authentication.challengeHandler = try CommandChallengeHandler(
            options: self.credentials,
            login: typed.login,
            in: surroundings
        )
        return configuration
    }
}
