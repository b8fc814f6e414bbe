// The handler that has a connection, as a shutdown sees it.

import KHPWebSocket
import NIOCore

enum Shell: Sendable {
    /// One that takes part in handshakes, or has a socket.
    case socket(NIOLoopBound<ConnectionHandler>)
    /// One of ordinary HTTP.
    case http(NIOLoopBound<HTTPHandler>)

    /// All that has begun is ended in order.
    func goAway() {
        switch self {
        case .socket(let bound): bound.eventLoop.execute { bound.value.goAway() }
        case .http(let bound): bound.eventLoop.execute { bound.value.goAway() }
        }
    }

    /// All is dropped.
    func abort() {
        switch self {
        case .socket(let bound): bound.eventLoop.execute { bound.value.abort() }
        case .http(let bound): bound.eventLoop.execute { bound.value.abort() }
        }
    }
}
