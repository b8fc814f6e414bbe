import KHPProtocol
import NIOCore

/// One event on the ladder.
struct LadderStep: Sendable, Equatable {
    var layer: Ladder.Layer
    var direction: Ladder.Direction
    var text: String
    /// Shown by `--trace`: a head, an entity.
    var detail: String?

    init(_ layer: Ladder.Layer, _ direction: Ladder.Direction, _ text: String, detail: String? = nil) {
        self.layer = layer
        self.direction = direction
        self.text = text
        self.detail = detail
    }

    /// The steps of an event, as the side that we are sees them; frames only with `trace`.
    static func steps(of event: ConnectionEvent, role: Role = .client, trace: Bool) -> [LadderStep] {
        let request: Ladder.Direction = role == .client ? .sent : .received
        let response: Ladder.Direction = role == .client ? .received : .sent
        switch event {
        case .connecting(let url, let attempt, let proxy):
            let way = proxy.map { " through \($0)" } ?? ""
            return [LadderStep(.tcp, .sent, "connecting to \(url.redacted)\(way) (attempt \(attempt))")]
        case .connected(let peer, let tls):
            let tcp = LadderStep(.tcp, .received, "\(role == .client ? "connected to" : "connection from") \(peer)")
            guard let tls else { return [tcp] }
            let alpn = tls.alpn.map { ", ALPN \($0)" } ?? ""
            return [tcp, LadderStep(.tls, .none, TerminalText.escaped(tls.version + alpn))]
        case .openingRequest(let head):
            return [LadderStep(.open, request, firstLine(head), detail: head)]
        case .openingResponse(let head, _):
            return [LadderStep(.open, response, firstLine(head), detail: head)]
        case .extendedRequest(let head):
            return [LadderStep(.khp, request, firstLine(head), detail: head)]
        case .kaazingLegacy(let message):
            // The end of a response goes without saying.
            if message == .endOfResponse, !trace { return [] }
            return [LadderStep(.khp, response, TerminalText.escaped(message.description))]
        case .extendedResponse(let head, let status, let action, let body):
            return [
                LadderStep(
                    .khp,
                    response,
                    "\(firstLine(head)) · \(action.rawValue)",
                    detail: head + TerminalText.shown(ShownEntity.of(body, status: status))
                )
            ]
        case .challenge(let scheme, let realm, let layer, let round):
            let name = realm.map { " \"\(TerminalText.escaped($0))\"" } ?? ""
            let scheme = TerminalText.escaped(scheme)
            return [LadderStep(ladderLayer(layer), .none, "challenge \(scheme)\(name) (round \(round))")]
        case .redirect(_, let target, let status, let layer):
            return [LadderStep(ladderLayer(layer), .none, "redirect \(status) to \(target.redacted)")]
        case .open(let negotiation):
            return [LadderStep(.app, .none, "open" + summary(negotiation))]
        case .frameReceived(let frame): return trace ? [frameStep(frame, .received)] : []
        case .frameSent(let frame): return trace ? [frameStep(frame, .sent)] : []
        case .violation(let error):
            return [LadderStep(.app, .none, "survived: " + TerminalText.escaped(error.message))]
        case .pong(let roundTrip):
            return [LadderStep(.app, .none, "pong after \(Ladder.interval(roundTrip.seconds).dropFirst())")]
        case .closed(let info):
            let direction: Ladder.Direction = info.initiator == .local ? .sent : .received
            return [LadderStep(.app, direction, Self.closing(info))]
        case .failed(let error):
            return [LadderStep(.app, .none, "failed: " + TerminalText.escaped(error.message))]
        // The first line of the request names the path, and the command says in a line of its own that it tries again.
        case .routed, .reconnecting: return []
        }
    }

    /// `closed with 1000 (bye) by the peer, cleanly`.
    static func closing(_ info: CloseInfo) -> String {
        let code = info.code.map { "with \($0)" } ?? "without a code"
        let reason = info.reason.isEmpty ? "" : " (\(TerminalText.escaped(info.reason)))"
        let initiator = info.initiator == .local ? "by us" : "by the peer"
        return "closed \(code)\(reason) \(initiator), \(info.clean ? "cleanly" : "not cleanly")"
    }

    /// `: subprotocol amqp, x-kaazing-handshake completed with 101`.
    static func summary(_ negotiation: HandshakeSummary) -> String {
        var parts: [String] = []
        if let subprotocol = negotiation.subprotocol {
            parts.append("subprotocol \(Redaction.subprotocol(subprotocol))")
        }
        parts += negotiation.extensions.map { "extension \($0) (\($0.layer))" }
        parts.append(negotiation.status.map { "x-kaazing-handshake completed with \($0)" } ?? "plain WebSocket")
        if negotiation.dialect != .rfc6455 { parts.append("dialect \(negotiation.dialect)") }
        return ": " + parts.map { TerminalText.escaped($0) }.joined(separator: ", ")
    }

    private static func frameStep(_ frame: FrameInfo, _ direction: Ladder.Direction) -> LadderStep {
        let bytes = Array(frame.payload.readableBytesView.prefix(256))
        let preview = bytes.isEmpty ? "" : " " + (closeWords(frame, bytes) ?? TerminalText.preview(bytes))
        let wire = frame.wireBytes == frame.bytes ? "" : " in \(frame.wireBytes)"
        return LadderStep(.app, direction, "\(frame.kind) \(frame.bytes) bytes\(wire)\(preview)")
    }

    /// Code and reason of a close frame (RFC 6455 section 5.5.1).
    private static func closeWords(_ frame: FrameInfo, _ bytes: [UInt8]) -> String? {
        guard frame.kind == .close, bytes.count >= 2 else { return nil }
        let code = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
        return "\(code)" + (bytes.count > 2 ? " " + TerminalText.preview(Array(bytes.dropFirst(2))) : "")
    }

    private static func ladderLayer(_ layer: HandshakeLayer) -> Ladder.Layer {
        switch layer {
        case .opening: .open
        case .extended: .khp
        case .proxy: .proxy
        }
    }

    private static func firstLine(_ head: String) -> String {
        TerminalText.escaped(head.prefix { !$0.isNewline })
    }
}

extension TerminalText {
    /// Bytes as text where they are text, otherwise as hexadecimal.
    static func shown(_ bytes: ByteBuffer) -> String {
        String(validating: bytes.readableBytesView, as: UTF8.self) ?? hex(bytes.readableBytesView.prefix(1024))
    }
}
