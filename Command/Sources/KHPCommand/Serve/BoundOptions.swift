import ArgumentParser
import KHPServer

/// Bounds in size, number and time.
struct BoundOptions: ParsableArguments {
    @OptionGroup var limits: LimitOptions

    @Option(
        help: ArgumentHelp("Seconds for each of the two handshakes. (default: 10)", valueName: "seconds"),
        transform: PositiveSeconds.init(argument:)
    )
    var handshakeTimeout = PositiveSeconds.ten

    @Option(
        help: ArgumentHelp("Close after this many seconds without a message.", valueName: "seconds"),
        transform: PositiveSeconds.init(argument:)
    )
    var idleTimeout: PositiveSeconds?

    @Option(
        help: ArgumentHelp("Most connections at a time. (default: 10000)", valueName: "n"),
        transform: PositiveCount.init(argument:)
    )
    var maxConnections = PositiveCount.tenThousand

    @Option(
        help: ArgumentHelp("Event loop threads, at most 1024. None: one per core.", valueName: "n"),
        transform: { try Number.read($0, in: 1...1024) }
    )
    var threads: Int?

    @Option(
        help: ArgumentHelp("Seconds that a shutdown may take. (default: 10)", valueName: "seconds"),
        transform: Seconds.init(argument:)
    )
    var drain = Seconds(10)

    func apply(to configuration: inout WebSocketServer.Configuration) {
        configuration.limits.messages.messageBytes = self.limits.maxMessageSize.value
        configuration.limits.connections = self.maxConnections.value
        configuration.timeouts.opening = self.handshakeTimeout.duration
        configuration.timeouts.extended = self.handshakeTimeout.duration
        configuration.keepAlive.idleTimeout = self.idleTimeout?.duration
        configuration.gracefulShutdownTimeout = self.drain.duration
    }
}
