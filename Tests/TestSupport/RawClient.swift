// A client that speaks bytes: for requests and frames that no client of ours would send.

import Foundation
package import NIOCore
import NIOPosix
package import NIOSSL

package final class RawClient: Sendable {
    private let channel: any Channel
    private let collector: NIOLoopBound<Collector>

    /// Connects to a loopback port.
    /// - Parameters:
    ///   - roots: speaks TLS with `localhost` where there are any.
    ///   - protocols: the application protocols to offer there.
    package static func connect(
        _ port: Int,
        trusting roots: NIOSSLTrustRoots? = nil,
        protocols: [String] = []
    ) async throws -> RawClient {
        var tls: NIOSSLContext?
        if let roots {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = roots
            configuration.applicationProtocols = protocols
            tls = try NIOSSLContext(configuration: configuration)
        }
        let context = tls
        let collector = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let context {
                        let secure = try NIOSSLClientHandler(context: context, serverHostname: "localhost")
                        try channel.pipeline.syncOperations.addHandler(secure)
                    }
                    let collector = Collector(eventLoop: channel.eventLoop)
                    try channel.pipeline.syncOperations.addHandler(collector)
                    return (channel, NIOLoopBound(collector, eventLoop: channel.eventLoop))
                }
            }
        return RawClient(channel: collector.0, collector: collector.1)
    }

    /// A client on a channel that a test has made. On its event loop.
    package static func over(_ channel: any Channel) throws -> RawClient {
        let collector = Collector(eventLoop: channel.eventLoop)
        try channel.pipeline.syncOperations.addHandler(collector)
        return RawClient(channel: channel, collector: NIOLoopBound(collector, eventLoop: channel.eventLoop))
    }

    private init(channel: any Channel, collector: NIOLoopBound<Collector>) {
        self.channel = channel
        self.collector = collector
    }

    package func send(_ text: String) async throws {
        try await self.channel.writeAndFlush(ByteBuffer(string: text))
    }

    package func send(_ bytes: [UInt8]) async throws {
        try await self.channel.writeAndFlush(ByteBuffer(bytes: bytes))
    }

    /// The bytes that have arrived, once `isEnough` returns `true` or the stream has ended.
    package func receive(until isEnough: @escaping @Sendable (ByteBuffer) -> Bool) async throws -> ByteBuffer {
        try await self.channel.eventLoop.flatSubmit { self.collector.value.wait(isEnough) }.get()
    }

    /// Takes as many bytes as `length` returns, once it returns a number, and leaves the rest; all bytes when the
    /// stream ends before.
    package func take(_ length: @escaping @Sendable (ByteBuffer) -> Int?) async throws -> ByteBuffer {
        _ = try await self.receive { length($0) != nil }
        return try await self.channel.eventLoop.submit { self.collector.value.take(length) }.get()
    }

    /// All that arrives until the stream ends.
    package func receiveAll() async throws -> ByteBuffer {
        try await self.receive { _ in false }
    }

    package func close() async throws {
        try await self.channel.close()
    }

    /// Ends the connection, and waits for nothing.
    package func drop() { self.channel.close(promise: nil) }

    package var eventLoop: any EventLoop { self.channel.eventLoop }

    /// Ends the stream towards the server, and goes on reading.
    package func endOutput() async throws {
        try await self.channel.close(mode: .output)
    }

    /// Ends the connection with a reset.
    package func reset() async throws {
        try await (self.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        try await self.channel.close()
    }

    /// Does not end the connection when the server has ended its side.
    package func stayAfterEnd() async throws {
        try await self.channel.eventLoop.submit { self.collector.value.staysAfterEnd = true }.get()
    }

    /// Takes nothing more from the network, until told otherwise.
    package func setReading(_ isReading: Bool) async throws {
        try await self.channel.setOption(.autoRead, value: isReading).get()
    }

    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var received = ByteBuffer()
        private var hasEnded = false
        var staysAfterEnd = false
        private var waiter: (isEnough: (ByteBuffer) -> Bool, promise: EventLoopPromise<ByteBuffer>)?
        private let eventLoop: any EventLoop

        init(eventLoop: any EventLoop) {
            self.eventLoop = eventLoop
        }

        func wait(_ isEnough: @escaping (ByteBuffer) -> Bool) -> EventLoopFuture<ByteBuffer> {
            let promise = self.eventLoop.makePromise(of: ByteBuffer.self)
            self.waiter = (isEnough, promise)
            self.check()
            return promise.futureResult
        }

        func take(_ length: (ByteBuffer) -> Int?) -> ByteBuffer {
            let count = length(self.received) ?? self.received.readableBytes
            return self.received.readSlice(length: count) ?? ByteBuffer()
        }

        private func check() {
            guard let waiter, self.hasEnded || waiter.isEnough(self.received) else { return }
            self.waiter = nil
            waiter.promise.succeed(self.received)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = self.unwrapInboundIn(data)
            self.received.writeBuffer(&bytes)
            self.check()
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .inputClosed? = event as? ChannelEvent {
                self.hasEnded = true
                self.check()
                if !self.staysAfterEnd { context.close(promise: nil) }
            }
        }

        func channelInactive(context: ChannelHandlerContext) {
            self.hasEnded = true
            self.check()
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            self.hasEnded = true
            self.check()
        }
    }
}

/// A masked client frame.
package func maskedFrame(_ opcode: UInt8, _ payload: [UInt8], final: Bool = true) -> [UInt8] {
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    var frame: [UInt8] = [(final ? 0x80 : 0) | opcode]
    switch payload.count {
    case ..<126: frame.append(0x80 | UInt8(payload.count))
    case ..<65_536: frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
    default:
        frame.append(0x80 | 127)
        for shift in stride(from: 56, through: 0, by: -8) { frame.append(UInt8((payload.count >> shift) & 0xFF)) }
    }
    return frame + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
}

/// An opening request.
package func openingRequest(_ path: String, protocols: String? = nil, extra: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        + (protocols.map { "Sec-WebSocket-Protocol: \($0)\r\n" } ?? "") + extra + "\r\n"
}
