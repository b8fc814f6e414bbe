// A server for the leak matrix. It answers as told, with TLS or without at the same port, and keeps every byte of its
// clients, frames unmasked.

import HTTPTypes
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

@testable import KHPProtocol

/// The answer to a path of a cell.
struct ScriptedAnswer: Sendable {
    var status = 101
    var fields: [(String, String)] = []
    var layer = HandshakeLayer.extended
    /// A WWW-Authenticate to answer a request of this layer with that has no Authorization.
    var challenge: (value: String, layer: HandshakeLayer)?
    /// Where the answer is a 426, the same path over TLS is another visit.
    var isUpgrade = false
    /// Speaks the Kaazing legacy exchange, and says this first.
    var balancer: KaazingLegacyMessage?
    /// `true` when that visit is challenged too.
    var challengesAgain = false
}

/// The bytes of one visit: a hop of a connect, with its replays.
struct Visit: Sendable {
    var cell: String
    var step: Int
    var isTLS: Bool
    var bytes = ByteBuffer()
}

/// The scripts of all cells, and the bytes that arrived.
final class Recorder: Sendable {
    private struct State {
        var answers: [String: ScriptedAnswer] = [:]
        var visits: [String: [Visit]] = [:]
    }

    private let state = Mutex(State())

    func script(_ cell: String, _ answers: [ScriptedAnswer]) {
        self.state.withLock { state in
            for (step, answer) in answers.enumerated() { state.answers["/\(cell)/\(step)"] = answer }
        }
    }

    func answer(_ path: String) -> ScriptedAnswer? { self.state.withLock { $0.answers[path] } }

    func record(_ visit: Visit) {
        self.state.withLock { $0.visits[visit.cell, default: []].append(visit) }
    }

    func visits(_ cell: String) -> [Visit] { self.state.withLock { $0.visits[cell] ?? [] } }
}

enum RecordingListener {
    /// Listens on an address while the body runs.
    static func start(
        _ host: String,
        _ port: Int,
        _ recorder: Recorder,
        _ tls: NIOSSLContext
    ) async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 512)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(TLSDetector(tls))
                    try channel.pipeline.syncOperations.addHandler(RecordingHandler(recorder))
                }
            }
            .bind(host: host, port: port)
            .get()
    }
}

/// Puts TLS in place where the first byte begins a ClientHello.
private final class TLSDetector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    private let tls: NIOSSLContext

    init(_ tls: NIOSSLContext) { self.tls = tls }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = self.unwrapInboundIn(data)
        if bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) == 0x16 {
            let handler = NIOSSLServerHandler(context: self.tls)
            try? context.pipeline.syncOperations.addHandler(handler, position: .after(self))
        }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

