// The transports of a connection, and the events by which a stream of HTTP/2 is asked for its unwritten bytes and reset: the
// channel of a stream has few of a socket's options, and ends the process where it is asked for one of the others.

package import NIOCore
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

/// The transport of a connection.
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

/// An outbound user event on a stream of HTTP/2: the handler of the stream sets ``count`` to the number of its unwritten bytes
/// before the call returns.
package final class UnwrittenBytesOfStream {
    package var count = 0

    init() {}
}

/// An outbound user event on a stream of HTTP/2: the handler of the stream resets it.
package struct StreamReset: Sendable {
    init() {}
}

/// An inbound user event on a connection that carries streams of HTTP/2: it opens no more of them, and ends with the last.
/// `ChannelShouldQuiesceEvent` would reach the streams too, and close them all at once.
package struct CarrierRetirement: Sendable {
    package init() {}
}

/// The end of a transport, for the handler that has it.
package enum TransportEnd {
    /// The bytes that the channel has been given and has not written.
    package static func unwrittenBytes(_ transport: Transport, _ context: ChannelHandlerContext) -> Int {
        if transport == .stream {
            let question = UnwrittenBytesOfStream()
            context.triggerUserOutboundEvent(question, promise: nil)
            return question.count
        }
        return (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    /// Ends the transport now. Where bytes are left that the peer has not taken, or more were to come, it is reset: after an
    /// end in good order the peer would take the stream for complete.
    package static func cut(_ transport: Transport, _ context: ChannelHandlerContext, isShort: Bool = false) {
        if transport == .stream {
            context.triggerUserOutboundEvent(StreamReset(), promise: nil)
            return
        }
        if isShort || self.unwrittenBytes(transport, context) > 0,
            let options = context.channel as? any SocketOptionProvider
        {
            _ = options.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        }
        // TLS would send its close notification to a peer that does not read, and wait for the answer.
        (context.pipeline.belowTLS ?? context).close(promise: nil)
    }
}

extension ChannelPipeline {
    /// The context of the TLS handler, from which a close goes past TLS; `nil` without TLS. On the event loop.
    package var belowTLS: ChannelHandlerContext? {
        try? self.syncOperations.context(handlerType: NIOSSLHandler.self)
    }
}
