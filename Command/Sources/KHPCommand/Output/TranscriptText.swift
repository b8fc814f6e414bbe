import KHPProtocol
import KHPWebSocket
import NIOCore

/// A conversation as steps of a transcript, in the format of Specs/transcripts.
///
/// Random values and times are written as the constants that the format prescribes, so that the conversation
/// can be played again: the key, its accept value (a wrong one stays as it is), the date.
struct TranscriptText: Sendable {
    /// The constants of the format.
    private static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    private static let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

    private var connections = 0
    /// The accept value that belongs to the key of this connection.
    private var accept = ""
    /// The constants of dialects with two keys, and whether this connection's has them.
    private static let keys = [
        "sec-websocket-key1": "4 @1  46546xW%0l 1 5", "sec-websocket-key2": "12998 5 Y3 1  .P00",
    ]
    private static let keyBytes = "  ==\n  ^n:ds[4U\n"
    private static let answerBytes = "  ==\n  8jKS'y:G*Co,Wxa-\n"
    private var hasTwoKeys = false
    private var isOldDialect = false
    private var dialect = Dialect.rfc6455

    /// The fields at the head of the file.
    static func fields(_ values: [(name: String, value: String?)]) -> String {
        values.compactMap { field in field.value.map { "\(field.name): \(TranscriptEscape.value($0))\n" } }.joined()
            + "\n"
    }

    /// The step of an event; empty for those that are none.
    mutating func step(for event: ConnectionEvent) -> String {
        switch event {
        case .connecting(let url, _, _):
            connections += 1
            // The end of a stream is no event, but the connection before has ended when the next one begins.
            return connections > 1 ? "S eof\nC connect \(Self.playable(url.redacted))\n" : ""
        case .openingRequest(let head):
            hasTwoKeys = false
            isOldDialect = true
            return "C opening\n" + requestHead(head) + (hasTwoKeys ? Self.keyBytes : "")
        case .openingResponse(let head, let status):
            return "S opening\n" + responseHead(head) + (hasTwoKeys && status == 101 ? Self.answerBytes : "")
        case .extendedRequest(let head): return "C \(handshakeKind)\n" + requestHead(head)
        case .extendedResponse(let head, let status, _, let body):
            return "S \(handshakeKind)\n" + responseHead(head)
                + Self.entity(ShownEntity.sameLength(body, status: status))
        case .kaazingLegacy(.redirect(let url)):
            return "S balancer R \(TranscriptEscape.word(Self.playable(Redaction.shown(url))))\n"
        case .kaazingLegacy(let message): return "S \(message.description)\n"
        case .open(let negotiation):
            dialect = negotiation.dialect
            return ""
        case .frameSent(let frame): return Self.frame("C", frame, in: dialect)
        case .frameReceived(let frame): return Self.frame("S", frame, in: dialect)
        case .connected, .challenge, .redirect, .violation, .pong, .closed, .failed: return ""
        }
    }

    /// The kind of messages of the extended handshake.
    private var handshakeKind: String { isOldDialect ? "text" : "binary" }

    /// With what stands for a secret parameter of a URL, or for a token among subprotocols, written so that these can
    /// hold it.
    static func playable(_ text: String) -> String {
        text.replacing("=" + Redaction.mark, with: "=hidden")
    }

    /// The subprotocols that were asked for, as the heads of the conversation have them.
    static func playable(subprotocols: [String]) -> String? {
        subprotocols.isEmpty
            ? nil
            : Redaction.subprotocols(subprotocols.joined(separator: ", ")).replacing(Redaction.mark, with: "hidden")
    }

    // MARK: Heads

    private mutating func requestHead(_ head: String) -> String {
        Self.indented(head) { name, value in
            if let key = Self.keys[name] {
                hasTwoKeys = true
                return key
            }
            guard name == "sec-websocket-key" else { return value }
            isOldDialect = false
            accept = AcceptKey.accept(for: value)
            return Self.key
        }
    }

    private func responseHead(_ head: String) -> String {
        Self.indented(head) { name, value in
            switch name {
            case "date": Self.date
            case "sec-websocket-accept" where value == accept: AcceptKey.accept(for: Self.key)
            default: value
            }
        }
    }

    /// Each line indented by two spaces, the empty one at the end too.
    private static func indented(_ head: String, value: (_ name: String, _ value: String) -> String) -> String {
        var lines = playable(head).split(omittingEmptySubsequences: false) { $0 == "\r\n" || $0 == "\n" }
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.enumerated().map { index, line in
            guard index > 0, let colon = line.firstIndex(of: ":") else { return TranscriptEscape.line(String(line)) }
            let name = line[..<colon]
            let known = String(line[line.index(after: colon)...].trimmingSpaces())
            let isSubprotocol = name.lowercased().hasSuffix("websocket-protocol")
            let shown = isSubprotocol ? known.replacing(Redaction.mark, with: "hidden") : known
            return TranscriptEscape.line("\(name): \(value(name.lowercased(), shown))")
        }.joined()
    }

    /// Lines behind `==`, joined by LF when they are read.
    private static func entity(_ body: ByteBuffer) -> String {
        body.readableBytes > 0 ? TranscriptEscape.lines(body) : ""
    }

    // MARK: Frames

    private static func frame(_ side: String, _ frame: FrameInfo, in dialect: Dialect) -> String {
        let bytes = Array(frame.payload.readableBytesView)
        switch frame.kind {
        case .text, .binary:
            if bytes.isEmpty { return "\(side) \(frame.kind)\n" }
            // In the old dialects a frame of text ends with a byte that no text holds.
            if dialect == .rfc6455 || String(validating: bytes, as: UTF8.self) != nil {
                return "\(side) \(frame.kind)\n" + TranscriptEscape.lines(frame.payload)
            }
            return raw(side, frame, in: dialect)
        case .close:
            // The format's close frames have a code and no reason.
            if dialect != .rfc6455 { return "\(side) close\n" }
            guard bytes.count == 2 else { return raw(side, close: bytes) }
            return "\(side) close \(UInt16(bytes[0]) << 8 | UInt16(bytes[1]))\n"
        default:
            return "\(side) \(frame.kind)\(bytes.isEmpty ? "" : " " + TerminalText.hex(bytes))\n"
        }
    }

    private static func raw(_ side: String, _ frame: FrameInfo, in dialect: Dialect) -> String {
        let writer = DialectFrameWriter(dialect)
        var bytes = ByteBuffer()
        if frame.kind == .binary {
            writer.writeBinary(frame.payload, into: &bytes)
        } else {
            frame.payload.withUnsafeReadableBytes { writer.writeText($0, into: &bytes) }
        }
        return "\(side) raw \(TerminalText.hex(Array(bytes.readableBytesView)))\n"
    }

    /// RFC 6455 section 5.2: the frame's own bytes.
    private static func raw(_ side: String, close payload: [UInt8]) -> String {
        let isMasked = side == "C"
        var frame: [UInt8] = [0x88, (isMasked ? 0x80 : 0) | UInt8(truncatingIfNeeded: payload.count)]
        if isMasked { frame += mask }
        frame += payload.enumerated().map { isMasked ? $1 ^ mask[$0 & 3] : $1 }
        return "\(side) raw \(TerminalText.hex(frame))\n"
    }
}