private final class RecordingHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let recorder: Recorder
    private var visit = Visit(cell: "", step: 0, isTLS: false)
    private var inbound = ByteBuffer()
    private var decoder = RequestHeadDecoder(limits: Limits().openingHead)
    private var reader: MessageReader?
    private var answer = ScriptedAnswer()
    private var awaitsBody = false
    private var hasEnded = false

    init(_ recorder: Recorder) { self.recorder = recorder }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = self.unwrapInboundIn(data)
        self.visit.bytes.writeImmutableBuffer(bytes)
        self.inbound.writeImmutableBuffer(bytes)
        if self.reader == nil { self.open(context) }
        while self.reader != nil, !self.hasEnded, let event = try? self.reader?.next(&self.inbound) {
            self.take(event, context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !self.visit.cell.isEmpty { self.recorder.record(self.visit) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func open(_ context: ChannelHandlerContext) {
        guard let head = try? self.decoder.decode(&self.inbound) else { return }
        let path = String(head.target.prefix { $0 != "?" })
        let parts = path.split(separator: "/")
        guard parts.count == 2, let step = Int(parts[1]), let answer = self.recorder.answer(path) else {
            context.close(promise: nil)
            return
        }
        self.visit.cell = String(parts[0])
        self.visit.step = step
        self.answer = answer
        if let tls = try? context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self) {
            self.visit.isTLS = true
            if tls.peerCertificate != nil { self.visit.bytes.writeString(Canary.certificate) }
            if answer.isUpgrade {
                self.answer = ScriptedAnswer()
                if answer.challengesAgain { self.answer.challenge = answer.challenge }
            }
        }
        if self.answer.challenge?.layer == .opening, head.fields.first("Authorization") == nil {
            self.refuse(401, [("WWW-Authenticate", self.answer.challenge?.value ?? "")], context)
        } else if self.answer.layer == .opening, self.answer.status != 101 {
            self.refuse(self.answer.status, self.answer.fields, context)
        } else {
            let key = head.fields.first("Sec-WebSocket-Key") ?? ""
            let text =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(AcceptKey.accept(for: key))\r\n"
                + "Sec-WebSocket-Protocol: x-kaazing-handshake\r\n\r\n"
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            self.reader = MessageReader(role: .server)
            if let balancer = self.answer.balancer { self.frame(balancer.payload, context) }
        }
    }

    private func refuse(_ status: Int, _ fields: [(String, String)], _ context: ChannelHandlerContext) {
        self.hasEnded = true
        let text = Self.head(status, fields + [("Connection", "close"), ("Content-Length", "0")])
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        context.close(promise: nil)
    }

    private static func head(_ status: Int, _ fields: [(String, String)]) -> String {
        "HTTP/1.1 \(status) X\r\n" + fields.map { "\($0.0): \($0.1)\r\n" }.joined() + "\r\n"
    }

    private func take(_ event: InboundFrameEvent, _ context: ChannelHandlerContext) {
        switch event {
        case .message(_, let payload, _):
            self.visit.bytes.writeImmutableBuffer(payload)
            self.say(to: payload, context)
        case .close(let code, _):
            var frame = ByteBuffer(bytes: [0x88, 0x02])
            frame.writeInteger(code?.rawValue ?? 1000)
            context.writeAndFlush(self.wrapOutboundOut(frame), promise: nil)
            context.close(promise: nil)
            self.hasEnded = true
        default: break
        }
    }

    private func say(to payload: ByteBuffer, _ context: ChannelHandlerContext) {
        let text = String(buffer: payload).lowercased()
        if self.awaitsBody {
            self.awaitsBody = false
        } else if self.answer.challenge?.layer == .extended, !text.contains("\r\nauthorization:") {
            let fields = [("WWW-Authenticate", self.answer.challenge?.value ?? ""), ("Content-Length", "0")]
            return self.frame(Self.head(401, fields), context)
        } else if text.contains("\r\nexpect:") {
            self.awaitsBody = true
            return self.frame(Self.head(100, []), context)
        }
        let isFinal = self.answer.layer == .opening || self.answer.status == 101
        let fields = isFinal ? [] : self.answer.fields + [("Content-Length", "0")]
        self.frame(Self.head(isFinal ? 101 : self.answer.status, fields), context)
        if isFinal, let balancer = self.answer.balancer { self.frame(balancer.payload, context) }
    }

    /// An extended response, and its end where the legacy exchange wants one.
    private func frame(_ text: String, _ context: ChannelHandlerContext) {
        self.frame(ByteBuffer(string: text), context)
        if self.answer.balancer != nil { self.frame(ByteBuffer(), context) }
    }

    private func frame(_ payload: ByteBuffer, _ context: ChannelHandlerContext) {
        var frame = ByteBuffer(bytes: [0x82])
        if payload.readableBytes < 126 {
            frame.writeInteger(UInt8(payload.readableBytes))
        } else {
            frame.writeInteger(UInt8(126))
            frame.writeInteger(UInt16(payload.readableBytes))
        }
        frame.writeImmutableBuffer(payload)
        context.writeAndFlush(self.wrapOutboundOut(frame), promise: nil)
    }
}
