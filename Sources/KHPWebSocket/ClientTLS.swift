// TLS to one host, the server's or a proxy's. The library verifies the chain; the certificate's names are checked here,
// with the URL and not with the connection's address (R-T1).

import KHPProtocol
import NIOCore
package import NIOSSL
import NIOTLS

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

package struct ClientTLS: Sendable {
    /// The peer's name in the words of an error.
    package enum Peer: String, Sendable {
        case server = "the server's certificate"
        case proxy = "the proxy's certificate"
    }

    private let context: NIOSSLContext
    private let identity: ServerIdentity
    private let checksIdentity: Bool
    private let check: Check?
    private let hooks: ShellHooks?
    fileprivate let peer: Peer

    /// A check of the certificate by the application. It throws to refuse the certificate.
    package typealias Check = @Sendable (_ certificate: NIOSSLCertificate, _ host: String) throws -> Void

    /// - Parameters:
    ///   - host: the URL's host, which the certificate must name unless `configuration` switches that off.
    ///   - protocols: the application protocols to offer, in order of preference.
    ///   - check: is called after all other checks have passed, and replaces none of them.
    /// - Throws: the fault that makes the configuration unusable.
    package init(
        _ configuration: TLSConfiguration,
        to host: String,
        of peer: Peer,
        protocols: [String] = ["http/1.1"],
        check: Check? = nil,
        hooks: ShellHooks? = nil
    ) throws {
        if check != nil, configuration.certificateVerification == .none {
            // The check would never be called.
            throw WebSocketError(.invalidArgument, "A certificate is to be checked, and none is verified.")
        }
        var tls = configuration.decided
        tls.applicationProtocols = protocols
        self.checksIdentity = tls.certificateVerification == .fullVerification
        // swift-nio-ssl would accept the address of the connection, the common name and partial wildcards as names of the
        // server.
        if self.checksIdentity { tls.certificateVerification = .noHostnameVerification }
        self.check = check
        self.hooks = hooks
        try hooks?.makesTLS()
        self.context = try NIOSSLContext(configuration: tls)
        self.identity = ServerIdentity(host: host)
        self.peer = peer
    }

    /// Adds TLS, and for the length of its handshake the handler that explains its failures. On the event loop.
    /// - Parameter name: the name of TLS in the pipeline.
    func add(
        to pipeline: ChannelPipeline.SynchronousOperations,
        name: String? = nil,
        after handler: any ChannelHandler
    ) throws {
        let tls = try self.makeHandler()
        try pipeline.addHandler(tls, name: name, position: .after(handler))
        try pipeline.addHandler(CertificateDateHandler(tls, self.peer), position: .after(tls))
    }

    private func makeHandler() throws -> NIOSSLClientHandler {
        try self.hooks?.makesTLS()
        guard self.checksIdentity || self.check != nil else {
            return try NIOSSLClientHandler(context: self.context, serverHostname: self.identity.serverName)
        }
        // Called when the chain has been verified, before a byte is sent inside TLS; with TLS 1.3 the client's own
        // certificate has not been sent either.
        return try NIOSSLClientHandler._makeSSLClientHandler(
            context: self.context,
            serverHostname: self.identity.serverName
        ) { certificate, channel in
            if let verifies = self.hooks?.verifies {
                return verifies(channel).flatMapThrowing { try self.verify(certificate) }
            }
            return channel.eventLoop.makeCompletedFuture { try self.verify(certificate) }
        }
    }

    /// Verifies the identity in the certificate, and calls the caller's check. The chain has been verified.
    /// - Throws: `WebSocketError` for an identity that is not that of the host, and where the check throws.
    private func verify(_ certificate: NIOSSLCertificate) throws {
        if self.checksIdentity {
            let presented = PresentedIdentifiers(of: certificate)
            guard self.identity.isAmong(presented) else {
                throw TransportFailure.tls(
                    "\(self.peer.rawValue) is for \(presented), not for \(self.identity.host)",
                    .wrongHost
                )
            }
        }
        do {
            try self.check?(certificate, self.identity.host)
        } catch {
            throw TransportFailure.tls("\(self.peer.rawValue) is not taken: \(error)", nil)
        }
    }
}

extension PresentedIdentifiers {
    /// The identifiers of a certificate.
    init(of certificate: NIOSSLCertificate) {
        self.init()
        for entry in certificate._subjectAlternativeNames() {
            switch entry.nameType {
            case .dnsName: self.names.append(Array(entry.contents))
            case .ipAddress: self.addresses.append(Array(entry.contents))
            default: break
            }
        }
    }
}

/// Explains a chain that could not be verified by the dates of the certificate, where those are the reason. Stands above
/// TLS until its handshake is complete.
private final class CertificateDateHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private var tls: NIOSSLClientHandler?
    private let peer: ClientTLS.Peer

    init(_ tls: NIOSSLClientHandler, _ peer: ClientTLS.Peer) {
        self.tls = tls
        self.peer = peer
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.tls = nil }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        context.fireUserInboundEventTriggered(event)
        if case .handshakeCompleted? = event as? TLSUserEvent {
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.fireErrorCaught(self.dateProblem(error) ?? error)
    }

    private func dateProblem(_ error: any Error) -> WebSocketError? {
        guard TransportFailure.isUnverified(error), let certificate = self.tls?.peerCertificate else { return nil }
        let now = time(nil)
        if now > certificate.notValidAfter {
            let date = DateHeader.readable(certificate.notValidAfter)
            return TransportFailure.tls("\(self.peer.rawValue) expired on \(date)", .outdatedCertificate)
        }
        if now < certificate.notValidBefore {
            let date = DateHeader.readable(certificate.notValidBefore)
            return TransportFailure.tls("\(self.peer.rawValue) is not valid before \(date)", .outdatedCertificate)
        }
        return nil
    }
}
