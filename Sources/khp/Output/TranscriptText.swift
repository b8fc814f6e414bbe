import KHPProtocol
import KHPTransport
import NIOCore

/// What happened, as steps of a transcript in the format of Specs/transcripts.
///
/// What is random or tells the time is written as the constants that the format prescribes, so that the conversation
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
        values.compactMap { field in field.value.map { "\(field.name): \($0)\n" } }.joined() + "\n"
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
        case .kaazingLegacy(let message): return "S \(Self.playable(message.description))\n"
        case .open(let negotiation):
            dialect = negotiation.dialect
            return ""
        case .frameSent(let frame): return Self.frame("C", frame, in: dialect)
        case .frameReceived(let frame): return Self.frame("S", frame, in: dialect)
        case .connected, .challenge, .redirect, .violation, .pong, .closed, .failed: return ""
        }
    }

    /// What messages of the extended handshake are.
    private var handshakeKind: String { isOldDialect ? "text" : "binary" }

    /// With what stands for a secret parameter of a URL written so that a URL can hold it.
    static func playable(_ text: String) -> String {
        text.replacing("=" + Redaction.mark, with: "=hidden")
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
            guard index > 0, let colon = line.firstIndex(of: ":") else { return "  \(line)\n" }
            let name = line[..<colon]
            let known = line[line.index(after: colon)...].trimmingSpaces()
            return "  \(name): \(value(name.lowercased(), String(known)))\n"
        }.joined()
    }

    /// Lines behind `==`, joined by LF when they are read.
    private static func entity(_ body: ByteBuffer) -> String {
        guard body.readableBytes > 0 else { return "" }
        return lines(TerminalText.shown(body))
    }

    private static func lines(_ text: String) -> String {
        "  ==\n" + text.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)\n" }.joined()
    }

    // MARK: Frames

    private static func frame(_ side: String, _ frame: FrameInfo, in dialect: Dialect) -> String {
        let bytes = Array(frame.payload.readableBytesView)
        switch frame.kind {
        case "text", "binary":
            if bytes.isEmpty { return "\(side) \(frame.kind)\n" }
            // A carriage return would be taken for a part of the file's line ends. What is no text is written as the
            // frame that it was: to be read, not to be said again by a player.
            if let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0x0D) {
                return "\(side) \(frame.kind)\n" + lines(text)
            }
            if dialect != .rfc6455 { return raw(side, frame, in: dialect) }
            return raw(side, opcode: frame.kind == "text" ? 0x1 : 0x2, bytes)
        case "close":
            // The format's close frames have a code and no reason.
            if dialect != .rfc6455 { return "\(side) close\n" }
            guard bytes.count == 2 else { return raw(side, opcode: 0x8, bytes) }
            return "\(side) close \(UInt16(bytes[0]) << 8 | UInt16(bytes[1]))\n"
        default:
            return "\(side) \(frame.kind)\(bytes.isEmpty ? "" : " " + TerminalText.hex(bytes))\n"
        }
    }

    private static func raw(_ side: String, _ frame: FrameInfo, in dialect: Dialect) -> String {
        let writer = DialectFrameWriter(dialect)
        var bytes = ByteBuffer()
        if frame.kind == "binary" {
            writer.writeBinary(frame.payload, into: &bytes)
        } else {
            frame.payload.withUnsafeReadableBytes { writer.writeText($0, into: &bytes) }
        }
        return "\(side) raw \(TerminalText.hex(Array(bytes.readableBytesView)))\n"
    }

    /// RFC 6455 section 5.2: the frame's own bytes.
    private static func raw(_ side: String, opcode: UInt8, _ payload: [UInt8]) -> String {
        let isMasked = side == "C"
        let maskBit: UInt8 = isMasked ? 0x80 : 0
        var frame: [UInt8] = [0x80 | opcode]
        switch payload.count {
        case 0...125: frame.append(maskBit | UInt8(payload.count))
        case 126...65535: frame += [maskBit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        default:
            frame.append(maskBit | 127)
            frame += (0..<8).reversed().map { UInt8(truncatingIfNeeded: payload.count >> ($0 * 8)) }
        }
        if isMasked { frame += mask }
        frame += payload.enumerated().map { isMasked ? $1 ^ mask[$0 & 3] : $1 }
        return "\(side) raw \(TerminalText.hex(frame))\n"
    }
}
