// Errors of TCP and TLS in words that say what happened.

package import KHPProtocol
import NIOCore
import NIOPosix
import NIOSSL

package enum TransportFailure {
    /// Describes an error that the channel met.
    package static func describe(_ error: any Error, usesTLS: Bool) -> WebSocketError {
        if let error = error as? WebSocketError { return error }
        switch error {
        case let error as NIOSSLError:
            return WebSocketError(.tlsFailed, "TLS failed: \(self.words(for: error)).")
        case is BoringSSLError, is NIOSSLExtraError:
            return WebSocketError(.tlsFailed, "TLS failed: \(error).")
        case let error as IOError:
            return WebSocketError(.connectFailed, "The connection failed: \(Self.reason(error)).")
        case let error as ChannelError:
            return WebSocketError(.connectFailed, "The connection failed: \(error).")
        default:
            return WebSocketError(.connectFailed, "The connection failed: \(error).")
        }
    }

    private static func words(for error: NIOSSLError) -> String {
        switch error {
        case .handshakeFailed(let cause):
            let text = String(describing: cause)
            if text.contains("CERTIFICATE_VERIFY_FAILED") {
                return "the server's certificate could not be verified (is it issued by a trusted authority, "
                    + "for this host name?)"
            }
            return "the handshake failed (\(text))"
        case .uncleanShutdown:
            return "the peer ended the stream without a close notification"
        case .unableToValidateCertificate, .noCertificateToValidate:
            return "the peer's certificate could not be verified"
        default:
            return String(describing: error)
        }
    }

    private static func reason(_ error: IOError) -> String {
        switch error.errnoCode {
        case ECONNREFUSED: "connection refused"
        case ECONNRESET: "connection reset by the peer"
        case EPIPE: "the peer has closed the connection"
        case ETIMEDOUT: "timed out"
        case EHOSTUNREACH, ENETUNREACH: "no route to the host"
        default: error.description
        }
    }
}
