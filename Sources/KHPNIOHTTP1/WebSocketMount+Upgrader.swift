// Endpoints behind SwiftNIO's HTTP/1 codec, by the upgraders that its pipelines ask. They write the head of the 101 by
// themselves, and would answer every refusal with something of their own; here both stay behind a wall, and the mount answers
// in full.
//
//   TLS ── encoder ── decoder ── … ── the upgrade's handler ── the host's
//   TLS ── the mount's handler ── wall ── … what is left of them

public import KHPServer
import NIOCore
public import NIOHTTP1

extension WebSocketMount {
    /// An upgrader for a pipeline with SwiftNIO's HTTP/1 codec: `configureHTTPServerPipeline(withServerUpgrade:)`, and
    /// others that ask a `HTTPServerProtocolUpgrader`, such as Vapor's.
    ///
    /// A request that names WebSocket in Upgrade, at the path of an endpoint, is answered here: with the 101, or with the
    /// refusal, redirect or challenge of an endpoint. Of every other one the upgrader fails with
    /// ``WebSocketUpgradeError/notOurs``, and the next upgrader or the host's own handlers answer.
    ///
    /// RFC 6455 and hixie-76 can be opened so, and hixie-75 too; in SwiftNIO's pipelines only by the first request of a
    /// connection. The decoder has to forward the bytes that it has not read when it is removed, as those pipelines have it.
    /// - Parameter isSecure: as for the mount's `accept`.
    public func upgrader(isSecure: Bool? = nil) -> any HTTPServerProtocolUpgrader {
        MountUpgrader(mount: self, isSecure: isSecure)
    }

    /// The same for `configureUpgradableHTTPServerPipeline`, whose outcome is `result` once the mount has the connection.
    /// - Parameters:
    ///   - result: tells the caller that there is nothing left to do for it, whatever the mount answers.
    ///   - isSecure: as for the mount's `accept`.
    public func typedUpgrader<Result: Sendable>(
        _ result: Result,
        isSecure: Bool? = nil
    ) -> any NIOTypedHTTPServerProtocolUpgrader<Result> {
        TypedMountUpgrader(upgrader: MountUpgrader(mount: self, isSecure: isSecure), result: result)
    }
}

/// Why a mount leaves a request to others.
public enum WebSocketUpgradeError: Error, Sendable, Hashable {
    /// No endpoint is at its path, or it names no WebSocket.
    case notOurs
    /// The pipeline has no `HTTPResponseEncoder` and no decoder of requests behind it.
    case noCodec
}

struct MountUpgrader: HTTPServerProtocolUpgrader {
    let mount: WebSocketMount
    let isSecure: Bool?

    let supportedProtocol = "websocket"
    /// None: hixie-75 has no field of its own, and a request without a key gets our answer.
    let requiredUpgradeHeaders: [String] = []

    /// Builds the wall; what is written then goes nowhere.
    func buildUpgradeResponse(
        channel: any Channel,
        upgradeRequest: HTTPRequestHead,
        initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        let fields = upgradeRequest.headers.map { (name: $0.name, value: $0.value) }
        guard
            self.mount.owns(method: upgradeRequest.method.rawValue, target: upgradeRequest.uri, fields: fields)
        else { return channel.eventLoop.makeFailedFuture(WebSocketUpgradeError.notOurs) }
        // At once: the end of the client's stream may come in the same turn, and is to be seen by the wall.
        return channel.eventLoop.makeCompletedFuture {
            try UpgradeWall.build(in: channel)
            return initialResponseHeaders
        }
    }

    func upgrade(context: ChannelHandlerContext, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<Void> {
        self.upgrade(context.channel, upgradeRequest)
    }

    /// The codec is gone, and has given back what it had not read.
    func upgrade(_ channel: any Channel, _ request: HTTPRequestHead) -> EventLoopFuture<Void> {
        let bytes = Self.bytes(of: request)
        return channel.eventLoop.submit {
            let wall = try channel.pipeline.syncOperations.handler(type: UpgradeWall.self)
            let (waiting, thenEnds) = wall.close()
            var bytes = bytes
            bytes.writeImmutableBuffer(waiting)
            try self.mount.takeOver(
                channel,
                with: bytes,
                isSecure: self.isSecure,
                before: wall,
                thenEnds: thenEnds
            )
        }
    }

    /// The head as it was sent, but for blanks around values.
    private static func bytes(of request: HTTPRequestHead) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeString("\(request.method.rawValue) \(request.uri) ")
        bytes.writeString("HTTP/\(request.version.major).\(request.version.minor)\r\n")
        for (name, value) in request.headers { bytes.writeString("\(name): \(value)\r\n") }
        bytes.writeString("\r\n")
        return bytes
    }
}

struct TypedMountUpgrader<UpgradeResult: Sendable>: NIOTypedHTTPServerProtocolUpgrader {
    let upgrader: MountUpgrader
    let result: UpgradeResult

    var supportedProtocol: String { self.upgrader.supportedProtocol }
    var requiredUpgradeHeaders: [String] { self.upgrader.requiredUpgradeHeaders }

    func buildUpgradeResponse(
        channel: any Channel,
        upgradeRequest: HTTPRequestHead,
        initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        self.upgrader.buildUpgradeResponse(
            channel: channel,
            upgradeRequest: upgradeRequest,
            initialResponseHeaders: initialResponseHeaders
        )
    }

    func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<UpgradeResult> {
        self.upgrader.upgrade(channel, upgradeRequest).map { self.result }
    }
}
