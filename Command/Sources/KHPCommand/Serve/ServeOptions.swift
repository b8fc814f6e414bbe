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

    @Option(help: "The port; 0 takes a free one.")
    var port = 8080

    @Option(help: ArgumentHelp("The certificate and its chain, PEM: serves wss.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The certificate's key, PEM.", valueName: "file"))
    var tlsKey: String?

    @Option(help: ArgumentHelp("Ask clients for a certificate of these authorities, PEM.", valueName: "file"))
    var clientCa: String?

    func validate() throws {
        guard (0...65535).contains(self.port) else { throw ValidationError("`--port` is a number from 0 to 65535") }
    }

    func tls() throws -> TLSConfiguration? {
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw CommandFailure.usage("--tls-cert and --tls-key belong together; one of them is missing")
        }
        guard let tlsCert, let tlsKey else {
            if clientCa != nil { throw CommandFailure.usage("--client-ca needs --tls-cert and --tls-key") }
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
        help: ArgumentHelp("What a path does; repeatable. None: /echo=echo.", valueName: "path=action")
    )
    var routeTexts: [String] = []

    @Option(
        name: .customLong("subprotocol"),
        help: ArgumentHelp(
            "A subprotocol that every route speaks, most preferred first; repeatable.",
            valueName: "name"
        )
    )
    var subprotocols: [String] = []

    @Option(
        name: .customLong("extension"),
        help: ArgumentHelp(
            "An extension to accept, such as 'x-name; level=1'; repeatable. One that khp does not know is accepted "
                + "and reported, and does nothing. Known are permessage-deflate, x-kaazing-ping-pong and "
                + "'x-kaazing-idle-timeout; timeout=MILLISECONDS'.",
            valueName: "extension"
        )
    )
    var extensions: [String] = []

    @Flag(
        help: """
            Accept permessage-deflate: compressed messages, for up to 71 KiB a connection. Where --extension names it, \
            its parameters count.
            """
    )
    var compress = false

    @Option(
        help: ArgumentHelp(
            "Grant extensions in this handshake alone. None: inside to those who offer x-kaazing-handshake, in the opening "
                + "to others.",
            valueName: "opening|extended"
        )
    )
    var extensionsAt: ExtensionPlace?

    @Option(
        help: ArgumentHelp(
            "The same for compression alone. A browser's WebSocket can compress only what its opening agreed on.",
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

    func routes() throws -> [Route] {
        guard !self.routeTexts.isEmpty else { return [Route(path: "/echo", action: .echo)] }
        var paths: Set<String> = []
        return try self.routeTexts.map { text in
            let route = try Route.parse(text).get()
            guard paths.insert(route.path).inserted else {
                throw CommandFailure.usage("there are two routes for \(route.path)")
            }
            return route
        }
    }

    func build(
        _ routes: [Route],
        authentication: [String: ServerAuthentication],
        console: Console
    ) throws -> [Endpoint] {
        let origins = self.origin.isEmpty ? OriginPolicy.any : try OriginPolicy.allowing(self.origin)
        guard self.extended != .off || self.extensionsAt != .extended && self.compressAt != .extended else {
            throw CommandFailure.usage("--extensions-at extended grants nothing where --extended is off")
        }
        let extensions = try ExtensionArgument.extensions(
            extensions,
            compress: self.compress,
            role: .server,
            console: console
        )
        .map { item in
            let place = item.name == "permessage-deflate" ? self.compressAt ?? self.extensionsAt : self.extensionsAt
            return place?.placing(item) ?? item
        }
        return routes.map { route in
            var endpoint = route.endpoint()
            endpoint.options.subprotocols = self.subprotocols
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
    @Option(help: ArgumentHelp("Largest message to take, in bytes.", valueName: "bytes"))
    var maxMessageSize = 1 << 20

    @Option(help: ArgumentHelp("Seconds for each of the two handshakes.", valueName: "seconds"))
    var handshakeTimeout = Seconds(10)

    @Option(help: ArgumentHelp("Close after this many seconds without a message.", valueName: "seconds"))
    var idleTimeout: Seconds?

    @Option(help: ArgumentHelp("Most connections at a time.", valueName: "n"))
    var maxConnections = 10_000

    @Option(help: ArgumentHelp("Event loop threads. None: one per core.", valueName: "n"))
    var threads: Int?

    @Option(help: ArgumentHelp("Seconds that a shutdown may take.", valueName: "seconds"))
    var drain = Seconds(10)

    func validate() throws {
        if self.maxMessageSize < 1 { throw ValidationError("`--max-message-size` needs a number from 1") }
        if self.maxConnections < 1 { throw ValidationError("`--max-connections` needs a number from 1") }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("`--threads` is a number from 1 to 1024")
        }
        if self.handshakeTimeout.duration <= .zero {
            throw ValidationError("`--handshake-timeout` needs more than 0 seconds")
        }
        if let idleTimeout, idleTimeout.duration <= .zero {
            throw ValidationError("`--idle-timeout` needs more than 0 seconds")
        }
    }

    func apply(to configuration: inout WebSocketServer.Configuration) {
        configuration.limits.messages.messageBytes = self.maxMessageSize
        configuration.limits.connections = self.maxConnections
        configuration.timeouts.opening = self.handshakeTimeout.duration
        configuration.timeouts.extended = self.handshakeTimeout.duration
        configuration.keepAlive.idleTimeout = self.idleTimeout?.duration
        configuration.gracefulShutdownTimeout = self.drain.duration
    }
}
