public import ArgumentParser
public import KHPClient
public import KHPHTTP2

extension Dialect: @retroactive ExpressibleByArgument {
    /// By its name.
    public init?(argument: String) {
        self.init(name: argument)
    }

    /// All names.
    public static var allValueStrings: [String] { all.map(\.name) }
}

extension WebSocketClient.HTTP2.Use: @retroactive ExpressibleByArgument {}

/// Which wire dialect a client speaks, and over what.
struct DialectOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The wire dialect. Those other than rfc6455 are unmasked, and for servers that speak nothing else.",
            valueName: "dialect"
        )
    )
    var dialect: Dialect = .rfc6455

    @Option(
        name: .customLong("fallback-dialect"),
        help: ArgumentHelp(
            "A dialect to try when the server does not understand the one before; repeatable. Whoever stands between "
                + "can force it.",
            valueName: "dialect"
        )
    )
    var fallbacks: [Dialect] = []

    @Option(help: "Open the WebSocket over HTTP/2 (RFC 8441), for wss: off, preferred or required.")
    var http2: WebSocketClient.HTTP2.Use = .off

    func apply(to configuration: inout WebSocketClient.Configuration) {
        configuration.http2.use = self.http2
        configuration.dialect = self.dialect
        configuration.fallbackDialects = self.fallbacks
    }
}
