public import ArgumentParser
public import KHPClient

extension RedirectPolicy: @retroactive ExpressibleByArgument {}

/// Where to go on, and for how long.
struct RouteOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("How many redirects to follow. (default: 5)", valueName: "n"),
        transform: { try Number.read($0, in: 0...Int.max) }
    )
    var maxRedirects = 5

    @Option(help: ArgumentHelp("Which targets to follow, compared with the URL given.", valueName: "policy"))
    var redirectPolicy: RedirectPolicy = .always

    @Flag(name: .customLong("follow-308"), help: "Follow 308 as RFC 9110 has it; the specification closes on it.")
    var follow308 = false

    @Flag(help: "Follow a redirect from wss to ws.")
    var allowDowngrade = false

    @Option(
        help: ArgumentHelp("Seconds for the whole connect, and for --count. (default: 30)", valueName: "seconds"),
        transform: PositiveSeconds.init(argument:)
    )
    var timeout = PositiveSeconds.thirty

    @Option(
        help: ArgumentHelp("Longest wait after a 202, in seconds. (default: 30)", valueName: "seconds"),
        transform: Seconds.init(argument:)
    )
    var wait = Seconds(30)

    func apply(to configuration: inout WebSocketClient.Configuration) {
        configuration.redirects.policy = self.redirectPolicy
        configuration.redirects.limit = self.maxRedirects
        configuration.redirects.follows308 = self.follow308
        configuration.redirects.allowsLeavingTLS = self.allowDowngrade
        configuration.timeouts.total = self.timeout.duration
        // The whole connect is the bound that was asked for: no stage ends earlier than that.
        configuration.timeouts.connect = self.timeout.duration
        configuration.timeouts.opening = self.timeout.duration
        configuration.timeouts.extended = self.timeout.duration
        configuration.timeouts.processing = self.wait.duration
    }
}
