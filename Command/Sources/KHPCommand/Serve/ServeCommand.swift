import ArgumentParser
import Foundation
import KHPHTTP2
import KHPServer
import NIOCore
import NIOPosix
import ServiceLifecycle

/// `khp serve`: a server to develop against.
struct ServeCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "A server to develop against; serves /echo unless told otherwise.",
        discussion: """
            Says `listening on ws://HOST:PORT` on standard error once it does. SIGTERM and SIGINT drain: no new \
            connections, every open one is closed with 1001, and the end comes within --drain seconds.

            EXAMPLES
              khp serve --port 0
              khp serve --route /old=redirect:/new --route /new=echo -v
              khp serve --route /desk=echo --auth /desk=basic:desk --users users
              khp serve --route /ssh=tcp:127.0.0.1:22 --tls-cert s.pem --tls-key s.key

            SIGHUP reads the files of --tls-cert, --tls-key, --client-ca and --users again, for connections from then \
            on; files that are wrong leave the old ones in force, and a line on standard error says so. Without such \
            files SIGHUP ends it, as a terminal that is closed does.

            ACTIONS OF --route PATH=ACTION
              echo                 sends each message back
              broadcast            sends each message to all on that path
              chat                 the same for text, with names
              redirect:[CODE:]URL  redirects there, with 302 unless told otherwise
              status:CODE[:BODY]   answers with that status; 101, 201, 204, 205 then echo
              choices:URL,URL      answers 300 with these alternatives
              tcp:HOST:PORT        relays to a byte stream, in binary messages

            \(Ending.help(for: .serve))
            """
    )

    @OptionGroup(title: "ADDRESS") var listen: ListenOptions
    @OptionGroup(title: "ENDPOINTS") var endpoints: EndpointOptions
    @OptionGroup(title: "SUBPROTOCOLS AND EXTENSIONS") var negotiation: NegotiationOptions
    @OptionGroup(title: "DIALECTS") var dialects: DialectListOptions
    @OptionGroup(title: "ACCESS") var access: AccessOptions
    @OptionGroup(title: "BOUNDS") var bounds: BoundOptions

    @Option(help: ArgumentHelp("Serve Prometheus metrics at this path of the same port.", valueName: "path"))
    var metrics: String?

    @OptionGroup(title: "OUTPUT") var reporting: ReportingOptions

    @OptionGroup(visibility: .hidden) var stray: StrayArguments

    func checkRest() throws { try self.stray.refuse(at: .serve) }

    func validate() throws {
        if let metrics, !Route.isPath(metrics) {
            throw ValidationError("--metrics needs a path that begins with `/` and holds no blank, `?` or `#`")
        }
    }

    /// Whoever stops reading its events does not stop the server.
    var whenFull: Console.WhenFull { .drop }

    func renderers(_ console: Console, _ environment: [String: String]) -> [any Renderer] {
        self.reporting.renderers(console, environment)
    }

    func run(in surroundings: Surroundings) async throws {
        let console = surroundings.console
        console.onLoss(nil)
        let routes = self.endpoints.routes
        let authentication = try self.access.authentication(for: routes, console: console)
        let built = self.dialects.apply(
            to: try self.endpoints.build(authentication: authentication, self.negotiation, console: console)
        )
        let configuration = try self.configuration(console, surroundings.environment)
        let group: any EventLoopGroup =
            self.bounds.threads.map { MultiThreadedEventLoopGroup(numberOfThreads: $0) }
            ?? MultiThreadedEventLoopGroup.singleton
        let server = WebSocketServer(configuration: configuration, eventLoopGroup: group) { built }
        let services = ServiceGroup(
            configuration: .init(services: [.init(service: server)], logger: WarningLog.logger(console))
        )
        let signals = surroundings.shutdown.signals()
        let files = ServedFiles(listen: self.listen, access: self.access, routes: routes, endpoints: built)
        let hangups = files.areThere ? Hangups.sequence() : nil
        do {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                defer { tasks.cancelAll() }
                tasks.addTask { try await services.run() }
                tasks.addTask {
                    for await _ in signals { await services.triggerGracefulShutdown() }
                }
                let address = try await server.boundAddress()
                if let port = address.port {
                    let typed = ListenOptions.withoutBrackets(self.listen.host)
                    let host = self.listen.listenFds ? address.ipAddress ?? typed : typed
                    console.report(.listening(host: host, port: port, isSecure: configuration.tls != nil))
                } else {
                    console.report(.accepting(.unix(path: address.pathname ?? "")))
                }
                if let hangups {
                    tasks.addTask {
                        for await _ in hangups { await Self.onThread { files.readAgain(for: server, console) } }
                    }
                }
                // The signals go on until the server has ended.
                try await tasks.next()
            }
        } catch {
            throw CommandFailure(any: error)
        }
    }

    /// Runs a body that may block, such as at a pipe that nobody writes to. A task that is cancelled does not wait for it.
    private static func onThread(_ body: @escaping @Sendable () -> Void) async {
        let (done, isDone) = AsyncStream.makeStream(of: Void.self)
        Thread.detachNewThread {
            body()
            isDone.finish()
        }
        for await _ in done {}
    }

    private func configuration(
        _ console: Console,
        _ environment: [String: String]
    ) throws -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration(
            address: try self.listen.address(environment, process: ProcessInfo.processInfo.processIdentifier)
        )
        configuration.tls = try self.listen.tls()
        configuration.http2 = .init()
        self.bounds.apply(to: &configuration)
        try self.access.apply(to: &configuration)
        configuration.logger = WarningLog.logger(console)
        let shows = self.reporting.showsConnections
        let counters = self.metrics.map { _ in Metrics() }
        if let metrics, let counters {
            configuration.respondToHTTP = counters.handler(path: metrics)
        }
        if shows || counters != nil {
            configuration.observe = { event, info in
                counters?.observe(event)
                if shows { console.report(.connection(event, info)) }
            }
        }
        return configuration
    }
}
