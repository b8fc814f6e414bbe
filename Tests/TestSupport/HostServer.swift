// Somebody else's server for tests: its own listener and an HTTP of one handler, with endpoints of ours mounted into it.

import Foundation
package import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

/// Answers each request with 200 and all bytes of the request as the content, once the request is complete; keeps the
/// connection. Bodies have a Content-Length.
package final class HostHTTP: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private var received = ByteBuffer()

    package init() {}

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
        while let length = self.requestLength(), let request = self.received.readSlice(length: length) {
            var answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: \(length)\r\n\r\n")
            answer.writeImmutableBuffer(request)
            context.writeAndFlush(self.wrapOutboundOut(answer), promise: nil)
        }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    private func requestLength() -> Int? {
        let text = String(buffer: self.received)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        let head = text[..<end.upperBound]
        var length = head.utf8.count
        if let field = head.split(separator: "\r\n").first(where: { $0.hasPrefix("Content-Length: ") }) {
            length += Int(field.dropFirst(16)) ?? 0
        }
        return length <= self.received.readableBytes ? length : nil
    }
}

/// Somebody else's listener.
package final class HostServer: Sendable {
    /// The connections that it has accepted.
    private final class Made: Sendable {
        let channels = Mutex<[any Channel]>([])
    }

    private let listener: any Channel
    private let made: Made

    private init(_ listener: any Channel, _ made: Made) {
        self.listener = listener
        self.made = made
    }

    package var port: Int { self.listener.localAddress?.port ?? 0 }

    /// - Parameters:
    ///   - tls: its TLS.
    ///   - child: called with each accepted connection.
    package static func start(
        tls: NIOSSLContext? = nil,
        _ child: @escaping @Sendable (any Channel) -> Void
    ) async throws -> HostServer {
        let made = Made()
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    made.channels.withLock { $0.append(channel) }
                    child(channel)
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        return HostServer(listener, made)
    }

    /// Its connections, in the order in which they were accepted.
    package var connections: [any Channel] { self.made.channels.withLock { $0 } }

    /// Closes the listener and all connections.
    package func stop() async throws {
        try await self.listener.close()
        for channel in self.connections { channel.close(promise: nil) }
    }
}
