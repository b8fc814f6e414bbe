public import ArgumentParser
public import KHPServer

extension ServerExtendedHandshake: @retroactive ExpressibleByArgument {}

/// A choice that reads better than a flag and its negation.
enum OnOff: String, ExpressibleByArgument, CaseIterable {
    case on
    case off
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
