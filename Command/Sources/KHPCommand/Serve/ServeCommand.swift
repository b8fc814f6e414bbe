import ArgumentParser
import Foundation
import KHPServer
import NIOCore
import NIOPosix
import ServiceLifecycle

/// `khp serve`: a server to develop against.
struct ServeCommand: AsyncParsableCommand {
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

            ACTIONS OF --route PATH=ACTION
              echo                 sends each message back
              broadcast            sends each message to all on that path
              chat                 the same for text, with names
              redirect:[CODE:]URL  redirects there, with 302 unless told otherwise
              status:CODE[:BODY]   answers with that status; 101, 201, 204, 205 then echo
              choices:URL,URL      answers 300 with these alternatives
              tcp:HOST:PORT        relays to a byte stream, in binary messages
            """
    )

    @OptionGroup(title: "ADDRESS") var listen: ListenOptions
    @OptionGroup(title: "ENDPOINTS") var endpoints: EndpointOptions
    @OptionGroup(title: "DIALECTS") var dialects: DialectListOptions
    @OptionGroup(title: "ACCESS") var access: AccessOptions
    @OptionGroup(title: "BOUNDS") var bounds: BoundOptions

    @Option(help: ArgumentHelp("Serve Prometheus metrics at this path of the same port.", valueName: "path"))
    var metrics: String?

    @Flag(
        name: [.customShort("v"), .customLong("verbose")],
        help: "Show the steps of each connection on standard error."
    )
    var verbose = false

    @Flag(help: "Show every head and frame of every layer as well.")
    var trace = false

    @Flag(help: "Write one JSON object per line to standard output.")
    var json = false

    func validate() throws {
        if self.listen.host.isEmpty { throw ValidationError("`--host` needs a name or an address") }
        if let metrics, !metrics.hasPrefix("/") {
            throw ValidationError("`--metrics` needs a path that begins with `/`")
        }
    }

    func run() async throws {
        Output.shared.dropWhenFull()
        // Whoever stops reading its events does not stop the server.
        Output.shared.onLoss(nil)
        let routes = try self.endpoints.routes()
        let authentication = try self.access.authentication(for: routes)
        let built = self.dialects.apply(
            to: try self.endpoints.build(routes, authentication: authentication, extended: self.endpoints.extended)
        )
        let configuration = try configuration(paths: Set(routes.map(\.path)))
        let group: any EventLoopGroup =
            self.bounds.threads.map { MultiThreadedEventLoopGroup(numberOfThreads: $0) }
            ?? MultiThreadedEventLoopGroup.singleton
        let server = WebSocketServer(configuration: configuration, eventLoopGroup: group) { built }
        let services = ServiceGroup(
            configuration: .init(services: [.init(service: server)], logger: Quiet.logger)
        )
        let signals = Signals { _ in Task { await services.triggerGracefulShutdown() } }
        defer { withExtendedLifetime(signals) {} }
        do {
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                tasks.addTask { try await services.run() }
                let address = try await server.boundAddress()
                self.announce(address, secure: configuration.tls != nil)
                try await tasks.waitForAll()
            }
        } catch {
            throw self.failure(error)
        }
    }

    private func configuration(paths: Set<String>) throws -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration(address: .hostname(self.listen.host, port: self.listen.port))
        configuration.tls = try self.listen.tls()
        self.bounds.apply(to: &configuration)
        try self.access.apply(to: &configuration)
        let reporter = Reporter(
            options: Reporter.Options(
                json: self.json,
                verbose: self.verbose,
                trace: self.trace,
                namesConnections: true,
                reportsMessages: true
            )
        )
        let counters = metrics.map { _ in Metrics() }
        if let metrics, let counters {
            configuration.httpHandler = Metrics.handler(path: metrics, endpoints: paths, counters)
        }
        if reporter.isActive || counters != nil {
            configuration.observe = { event, info in
                counters?.observe(event)
                reporter.observe(event, info)
            }
        }
        return configuration
    }

    private func announce(_ address: SocketAddress, secure: Bool) {
        let port = address.port ?? self.listen.port
        let host = self.listen.host.contains(":") ? "[\(self.listen.host)]" : self.listen.host
        Output.shared.line("listening on \(secure ? "wss" : "ws")://\(host):\(port)", to: .standardError)
        guard self.json else { return }
        var object = Events.object("listening")
        object.set("host", self.listen.host)
        object.set("port", port)
        object.set("tls", .boolean(secure))
        Output.shared.line(object.line)
    }

    private func failure(_ error: any Error) -> CommandFailure {
        var failure = CommandFailure(any: error)
        if failure.sentence.hasSuffix("is in use") { failure.sentence += "; --port 0 takes a free one" }
        return failure
    }
}
