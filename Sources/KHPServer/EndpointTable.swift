// The endpoints that are in force, with all that is prepared from them: replaced as a whole, while a connection keeps the
// table that its request was looked up in.

import KHPProtocol
import KHPWebSocket
import Synchronization

final class EndpointTable: Sendable {
    /// The endpoints as the handshakes see them; the shell's part of each is at its index in ``served``.
    let endpoints: EndpointSet
    /// The configuration of a connection whose endpoint is not known yet.
    let connection: ConnectionConfiguration
    /// The configuration of a connection on a shared port before its endpoint is known.
    let sharedConnection: ConnectionConfiguration
    private let served: [ServedEndpoint]

    /// - Parameter own: tells the requests of shared connections that are ours, by the table in force then.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints or hosts that make no sense.
    init(_ configuration: WebSocketMount.Configuration, _ endpoints: [Endpoint], own: OwnRequests) throws {
        let dialects = Dialect.all.filter { dialect in endpoints.contains { $0.options.dialects.contains(dialect) } }
        var settings = Self.settings(configuration, dialects)
        let connection = ConnectionConfiguration(settings)
        self.endpoints = try EndpointSet(
            try endpoints.enumerated().map { try $0.element.configuration($0.offset, connection) },
            hosts: try configuration.allowedHosts.map { try HostPolicy.allowing($0) } ?? .any
        )
        settings.isOwn = { own.contain($0) }
        self.connection = connection
        self.sharedConnection = ConnectionConfiguration(settings)
        self.served = endpoints.map { ServedEndpoint($0) }
    }

    private static func settings(
        _ configuration: WebSocketMount.Configuration,
        _ dialects: [Dialect]
    ) -> ConnectionSettings {
        var settings = ConnectionSettings()
        settings.limits = configuration.limits.ofConnection
        settings.timeouts = configuration.timeouts.ofConnection
        settings.keepAlive = configuration.keepAlive
        if configuration.observe != nil || configuration.instruments.contains(where: { $0.observesFrames }) {
            settings.observation = .everything
        } else if !configuration.instruments.isEmpty {
            settings.observation = .steps
        }
        settings.dialects = dialects
        settings.date = DateHeader.now
        return settings
    }

    /// The shell's part of one of these endpoints.
    func served(_ endpoint: EndpointConfiguration) -> ServedEndpoint { self.served[endpoint.index] }
}

/// The requests for endpoints on a port that is shared with another framework's HTTP. A value of its own, since the
/// configuration of a connection holds it, and a table holds that.
final class OwnRequests: Sendable {
    private let endpoints = Mutex<EndpointSet?>(nil)

    func become(_ endpoints: EndpointSet) { self.endpoints.withLock { $0 = endpoints } }

    func contain(_ head: RequestHead) -> Bool { self.endpoints.withLock { $0 }?.owns(head) ?? false }
}
