// One end of a simulated connection: the sans-I/O core, driven as the channel handler drives it, and an application
// that records everything.

import HTTPTypes
import KHPProtocol
import NIOCore

struct SimulatedSide {
    let role: Role
    var connection: Connection
    /// Messages that `send` accepted, in order.
    private(set) var accepted: [WebSocketMessage] = []
    private(set) var received: [WebSocketMessage] = []
    private(set) var opened: HandshakeSummary?
    private(set) var failure: WebSocketError?
    private(set) var closed: CloseInfo?
    private(set) var hop: HopOutcome?
    private(set) var pongs: [UInt64] = []
    /// Decisions that the application owes.
    var openingRequest: OpeningRequest?
    var extendedRequest: ExtendedRequest?
    var plainRequest: CheckedRequest?
    var challenge: HandshakeLayer?
    /// The application takes no messages now.
    var isPaused = false
    var isCongested = false
    /// Set when this side's application has called `close`.
    var hasCalledClose = false
    /// Texts that observers have been told.
    private(set) var observed: [String] = []
    private var partial = ByteBuffer()
    private(set) var broken: [String] = []

    init(_ role: Role, _ connection: consuming Connection) {
        self.role = role
        self.connection = connection
    }

    /// Most actions that one call may lead to.
    private static let mostActions = 10_000

    /// Takes the actions, as the channel handler does after each event.
    mutating func drive(_ now: NIODeadline) {
        var count = 0
        while self.closed == nil, let action = self.connection.next(now: now, isPaused: self.isPaused) {
            count += 1
            if count > Self.mostActions {
                self.broken.append("one step leads to more than \(Self.mostActions) actions")
                return
            }
            self.take(action, now)
        }
        // Messages that had arrived before the end stay for the application.
        while self.closed != nil, !self.isPaused, let action = self.connection.nextUnread(now: now) {
            self.take(action, now)
        }
    }

    private mutating func take(_ action: ConnectionAction, _ now: NIODeadline) {
        switch action {
        case .message(let kind, let payload):
            if self.opened == nil { self.broken.append("a message comes before the socket is open") }
            self.received.append(Self.message(kind, payload))
        case .chunk(let chunk):
            if chunk.isFirst { self.partial = ByteBuffer() }
            self.partial.writeImmutableBuffer(chunk.bytes)
            if chunk.isLast { self.received.append(Self.message(chunk.kind, self.partial)) }
        case .peerClosing:
            self.connection.answerHeldClose(now: now)
        case .pong(let number, _, _):
            self.pongs.append(number)
        case .server(.decideOpening(let request)):
            if self.openingRequest != nil { self.broken.append("two opening requests wait") }
            self.openingRequest = request
        case .server(.decideExtended(let request)):
            if self.extendedRequest != nil { self.broken.append("two extended requests wait") }
            self.extendedRequest = request
        case .server(.plainRequest(let request)):
            self.plainRequest = request
        case .failed(let error):
            if self.failure != nil { self.broken.append("it fails twice: \(error)") }
            if self.opened != nil { self.broken.append("the handshake fails after the socket is open: \(error)") }
            self.failure = error
        case .client(.established):
            break
        case .client(.challenge(_, let layer)):
            if self.challenge != nil { self.broken.append("two challenges wait") }
            self.challenge = layer
        case .opened(let negotiation):
            if self.opened != nil { self.broken.append("it opens twice") }
            if self.failure != nil { self.broken.append("it opens after it failed") }
            self.opened = negotiation
        case .client(.hopEnded(let outcome)):
            if self.hop != nil { self.broken.append("the hop ends twice") }
            self.hop = outcome
        case .closed(let info):
            self.closed = info
        case .event(let event):
            self.observed.append("\(event)")
        }
    }

    private static func message(_ kind: MessageKind, _ payload: ByteBuffer) -> WebSocketMessage {
        kind == .text ? .text(String(buffer: payload)) : .binary(payload)
    }

    mutating func send(_ message: WebSocketMessage, _ now: NIODeadline) {
        do throws(WebSocketError) {
            try self.connection.send(message, now: now)
            self.accepted.append(message)
        } catch {
            // Refused: no part of it may arrive.
        }
    }

    /// Sends a message in pieces; all of them at once, so that no other step comes between.
    mutating func stream(_ bytes: [UInt8], pieces: Int, _ now: NIODeadline) {
        let size = max(1, bytes.count / max(1, pieces))
        var at = 0
        do throws(WebSocketError) {
            try self.connection.send(
                MessageChunk(kind: .binary, bytes: ByteBuffer(), isFirst: true, isLast: false),
                now: now
            )
            while at < bytes.count {
                let end = min(at + size, bytes.count)
                try self.connection.send(
                    MessageChunk(
                        kind: .binary,
                        bytes: ByteBuffer(bytes: bytes[at..<end]),
                        isFirst: false,
                        isLast: false
                    ),
                    now: now
                )
                at = end
            }
            try self.connection.send(
                MessageChunk(kind: .binary, bytes: ByteBuffer(), isFirst: false, isLast: true),
                now: now
            )
            self.accepted.append(.binary(ByteBuffer(bytes: bytes)))
        } catch {}
    }

    /// The bytes that the shell writes, as one buffer.
    mutating func takeOutput() -> ByteBuffer {
        var bytes = ByteBuffer()
        while let buffer = self.connection.output.next() { bytes.writeImmutableBuffer(buffer) }
        return bytes
    }

    /// The transport is gone without a report: acts as the handler does then.
    mutating func transportEnded(_ now: NIODeadline) {
        guard self.closed == nil else { return }
        self.connection.transportEnded(now: now)
        self.drive(now)
        if self.closed == nil { self.closed = self.connection.abandoned(now: now) }
    }
}
