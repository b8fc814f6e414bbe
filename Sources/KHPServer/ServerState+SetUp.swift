// The set-up of an accepted connection, on its event loop: from a listener of this library, or from another server.

import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore
import NIOSSL
import NIOTLS

extension ServerState {
    /// A connection's protection, as far as it is known when it is set up.
    struct Security {
        /// `true` where its pipeline has, or gets, a handler for TLS.
        var usesTLS: Bool
        /// `true` where its clients come by TLS, perhaps only up to a proxy.
        var isSecure: Bool
        /// `true` where TLS has been negotiated already.
        var isReady = false

        static let none = Security(usesTLS: false, isSecure: false)
        static let tls = Security(usesTLS: true, isSecure: true)
    }

    /// Sets a connection up.
    /// - Parameters:
    ///   - tls: adds a handler for TLS; `nil` where there is none, or there is one already.
    ///   - entrance: the listener that has accepted it; `nil` for a listener of another server.
    ///   - port: another framework's HTTP, for all requests that are no endpoint's; `nil` for none.
    /// - Returns: `true` when it is to be registered; otherwise it has been closed.
    func setUp(
        _ channel: any Channel,
        _ security: Security,
        tls: NIOSSLContext?,
        entrance: Entrance? = nil,
        port: SharedPort? = nil
    ) -> Bool {
        if let entrance, let proxies = entrance.proxies, !proxies.contains(channel.remoteAddress) {
            // Threat H12
            self.refuse(channel, at: entrance, "connection refused: it is from no trusted proxy", isTrusted: false)
            return false
        }
        guard let entry = self.enter(channel.remoteAddress, by: entrance, isShared: port != nil) else {
            self.logTooMany(channel.remoteAddress)
            return self.refuseForOverload(channel, security, port)
        }
        let (handler, session) = self.handler(channel, entry, security, port)
        self.attach(handler, entry)
        do {
            try self.configuration.hooks?.prepare?(channel)
            if let port { port.note(channel) }
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            if let marks = self.writeMarks {
                try channel.syncOptions?.setOption(.writeBufferWaterMark, value: marks)
            }
            if entrance?.proxies != nil {
                try channel.pipeline.syncOperations.addHandler(self.proxyHeader(of: session, channel, entry))
            }
            if let tls { try self.addTLS(tls, to: channel, entry, entrance) }
            // On a listener of this library no other handler has been added to the channel.
            if entrance != nil, !security.usesTLS, self.configuration.hooks == nil { handler.writesDirectly() }
            // With a name, since one is made up otherwise.
            try channel.pipeline.syncOperations.addHandler(handler, name: "khp")
            if security.isReady { handler.transportIsReady() }
            return true
        } catch {
            // The handler reports the end of its channel, and it is in none.
            self.closed(entry)
            channel.close(promise: nil)
            return false
        }
    }

    /// Turns a connection away for which there is no place.
    /// - Returns: as ``setUp(_:_:tls:entrance:port:)``.
    private func refuseForOverload(_ channel: any Channel, _ security: Security, _ port: SharedPort?) -> Bool {
        // The bounds are those of WebSockets: the other framework's HTTP may have room.
        if let port { return self.give(channel, to: port) }
        // A connection that cannot be served costs nothing more: no head is read, no TLS is negotiated, and few of
        // them live at a time.
        if !security.usesTLS, self.mayRefuseForOverload() {
            channel.closeFuture.whenComplete { _ in self.turnedAway() }
            if (try? channel.pipeline.syncOperations.addHandler(OverloadRefusal())) != nil { return true }
        }
        channel.close(promise: nil)
        return false
    }

    /// Adds the handler of TLS, and before it those that read the first bytes.
    private func addTLS(_ tls: NIOSSLContext, to channel: any Channel, _ entry: Entry, _ entrance: Entrance?) throws {
        if let entrance, entrance.proxies == nil {
            try channel.pipeline.syncOperations.addHandler(
                UnwantedProxyHeaderHandler {
                    self.tellUnwantedProxyHeader(at: entrance, from: channel.remoteAddress)
                }
            )
        }
        if entry.entrance.readsServerName {
            try channel.pipeline.syncOperations.addHandler(Self.serverName(for: entry, channel))
        }
        try self.configuration.hooks?.makesTLS()
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
    }

    /// Sets up the other framework's HTTP on a connection from its first byte; bytes wait until it is ready.
    /// - Returns: `false` where the channel has been closed.
    private func give(_ channel: any Channel, to port: SharedPort) -> Bool {
        let door = HostDoor(port)
        do {
            let pipeline = channel.pipeline.syncOperations
            if port.sharing == .everyRequest { try pipeline.addHandler(HostWatch(self, port)) }
            try pipeline.addHandler(door)
        } catch {
            channel.close(promise: nil)
            return false
        }
        door.open()
        return true
    }

    /// Reads the name that TLS is asked for (RFC 6066 section 3), ahead of TLS. All else is TLS's to judge.
    private static func serverName(for entry: Entry, _ channel: any Channel) -> ByteToMessageHandler<SNIHandler> {
        ByteToMessageHandler(
            SNIHandler { result in
                if case .hostname(let name) = result { entry.serverName = name }
                return channel.eventLoop.makeSucceededVoidFuture()
            }
        )
    }

