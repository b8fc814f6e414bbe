// Why a backend could not be had: the status of the handshake, a label of the metrics and words for the log.

import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

struct ConnectFailure: Error, Sendable, Equatable {
    enum Kind: String, Sendable, CaseIterable {
        case refused
        case timeout
        case tls
        case dns
        case reset
        /// A WebSocket backend that answered the handshake with a refusal.
        case handshake
        /// No backend was tried: none can take a connection.
        case unavailable
    }

    /// A backend that could not be had.
    struct Try: Sendable, Equatable {
        var backend: String
        var words: String
    }

    var kind: Kind
    var words: String
    /// The backends that were tried, or why none was, where a pool was asked.
    var tries: [Try] = []
    /// `true` where a client can bring it about: something that it has chosen had gone to the backend, or clients had used
    /// up what the gateway has. It says nothing of the backend.
    var mayBeOfClient = false

    init(_ kind: Kind, _ words: String) {
        self.kind = kind
        self.words = words
    }

    init(_ error: any Error) {
        switch error {
        case let failure as ConnectFailure:
            self = failure
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first {
                self.init(first.error)
            } else {
                self.init(.dns, "the name \(error.host) has no address")
            }
        case ChannelError.connectTimeout:
            self.init(.timeout, "it did not answer in time")
        case let error as IOError:
            switch error.errnoCode {
            case ECONNREFUSED: self.init(.refused, "the connection was refused")
            case ENOENT: self.init(.refused, "there is no such socket")
            case ETIMEDOUT: self.init(.timeout, "it did not answer in time")
            case ECONNRESET, EPIPE: self.init(.reset, "the connection was reset")
            case EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL:
                self.init(.refused, "\(error)")
                self.mayBeOfClient = true
            default: self.init(.refused, "\(error)")
            }
        case is NIOSSLError, is BoringSSLError:
            self.init(.tls, "TLS failed: \(Self.words(forTLS: "\(error)"))")
        case is NIOSSLExtraError:
            self.init(.tls, "the certificate is for another name")
        default:
            self.init(.reset, "the connection ended")
        }
    }

    // MARK: TLS

    /// The reasons that people meet, in their words; for others those of BoringSSL, without its numbers and the places in its
    /// files: `[Error: 1 error:1:SSL routines:OPENSSL_internal:UNEXPECTED_MESSAGE at /…/handshake_client.cc:518]`.
    private static func words(forTLS text: String) -> String {
        if let match = Self.knownFailures.first(where: { text.contains($0.part) }) { return match.words }
        guard let reason = text.split(separator: "OPENSSL_internal:").dropFirst().first else {
            return text.contains("/") ? "it broke off" : text
        }
        return reason.prefix { $0 != " " && $0 != "]" }.lowercased().replacing("_", with: " ")
    }

    private static let knownFailures: [(part: String, words: String)] = [
        ("CERTIFICATE_VERIFY_FAILED", "its certificate could not be verified"),
        ("unableToValidateCertificate", "its certificate could not be verified"),
        ("CERTIFICATE_REQUIRED", "it asks for a certificate of ours"),
        ("ALERT_UNKNOWN_CA", "it does not trust the authority of our certificate, or got none"),
        ("ALERT_BAD_CERTIFICATE", "it does not accept our certificate"),
        ("ALERT_CERTIFICATE_UNKNOWN", "it does not accept our certificate"),
        ("ALERT_HANDSHAKE_FAILURE", "it found no parameters to agree on"),
        ("PROTOCOL_VERSION", "it has no version of TLS in common with this end"),
        ("UNSUPPORTED_PROTOCOL", "it has no version of TLS in common with this end"),
        ("WRONG_VERSION_NUMBER", "it does not speak TLS there"),
        ("UNEXPECTED_MESSAGE", "it does not speak TLS there as it should"),
        ("HTTP_REQUEST", "it speaks plain HTTP there"),
        ("EOF during handshake", "it ended the connection in the middle of the handshake"),
        ("uncleanShutdown", "it ended the connection without the close notification of TLS"),
    ]

    /// The status of the handshake that needed the backend (RFC 9110 section 15.6).
    var status: Int {
        switch self.kind {
        case .refused, .tls, .dns, .reset, .handshake: 502
        case .timeout: 504
        case .unavailable: 503
        }
    }
}
