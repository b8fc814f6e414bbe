public import ArgumentParser
public import KHPServer
import NIOCore
import NIOSSL

extension ServerExtendedHandshake: @retroactive ExpressibleByArgument {}

/// A choice that reads better than a flag and its negation.
enum OnOff: String, ExpressibleByArgument, CaseIterable {
    case on
    case off
}

/// Where to listen.
struct ListenOptions: ParsableArguments {
    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(
        help: ArgumentHelp("The port; 0 takes a free one. (default: 8080)", valueName: "port"),
        transform: { try Number.read($0, in: 0...65_535) }
    )
    var port = 8080

    @Flag(help: "Listen on the socket that systemd hands over (LISTEN_FDS), in place of --host and --port.")
    var listenFds = false

    @Option(help: ArgumentHelp("The certificate and its chain, PEM: serves wss.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The certificate's key, PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(help: ArgumentHelp("Ask clients for a certificate of these authorities, PEM.", valueName: "file"))
    var clientCa: String?

    func validate() throws {
        if self.host.isEmpty { throw ValidationError("--host needs a name or an address") }
    }

    /// The place to listen at.
    /// - Parameters:
    ///   - environment: where a service manager says which sockets it hands over (sd_listen_fds(3)).
    ///   - process: the number of this process: the variables may be meant for another one.
    func address(_ environment: [String: String], process: Int32) throws -> WebSocketServer.BindAddress {
        guard self.listenFds else { return .hostname(self.host, port: self.port) }
        guard environment["LISTEN_PID"].flatMap({ Int32($0) }) == process, let count = environment["LISTEN_FDS"] else {
            throw CommandFailure.usage("--listen-fds: systemd hands no socket over; is there a socket unit?")
        }
        guard count == "1" else {
            throw CommandFailure.usage(
                "--listen-fds: systemd hands \(count) sockets over, and one is what is listened on"
            )
        }
        return .boundSocket(3)
    }

    func tls() throws -> TLSConfiguration? {
        guard (self.tlsCert == nil) == (self.tlsKey == nil) else {
            throw CommandFailure.usage("--tls-cert and --tls-key belong together; one of them is missing")
        }
        guard let tlsCert, let tlsKey else {
            if self.clientCa != nil { throw CommandFailure.usage("--client-ca needs --tls-cert and --tls-key") }
            return nil
        }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try PEM.certificates(tlsCert, option: "--tls-cert").map { .certificate($0) },
            privateKey: .privateKey(try PEM.key(tlsKey, option: "--tls-key"))
        )
        try PEM.checkPair(tls, "--tls-cert", "--tls-key")
        if let clientCa {
            tls.trustRoots = .certificates(try PEM.certificates(clientCa, option: "--client-ca"))
            tls.certificateVerification = .noHostnameVerification
        }
        return tls
    }
}

/// The options of the endpoints.
struct EndpointOptions: ParsableArguments {
    @Option(
        name: .customLong("route"),
        help: ArgumentHelp("What a path does; repeatable. None: /echo=echo.", valueName: "path=action"),
        transform: Route.init(argument:)
    )
    var typedRoutes: [Route] = []

    @Option(
        help: ArgumentHelp(
            "The same as --extensions-at for compression alone. A browser's WebSocket can compress only what its opening "
                + "agreed on.",
            valueName: "opening|extended"
        )
    )
    var compressAt: ExtensionPlace?

    @Option(help: "The extended handshake: optional, required or off.")
    var extended: ServerExtendedHandshake = .optional

    @Option(
        help: ArgumentHelp(
            "Whether clients with .kl=Y in their query are spoken to as deployed Kaazing clients expect it.",
            valueName: "on|off"
        )
    )
    var kaazingLegacy: OnOff = .on

    @Option(help: ArgumentHelp("An allowed origin; repeatable. None: any.", valueName: "url"))
    var origin: [String] = []

    func validate() throws {
        var paths: Set<String> = []
        for route in self.typedRoutes where !paths.insert(route.path).inserted {
            throw ValidationError("there are two routes for \(route.path)")
        }
    }

    /// The routes that were typed, or the one that is there without any.
    var routes: [Route] { self.typedRoutes.isEmpty ? [Route(path: "/echo", action: .echo)] : self.typedRoutes }

    func build(
        authentication: [String: ServerAuthentication],
        _ negotiation: NegotiationOptions,
        console: Console
    ) throws -> [Endpoint] {
        let origins = self.origin.isEmpty ? OriginPolicy.any : try OriginPolicy.allowing(self.origin)
        guard self.extended != .off || negotiation.extensionsAt != .extended && self.compressAt != .extended else {
            throw CommandFailure.usage("--extensions-at extended grants nothing where --extended is off")
        }
        let extensions = try negotiation.make(.server, compressionPlace: self.compressAt, console: console)
        return self.routes.map { route in
            var endpoint = route.endpoint()
            endpoint.options.subprotocols = negotiation.subprotocols
            endpoint.options.extensions = extensions
            endpoint.options.authentication = authentication[route.path]
            endpoint.options.origins = origins
            endpoint.options.extendedHandshake = self.extended
            endpoint.options.kaazingLegacy = self.kaazingLegacy == .on
            return endpoint
        }
    }
}

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
