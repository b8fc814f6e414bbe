// The ways in which bytes come and go, and the questions to a stream of a connection that carries several: its channel has
// few of a socket's options, and ends the process where it is asked for one of the others.

import NIOCore

/// Beneath a connection.
package enum Transport: Sendable, Hashable {
    /// A socket of TCP, or the like.
    case socket
    /// TLS over one, whose handshake the connection waits for.
    case tls
    /// A stream of HTTP/2: reads, writes and ends like a socket, through the handler that makes bytes of its frames.
    case stream

    package init(usesTLS: Bool) { self = usesTLS ? .tls : .socket }

    var usesTLS: Bool { self == .tls }
}

/// Asks the handler before a connection's on a stream how many bytes it has been given that have not left: an outbound user
/// event, answered before the call returns.
package final class UnwrittenBytesOfStream {
    package var count = 0

    init() {}
}

/// Tells the same handler to end the stream without order, as an outbound user event.
package struct StreamReset: Sendable {
    init() {}
}

extension ConnectionHandler {
    var unwrittenBytesOfStream: Int {
        guard let context else { return 0 }
        let question = UnwrittenBytesOfStream()
        context.triggerUserOutboundEvent(question, promise: nil)
        return question.count
    }
}
