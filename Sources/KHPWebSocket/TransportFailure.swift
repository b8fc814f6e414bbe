// Errors of TCP and TLS in plain words.

package import KHPProtocol
import NIOCore
import NIOPosix
import NIOSSL

package enum TransportFailure {
    /// Describes an error that the channel met.
    /// - Parameter inHandshake: `true` while TLS is being established. An error of no known type is then one of the closures
    ///   that TLS asks for a certificate or a signature.
    package static func describe(_ error: any Error, inHandshake: Bool = false) -> WebSocketError {
        if let error = error as? WebSocketError { return error }
        switch error {
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError:
            let (words, detail) = Self.words(forTLS: "\(error)")
            return Self.tls(words, detail)
        case let error as IOError:
            return WebSocketError(
                .connectFailed,
                "The connection failed: \(Self.reason(error)).",
                detail: error.errnoCode == ECONNREFUSED ? .connectionRefused : nil
            )
        case let error as ChannelError:
            return WebSocketError(.connectFailed, "The connection failed: \(error).")
        default:
            if inHandshake { return Self.tls("\(error)", nil) }
            return WebSocketError(.connectFailed, "The connection failed: \(error).")
        }
    }

    /// True where the peer ended its stream without the close notification of TLS, after the handshake of TLS.
    package static func isEnd(_ error: any Error) -> Bool {
        if case .uncleanShutdown? = error as? NIOSSLError { true } else { false }
    }

    /// TLS failed for this reason.
    static func tls(_ reason: String, _ detail: WebSocketError.Detail?) -> WebSocketError {
        WebSocketError(.tlsFailed, "TLS failed: \(reason).", detail: detail, phase: .tls)
    }

    /// True where a certificate could not be verified.
    static func isUnverified(_ error: any Error) -> Bool {
        let text = "\(error)"
        return text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("unableToValidateCertificate")
    }

    /// The reasons that people meet, in their words; the library's own for others, without its file names.
    private static func words(forTLS text: String) -> (words: String, detail: WebSocketError.Detail?) {
        if let match = Self.knownFailures.first(where: { text.contains($0.part) }) {
            return (match.words, match.detail)
        }
        // "error:1000:SSL routines:OPENSSL_internal:THE_REASON at file:line"
        guard let reason = text.split(separator: "OPENSSL_internal:").dropFirst().first else { return (text, nil) }
        let words = reason.prefix { $0 != " " && $0 != "]" }
        return (words.lowercased().replacing("_", with: " "), nil)
    }

    private static let knownFailures: [(part: String, words: String, detail: WebSocketError.Detail?)] = [
        (
            "CERTIFICATE_VERIFY_FAILED",
            "the server's certificate could not be verified (is it issued by a trusted authority?)",
            .untrustedCertificate
        ),
        ("CERTIFICATE_REQUIRED", "the server asks for a client certificate", nil),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "the client did not give a certificate", nil),
        ("ALERT_UNKNOWN_CA", "the peer does not trust the authority of our certificate, or got none", nil),
        ("ALERT_BAD_CERTIFICATE", "the peer does not accept our certificate", nil),
        ("ALERT_CERTIFICATE_UNKNOWN", "the peer does not accept our certificate", nil),
        ("ALERT_HANDSHAKE_FAILURE", "the peer found no parameters to agree on", nil),
        (
            "UNSUPPORTED_PROTOCOL",
            "the peer speaks no version of TLS that is allowed here (1.2 at least, by default)",
            nil
        ),
        ("PROTOCOL_VERSION", "the peer and this end have no allowed version of TLS in common", nil),
        ("WRONG_VERSION_NUMBER", "the peer does not speak TLS there", .speaksNoTLS),
        ("HTTP_REQUEST", "the peer speaks plain HTTP, not TLS", .speaksNoTLS),
        (
            "EOF during handshake",
            "the peer ended the stream in the middle of the handshake; does it speak TLS there?",
            .speaksNoTLS
        ),
        ("uncleanShutdown", "the peer ended the stream without a close notification", nil),
    ]

    /// `true` where another socket listens at the address.
    package static func isAddressInUse(_ error: any Error) -> Bool { (error as? IOError)?.errnoCode == EADDRINUSE }

    /// Why the system refused, in words.
    package static func reason(_ error: any Error) -> String {
        if error is SocketAddressError || error is SocketAddressError.UnknownHost {
            return "that is no address, and no name that can be resolved"
        }
        guard let error = error as? IOError else { return "\(error)" }
        switch error.errnoCode {
        case ECONNREFUSED: return "connection refused"
        case ECONNRESET: return "connection reset by the peer"
        case EPIPE: return "the peer has closed the connection"
        case ETIMEDOUT: return "timed out"
        case EHOSTUNREACH, ENETUNREACH: return "no route to the host"
        case ENOENT: return "there is no such socket"
        case EADDRINUSE: return "the address is in use"
        case EADDRNOTAVAIL: return "the address is not one of this machine"
        case EACCES: return "permission denied"
        default: return error.description
        }
    }
}
