// A server that speaks TLS and nothing inside it: it notes which name a client asked for and what it said in clear, and
// hangs up at the first byte of that. Which certificate it presents can change from one connection to the next.

import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

package final class TLSListener: Sendable {
    private struct State {
        var context: NIOSSLContext
        var names: [String?] = []
        var said = ByteBuffer()
    }

    private let state: Mutex<State>
    /// Where it listens.
    package let port: Int
    private let channel: any Channel

    fileprivate init(host: String, _ tls: TLSConfiguration) async throws {
        let state = Mutex(State(context: try NIOSSLContext(configuration: tls)))
        let accepted = Mutex<(@Sendable (any Channel) throws -> Void)?>(nil)
        self.channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try accepted.withLock { $0 }?(channel) }
            }
            .bind(host: host, port: 0)
            .get()
        self.port = self.channel.localAddress?.port ?? 0
        self.state = state
        accepted.withLock { $0 = { [self] in try self.accept($0) } }
    }

    private func accept(_ channel: any Channel) throws {
        let context = self.state.withLock { $0.context }
        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
        try channel.pipeline.syncOperations.addHandler(Ear(self))
    }

    /// Sets the certificate that it presents from now on.
    package func use(_ tls: TLSConfiguration) throws {
        var tls = tls
        tls.sslContextCallback = { [weak self] values, promise in
            self?.state.withLock { $0.names.append(values.serverHostname) }
            promise.succeed(.noChanges)
        }
        let context = try NIOSSLContext(configuration: tls)
        self.state.withLock { $0.context = context }
    }

    /// The names in the SNI of its clients; `nil` where a client sent none.
    package var names: [String?] { self.state.withLock { $0.names } }
    /// All that clients said inside TLS.
    package var said: String { self.state.withLock { String(buffer: $0.said) } }

    /// Forgets its notes.
    package func forget() {
        self.state.withLock { state in
            state.names = []
            state.said.clear()
        }
    }

    fileprivate func close() { self.channel.close(promise: nil) }

    private final class Ear: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let listener: TLSListener

        init(_ listener: TLSListener) { self.listener = listener }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = self.unwrapInboundIn(data)
            _ = self.listener.state.withLock { $0.said.writeImmutableBuffer(bytes) }
            context.close(promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

/// Runs such a server around `body`.
package func withTLSListener<Result>(
    host: String = "127.0.0.1",
    _ tls: TLSConfiguration,
    body: (TLSListener) async throws -> Result
) async throws -> Result {
    let listener = try await TLSListener(host: host, tls)
    try listener.use(tls)
    defer { listener.close() }
    return try await body(listener)
}
