// A server's open socket on a loopback connection, with its handler within reach, and a client that speaks bytes.

import Foundation
import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOPosix
import TestSupport

struct ServedSocket: Sendable {
    let socket: WebSocket
    let inbox: Inbox
    let client: RawClient
    let channel: any Channel
    private let bound: NIOLoopBound<ConnectionHandler>

    fileprivate init(_ opened: Opened, channel: any Channel, client: RawClient) {
        self.socket = opened.socket
        self.inbox = opened.inbox
        self.bound = opened.bound
        self.channel = channel
        self.client = client
    }

    /// Looks at the handler, or does something to it, on its event loop.
    func on<Result: Sendable>(
        _ body: @escaping @Sendable (ConnectionHandler) -> Result
    ) async throws -> Result {
        try await self.channel.eventLoop.submit { body(self.bound.value) }.get()
    }

    /// Sends more than the system takes of it, to a client that does not read.
    func fill() async throws {
        try await self.client.setReading(false)
        try await self.socket.send(ByteBuffer(repeating: 7, count: Self.more))
    }

    /// More than the buffers of both ends hold together.
    private static let more = 3 << 20
}

/// The value that the delegate makes when the socket opens.
private struct Opened: Sendable {
    let socket: WebSocket
    let inbox: Inbox
    let bound: NIOLoopBound<ConnectionHandler>
}

/// Accepts every opening request.
private final class Accepting: ConnectionDelegate {
    private let plan: EndpointPlan
    private let opened: EventLoopPromise<Opened>

    init(_ plan: EndpointPlan, _ opened: EventLoopPromise<Opened>) {
        self.plan = plan
        self.opened = opened
    }

    func connected(_ handler: ConnectionHandler) {}

    func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {
        switch action {
        case .server(.decideOpening):
            handler.connection.acceptOpening(self.plan, now: .now())
        case .opened(let negotiation):
            let inbox = Inbox(limits: handler.connection.configuration.limits, tasks: handler.executor)
            handler.connection.socket.holdsClose = true
            handler.deliver(to: .inbox(inbox))
            let socket = WebSocket(handler: handler, inbox: inbox, negotiated: negotiation, address: nil)
            let bound = NIOLoopBound(handler, eventLoop: handler.eventLoop)
            self.opened.succeed(Opened(socket: socket, inbox: inbox, bound: bound))
        case .closed:
            self.opened.fail(ChannelError.eof)
        default:
            break
        }
    }
}

/// Runs `body` with an open socket. Send buffers are small, so that a client that does not read is soon noticed.
func withServedSocket(
    dialect: Dialect = .rfc6455,
    extensions: [any WebSocketExtension] = [],
    offer: String? = nil,
    sessionLifetime: TimeAmount? = nil,
    _ configure: (inout ConnectionSettings) -> Void = { _ in },
    body: (ServedSocket) async throws -> Void
) async throws {
    var settings = ConnectionSettings()
    settings.dialects = [dialect]
    configure(&settings)
    let shared = ConnectionConfiguration(settings)
    let group = MultiThreadedEventLoopGroup.singleton
    let opened = group.any().makePromise(of: Opened.self)
    let accepted = group.any().makePromise(of: (any Channel).self)
    var plan = EndpointPlan.Values()
    plan.dialects = [dialect]
    plan.extensions = extensions
    plan.sessionLifetime = sessionLifetime
    let agreed = EndpointPlan(plan)
    let listener = try await ServerBootstrap(group: group)
        .childChannelOption(.allowRemoteHalfClosure, value: true)
        .childChannelOption(.socketOption(.so_sndbuf), value: 8192)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                accepted.succeed(channel)
                let handler = ConnectionHandler(
                    connection: Connection(server: shared, isSecure: false, now: .now()),
                    delegate: Accepting(agreed, opened),
                    eventLoop: channel.eventLoop,
                    transport: .socket
                )
                try channel.pipeline.syncOperations.addHandler(handler)
                handler.writesDirectly()
            }
        }
        .bind(host: "127.0.0.1", port: 0)
        .get()
    defer { listener.close(promise: nil) }
    let client = try await RawClient.connect(listener.localAddress?.port ?? 0)
    let channel = try await accepted.futureResult.get()
    let field = offer.map { "Sec-WebSocket-Extensions: \($0)\r\n" } ?? ""
    // Of the older dialects the one without keys.
    let old = "GET /x HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: a\r\nOrigin: http://a\r\n\r\n"
    try await client.send(dialect == .hixie75 ? old : openingRequest("/x", extra: field))
    let head = try await client.take { bytes in
        String(buffer: bytes).range(of: "\r\n\r\n").map { String(buffer: bytes)[..<$0.upperBound].utf8.count }
    }
    guard head.readableBytes > 0 else { throw ChannelError.eof }
    let served = ServedSocket(try await opened.futureResult.get(), channel: channel, client: client)
    try await body(served)
    served.socket.abort()
    try await channel.closeFuture.get()
    try? await client.close()
}

/// The frames of a server in `bytes`.
func serverFrames(_ bytes: ByteBuffer) -> [(first: UInt8, payload: [UInt8])] {
    var bytes = bytes
    var frames: [(UInt8, [UInt8])] = []
    while let first: UInt8 = bytes.readInteger(), let short: UInt8 = bytes.readInteger() {
        let count: Int? =
            switch short {
            case 126: bytes.readInteger(as: UInt16.self).map { Int($0) }
            case 127: bytes.readInteger(as: UInt64.self).map { Int($0) }
            default: Int(short)
            }
        guard let count, let payload = bytes.readBytes(length: count) else { break }
        frames.append((first, payload))
    }
    return frames
}
