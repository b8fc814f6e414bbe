// The outcome of a TLS handshake, for observers.

package import KHPProtocol
package import NIOCore
import NIOSSL

extension TLSInfo {
    /// The TLS of a connection; `nil` where there is none. A stream has the TLS of the connection that carries it.
    package static func of(_ channel: any Channel, _ transport: Transport, alpn: String? = nil) -> TLSInfo? {
        switch transport {
        case .socket: nil
        case .tls: self.of(channel, alpn: alpn)
        case .stream: channel.parent.flatMap { self.of($0, alpn: "h2") }
        }
    }

    /// Reads the TLS handler of a channel. On the channel's event loop.
    package static func of(_ channel: any Channel, alpn: String? = nil) -> TLSInfo? {
        let pipeline = channel.pipeline.syncOperations
        // TLS to a proxy does not count: it does not protect the connection to the server.
        let named = (try? pipeline.context(name: Dialer.tlsName))?.handler as? NIOSSLHandler
        guard let handler = try? named ?? pipeline.handler(type: NIOSSLHandler.self) else { return nil }
        let version =
            switch handler.tlsVersion {
            case .tlsv1: "TLSv1"
            case .tlsv11: "TLSv1.1"
            case .tlsv12: "TLSv1.2"
            case .tlsv13: "TLSv1.3"
            case nil: "unknown"
            }
        return TLSInfo(version: version, alpn: alpn)
    }
}