    /// Waits for the header in which a proxy names its client.
    private func proxyHeader(
        of session: ServerSession,
        _ channel: any Channel,
        _ entry: Entry
    ) -> ProxyHeaderHandler {
        ProxyHeaderHandler { header in
            let client = header.client ?? channel.remoteAddress
            session.named = client
            session.namedCertificate = header.certificateName
            // Another proxy, which names its own client with the request.
            if entry.entrance.clients.isTrusted(client) || self.count(entry, for: client) { return true }
            self.rejected(.address, client)
            self.logTooMany(client)
            return false
        } failed: { error, bytes in
            let words: Logger.Message =
                error == .missing
                ? "connection refused: it begins with no PROXY header; does the proxy send one?"
                : "connection refused: its PROXY header is wrong"
            self.refuse(channel, at: entry.entrance, words, bytes)
        }
    }

    private func refuse(
        _ channel: any Channel,
        at entrance: Entrance,
        _ words: Logger.Message,
        _ bytes: ByteBuffer = ByteBuffer(),
        isTrusted: Bool = true
    ) {
        self.missedProxyHeader(at: entrance, isTrusted: isTrusted)
        self.rejected(isTrusted ? .proxyHeader : .untrustedProxy, channel.remoteAddress)
        // Few enough that no credentials can be among them.
        let first = bytes.readableBytesView.prefix(8)
        self.log(
            .notice,
            words,
            [
                "peer": "\(channel.remoteAddress?.peerName ?? "")", "listener": "\(entrance.name ?? "")",
                "first bytes": "\(quoted(String(decoding: first, as: UTF8.self)))",
            ]
        )
        channel.close(promise: nil)
    }

    /// - Parameter isOurs: `true` where the first request is ours, whatever the endpoints have become since that was found.
    private func handler(
        _ channel: any Channel,
        _ entry: Entry,
        _ security: Security,
        _ port: SharedPort?,
        isOurs: Bool = false
    ) -> (ConnectionHandler, ServerSession) {
        let table = self.table
        let transport = Transport(usesTLS: security.usesTLS)
        let session = ServerSession(
            server: self,
            table: table,
            channel: channel,
            entry: entry,
            transport: transport,
            port: port
        )
        let handler = ConnectionHandler(
            connection: Connection(
                server: port == nil || isOurs ? table.connection : table.sharedConnection,
                isSecure: security.isSecure,
                now: .now()
            ),
            delegate: session,
            eventLoop: channel.eventLoop,
            transport: transport
        )
        return (handler, session)
    }

    /// Their HTTP on a connection, as it is watched.
    func sharedHTTP() -> SharedConnection {
        SharedConnection(limits: self.table.sharedConnection.limits.openingHead) { [own] in own.contain($0) }
    }

    /// Takes a connection over from another framework's HTTP, for an endpoint's request that is not read yet.
    /// - Parameter successor: keeps the handlers of the other framework out.
    /// - Returns: `nil`, with nothing done, where there is no room.
    func takeOver(
        _ channel: any Channel,
        _ port: SharedPort,
        before successor: some ChannelHandler
    ) -> ConnectionHandler? {
        guard let entry = self.enter(channel.remoteAddress, isShared: true) else { return nil }
        let (handler, _) = self.handler(channel, entry, port.security, port, isOurs: true)
        self.attach(handler, entry)
        do {
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(handler, name: "khp", position: .before(successor))
            try pipeline.addHandler(AutoReadHandler(), position: .before(handler))
            handler.transportIsReady()
            return handler
        } catch {
            self.closed(entry)
            channel.close(promise: nil)
            return nil
        }
    }

    /// Takes a connection back from ordinary HTTP, for a request that is to be read yet.
    /// - Parameter predecessor: the handler that leaves it.
    /// - Returns: `nil` where there is no room; then the connection has the place that it had.
    func takeOver(_ site: HTTPSite, behind predecessor: some ChannelHandler) -> ConnectionHandler? {
        let channel = site.channel
        guard let entry = self.reenter(site.entry, channel.remoteAddress) else { return nil }
        if let named = site.named, !entry.entrance.clients.isTrusted(named), !self.count(entry, for: named) {
            self.closed(entry)
            return nil
        }
        let security = Security(usesTLS: site.transport == .tls, isSecure: site.isSecure, isReady: true)
        let (handler, session) = self.handler(channel, entry, security, nil)
        session.named = site.named
        session.namedCertificate = site.namedCertificate
        self.attach(handler, entry)
        do {
            try channel.pipeline.syncOperations.addHandler(handler, name: "khp", position: .after(predecessor))
            self.closed(site.entry)
            return handler
        } catch {
            self.closed(entry)
            return nil
        }
    }

    /// Takes a connection whose first request another framework has read.
    /// - Parameters:
    ///   - bytes: the request, and what came after it.
    ///   - successor: the first of their handlers; `nil` where there are none.
    func takeOver(
        _ channel: any Channel,
        _ security: Security,
        with bytes: ByteBuffer,
        before successor: (any ChannelHandler)?,
        thenEnds: Bool
    ) throws {
        let pipeline = channel.pipeline.syncOperations
        guard let entry = self.enter(channel.remoteAddress) else {
            self.logTooMany(channel.remoteAddress)
            return try pipeline.addHandler(OverloadRefusal(), position: successor.map { .before($0) } ?? .last)
        }
        let (handler, _) = self.handler(channel, entry, security, nil)
        self.attach(handler, entry)
        do {
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            try pipeline.addHandler(handler, name: "khp", position: successor.map { .before($0) } ?? .last)
            try pipeline.addHandler(AutoReadHandler(), position: .before(handler))
        } catch {
            self.closed(entry)
            throw error
        }
        handler.transportIsReady()
        handler.take(bytes, thenEnds: thenEnds)
    }
}
