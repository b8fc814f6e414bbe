import ArgumentParser
import KHPClient
import KHPGateway
import KHPHTTP2
import KHPProtocol
import NIOPosix

/// `khp tunnel`: a local address, whose every connection goes over a WebSocket of its own.
struct TunnelCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "tunnel",
        abstract: "Accept TCP or Unix connections and carry each over a WebSocket to URL.",
        discussion: """
            For programs that speak TCP alone, in front of a gateway or of `khp serve --route PATH=tcp:HOST:PORT`. The \
            end of one side is the end of the other, after its bytes. A connect that fails ends the accepted \
            connection, and standard error says why. SIGTERM and SIGINT drain: no new connections, every WebSocket is \
            closed with 1001, and the end comes within --drain seconds.

            EXAMPLES
              khp tunnel --listen 127.0.0.1:5672 --user joe wss://gateway.example.com/amqp
              khp tunnel --listen unix:/tmp/redis.sock wss://gateway.example.com/redis
              khp tunnel --listen 127.0.0.1:0 --json --token T wss://gateway.example.com/nats

            \(Ending.help(for: .tunnel))
            """
    )

    @Argument(help: "ws:, wss:, http: or https:; NAME:PASSWORD@ before the host counts as --user.")
    var url: String

    @Option(
        help: ArgumentHelp(
            "Accept here: HOST:PORT, [IPv6]:PORT (port 0 takes a free one) or unix:PATH.",
            valueName: "address"
        ),
        transform: TunnelAddress.init(argument:)
    )
    var listen: TunnelAddress

    @Option(help: "The messages that bytes become: binary or text. Either kind becomes bytes.")
    var frames: Frames = .binary

    enum Frames: String, ExpressibleByArgument, CaseIterable {
        case binary
        case text
    }

    @Option(
        help: ArgumentHelp("Seconds for the end after SIGTERM or SIGINT. (default: 10)", valueName: "seconds"),
        transform: Seconds.init(argument:)
    )
    var drain = Seconds(10)

    @Flag(
        name: .customLong("share-connection"),
        help: "With --http2: carry all on one HTTP/2 connection as far as the server allows, instead of one each."
    )
    var sharesConnection = false

    @OptionGroup var reaching: ReachingOptions
    @OptionGroup(title: "OUTPUT") var reporting: ReportingOptions

    @OptionGroup(visibility: .hidden) var stray: StrayArguments

    func checkRest() throws { try self.stray.refuse(at: .tunnel) }

    /// A reader that stops does not stop the tunnel.
    var whenFull: Console.WhenFull { .drop }

    func renderers(_ console: Console, _ environment: [String: String]) -> [any Renderer] {
        self.reporting.renderers(console, environment, isShared: true)
    }

    func run(in surroundings: Surroundings) async throws {
        let console = surroundings.console
        console.onLoss(nil)
        let typed = try self.reaching.typedURL(self.url, console)
        do {
            _ = try WebSocketURL(typed.url)
        } catch {
            throw CommandFailure(error)
        }
        var configuration = try self.reaching.configuration(for: typed, in: surroundings)
        configuration.http2.sharesConnections = self.sharesConnection
        if self.reporting.showsConnections {
            configuration.observe = { event, info in console.report(.connection(event, info)) }
        }
        var relay = StreamRelay(named: "the stream that is tunnelled")
        relay.frames = self.frames == .text ? .text : .binary
        relay.patience = configuration.timeouts.stalledWrite
        // One for all: a stream and its socket share it, and at most one connect is under way to an address.
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let listener = try await ByteListener.bind(to: self.listen, for: relay, on: eventLoop)
        surroundings.shutdown.register { _ in
            listener.close()
            return true
        }
        let signals = surroundings.shutdown.signals()
        console.report(.accepting(listener.address))
        let tunnel = Tunnel(
            listener: listener,
            relay: relay,
            eventLoop: eventLoop,
            client: WebSocketClient(configuration: configuration, eventLoopGroup: eventLoop),
            url: typed.url,
            subprotocols: self.reaching.negotiation.subprotocols,
            drain: self.drain.duration,
            console: console
        )
        await tunnel.run(until: signals)
    }
}
