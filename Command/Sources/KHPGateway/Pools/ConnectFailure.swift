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
        /// Nobody was asked: no backend can take a connection.
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
        case let error as NIOSSLError:
            self.init(.tls, "TLS failed: \(error)")
        case is NIOSSLExtraError:
            self.init(.tls, "the certificate is for another name")
        default:
            self.init(.reset, "the connection ended")
        }
    }

    /// The status of the handshake that needed the backend (RFC 9110 section 15.6).
    var status: Int {
        switch self.kind {
        case .refused, .tls, .dns, .reset, .handshake: 502
        case .timeout: 504
        case .unavailable: 503
        }
    }
}
