// A conversation that was had, as a transcript: a user records a session that failed, and replays it in a test.

public import KHPProtocol
import NIOCore

/// Writes what an observer sees as a ``Transcript``.
///
/// The recorder writes the constants that the format prescribes in the place of what is random or tells the time, so that
/// the conversation can be played again: the key, its accept value (a wrong one stays as it is), the date. Credentials are
/// hidden, as in every event; a conversation with a challenge plays again once `client.user` is added.
public struct TranscriptRecorder: Sendable {
    private var connections = 0
    /// The accept value that belongs to the key of this connection.
    private var accept = ""
    /// The constants of dialects with two keys.
    private static let keys = [
        "sec-websocket-key1": Transcript.Constants.key1, "sec-websocket-key2": Transcript.Constants.key2,
    ]
    private static let keyBytes = "  ==\n  \(Transcript.Constants.key3)\n"
    private static let answerBytes = "  ==\n  8jKS'y:G*Co,Wxa-\n"
    private var hasTwoKeys = false
    private var isOldDialect = false
    private var dialect = Dialect.rfc6455

    /// A recorder for the connections of one connect, redirects included.
    public init() {}

    /// The step of an event, with its line end; empty for events that are no step.
    public mutating func step(for event: ConnectionEvent) -> String {
        switch event {
        case .connecting(let url, _, _):
            self.connections += 1
            // The end of a stream is no event, but the connection before has ended when the next one begins.
            return self.connections > 1 ? "S eof\nC connect \(Self.playable(url.redacted))\n" : ""
        case .openingRequest(let head):
            self.hasTwoKeys = false
            self.isOldDialect = true
            return "C opening\n" + self.requestHead(head) + (self.hasTwoKeys ? Self.keyBytes : "")
        case .openingResponse(let head, let status):
            return "S opening\n" + self.responseHead(head) + (self.hasTwoKeys && status == 101 ? Self.answerBytes : "")
        case .extendedRequest(let head): return "C \(self.handshakeKind)\n" + self.requestHead(head)
        case .extendedResponse(let head, let status, _, let body):
            return "S \(self.handshakeKind)\n" + self.responseHead(head)
                + Self.entity(Self.hidden(body, status: status))
        case .kaazingLegacy(.redirect(let url)):
            return "S balancer R \(TranscriptEscape.word(Self.playable(Redaction.shown(url))))\n"
        case .kaazingLegacy(let message): return "S \(message.description)\n"
        case .open(let negotiation):
            self.dialect = negotiation.dialect
            return ""
        case .frameSent(let frame): return Self.frame("C", frame, in: self.dialect)
        case .frameReceived(let frame): return Self.frame("S", frame, in: self.dialect)
        case .connected, .routed, .challenge, .redirect, .violation, .pong, .closed, .failed, .reconnecting: return ""
        }
    }

    /// The kind of messages of the extended handshake.
    private var handshakeKind: String { self.isOldDialect ? "text" : "binary" }

    // MARK: Heads

    private mutating func requestHead(_ head: String) -> String {
        Self.indented(head) { name, value in
            if let key = Self.keys[name] {
                self.hasTwoKeys = true
                return key
            }
            guard name == "sec-websocket-key" else { return value }
            self.isOldDialect = false
            self.accept = AcceptKey.accept(for: value)
            return Transcript.Constants.key
        }
    }

    private func responseHead(_ head: String) -> String {
        Self.indented(head) { name, value in
            switch name {
            case "date": Transcript.Constants.date
            case "sec-websocket-accept" where value == self.accept: Transcript.Constants.accept
            default: value
            }
        }
    }

    /// Each line indented by two spaces, the empty one at the end too.
    private static func indented(_ head: String, value: (_ name: String, _ value: String) -> String) -> String {
        var lines = Self.playable(head).split(omittingEmptySubsequences: false) { $0 == "\r\n" || $0 == "\n" }
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.enumerated().map { index, line in
            guard index > 0, let colon = line.firstIndex(of: ":") else { return TranscriptEscape.line(String(line)) }
            let name = line[..<colon]
            let known = String(line[line.index(after: colon)...].trimmingSpaces)
            let isSubprotocol = name.lowercased().hasSuffix("websocket-protocol")
            let shown = isSubprotocol ? known.replacing(Redaction.mark, with: "hidden") : known
            return TranscriptEscape.line("\(name): \(value(name.lowercased(), shown))")
        }.joined()
    }

    /// The text with `hidden` in the place of a secret parameter, so that a URL can hold it.
    static func playable(_ text: String) -> String {
        text.replacing("=" + Redaction.mark, with: "=hidden")
    }

    /// The body of a redirect or a refusal names URLs, which may hold credentials. It stays as long as it was, so that the
    /// length in its head stays true. Other bodies are the application's, and stay as they are.
    private static func hidden(_ body: ByteBuffer, status: Int) -> ByteBuffer {
        guard status >= 300, let text = String(validating: body.readableBytesView, as: UTF8.self) else { return body }
        return ByteBuffer(string: Redaction.shown(text) { Array(repeating: UInt8(ascii: "x"), count: $0.count) })
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
            return Self.raw(side, frame, in: dialect)
        case .close:
            // The format's close frames have a code and no reason.
            if dialect != .rfc6455 { return "\(side) close\n" }
            guard bytes.count == 2 else { return Self.raw(side, close: bytes) }
            return "\(side) close \(UInt16(bytes[0]) << 8 | UInt16(bytes[1]))\n"
        default:
            return "\(side) \(frame.kind)\(bytes.isEmpty ? "" : " " + Self.hex(bytes))\n"
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
        return "\(side) raw \(Self.hex(Array(bytes.readableBytesView)))\n"
    }

    /// RFC 6455 section 5.2: the frame's own bytes.
    private static func raw(_ side: String, close payload: [UInt8]) -> String {
        let isMasked = side == "C"
        var frame: [UInt8] = [0x88, (isMasked ? 0x80 : 0) | UInt8(truncatingIfNeeded: payload.count)]
        let mask = withUnsafeBytes(of: Transcript.Constants.mask.bigEndian) { Array($0) }
        if isMasked { frame += mask }
        frame += payload.enumerated().map { isMasked ? $1 ^ mask[$0 & 3] : $1 }
        return "\(side) raw \(Self.hex(frame))\n"
    }

    private static func hex(_ bytes: [UInt8]) -> String { bytes.map { TranscriptEscape.digits($0) }.joined() }
}
