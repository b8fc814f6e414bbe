// The ways in which bytes come and go, and the questions to a stream of a connection that carries several: its channel has
// few of a socket's options, and ends the process where it is asked for one of the others.

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

    /// Ends it now. Where bytes are left that the peer has not taken, or more was to come, it is reset: an end in good
    /// order would say that nothing is missing.
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
        // TLS would say goodbye to a peer that does not listen, and wait for its answer.
        (context.pipeline.belowTLS ?? context).close(promise: nil)
    }
}

extension ChannelPipeline {
    /// The place from which a close passes TLS by; `nil` where there is none. On the event loop.
    package var belowTLS: ChannelHandlerContext? {
        try? self.syncOperations.context(handlerType: NIOSSLHandler.self)
    }
}
