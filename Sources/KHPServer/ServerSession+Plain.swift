// A connection whose first request opens no WebSocket: answered by a closure, or served as ordinary HTTP from there on.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOSSL

extension ServerSession {
    /// Answers a request that no endpoint takes.
    func answer(_ plain: CheckedRequest, on handler: ConnectionHandler) {
        let configuration = self.server.configuration
        if let serve = configuration.serveHTTP {
            self.serve(plain, serve, handler)
        } else if let respond = configuration.respondToHTTP {
            // The simple form: an exchange whose closure takes the request and gives the response.
            let answerTime = TimeAmount(configuration.timeouts.opening)
            self.serve(plain, answerTime: answerTime, { try await $0.respond(by: respond) }, handler)
        } else {
            self.decisions.refusePlain(on: &handler.connection, now: .now())
        }
    }

    /// The connection speaks ordinary HTTP from here on, with the place that it has.
    private func serve(
        _ plain: CheckedRequest,
        answerTime: TimeAmount? = nil,
        _ serve: @escaping HTTPSite.Serve,
        _ handler: ConnectionHandler
    ) {
        let site = HTTPSite(
            server: self.server,
            entry: self.entry,
            serve: serve,
            answerTime: answerTime,
            channel: self.channel,
            transport: self.transport,
            isSecure: handler.connection.isSecure,
            named: self.named,
            namedCertificate: self.namedCertificate,
            certificate: self.clientCertificate
        )
        let hasInputEnded = handler.ending.isInputOver
        let unread = self.decisions.handOverPlain(of: &handler.connection)
        let http = HTTPHandler(site)
        do {
            try handler.standAside(for: http)
            self.server.attach(.http(NIOLoopBound(http, eventLoop: self.channel.eventLoop)), self.entry)
            http.begin(plain, unread: unread, self.instruments, hasInputEnded: hasInputEnded)
        } catch {
            self.server.closed(self.entry)
            self.channel.close(promise: nil)
        }
    }

    /// The certificate that TLS has asked the client for.
    var clientCertificate: NIOSSLCertificate? {
        let carrier = self.transport == .stream ? self.channel.parent : self.channel
        let tls = try? carrier?.pipeline.syncOperations.handler(type: NIOSSLHandler.self)
        return tls?.peerCertificate
    }
}
