// The set-up of an accepted connection, on its event loop: of a listener's of ours, or of one that somebody else has
// accepted.

import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore
import NIOSSL

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
    ///   - port: somebody else's HTTP, for all requests that are no endpoint's; `nil` where there is nobody else.
    /// - Returns: whether it is to be registered; otherwise it has been closed.
    func setUp(
        _ channel: any Channel,
        _ security: Security,
        tls: NIOSSLContext?,
        port: SharedPort? = nil
    ) -> Bool {
        guard let entry = self.enter(channel.remoteAddress, isShared: port != nil) else {
            self.log(.notice, "connection refused: too many", ["peer": "\(channel.remoteAddress?.peerName ?? "")"])
            if let port {
                // Their HTTP shall not want for room because ours does.
                if port.sharing == .everyRequest {
                    let watch = HostWatch(self, port)
                    guard (try? channel.pipeline.syncOperations.addHandler(watch)) != nil else { return false }
                }
                port.setUp(channel).whenFailure { _ in channel.close(promise: nil) }
                return true
            }
            // A connection that cannot be served costs nothing more: no head is read, no TLS is negotiated, and few of
            // them live at a time.
            if !security.usesTLS, self.mayRefuseForOverload() {
                channel.closeFuture.whenComplete { _ in self.turnedAway() }
                if (try? channel.pipeline.syncOperations.addHandler(OverloadRefusal())) != nil { return true }
            }
            channel.close(promise: nil)
            return false
        }
        let handler = self.handler(channel, entry, security, port)
        self.attach(handler, entry)
        do {
            try self.configuration.hooks?.prepare?(channel)
            if let port { port.note(channel) }
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            let low = self.configuration.limits.sendBufferLowMark
            let high = self.configuration.limits.sendBufferHighMark
            if low != 32 * 1024 || high != 64 * 1024 {
                // Other than SwiftNIO's own.
                try channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: low, high: high))
            }
            if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
            // With a name, since one is made up otherwise.
            try channel.pipeline.syncOperations.addHandler(handler, name: "khp")
            if security.isReady { handler.transportIsReady() }
            return true
        } catch {
            // The handler tells of the end of the channel, and it is in none.
            self.closed(entry)
            channel.close(promise: nil)
            return false
        }
    }

    private func handler(
        _ channel: any Channel,
        _ entry: Entry,
        _ security: Security,
        _ port: SharedPort?
    ) -> ConnectionHandler {
        let table = self.table
        let session = ServerSession(
            server: self,
            table: table,
            channel: channel,
            entry: entry,
            usesTLS: security.usesTLS,
            port: port
        )
        return ConnectionHandler(
            connection: Connection(
                server: port == nil ? table.connection : table.sharedConnection,
                isSecure: security.isSecure,
                now: .now()
            ),
            delegate: session,
            eventLoop: channel.eventLoop,
            usesTLS: security.usesTLS
        )
    }

    /// Their HTTP on a connection, as it is watched.
    func sharedHTTP() -> SharedConnection {
        SharedConnection(limits: self.table.sharedConnection.limits.openingHead) { [own] in own.contain($0) }
    }

    /// Takes a connection over from somebody else's HTTP, for a request of ours that is to be read yet.
    /// - Parameter successor: keeps their handlers out.
    /// - Returns: `nil`, with nothing done, where there is no room.
    func takeOver(
        _ channel: any Channel,
        _ port: SharedPort,
        before successor: some ChannelHandler
    ) -> ConnectionHandler? {
        guard let entry = self.enter(channel.remoteAddress, isShared: true) else { return nil }
        let handler = self.handler(channel, entry, port.security, port)
        self.attach(handler, entry)
        do {
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(handler, name: "khp", position: .before(successor))
            try pipeline.addHandler(ReadingForItself(), position: .before(handler))
            handler.transportIsReady()
            return handler
        } catch {
            self.closed(entry)
            channel.close(promise: nil)
            return nil
        }
    }
}
