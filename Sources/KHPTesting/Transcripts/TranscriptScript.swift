// A transcript as one role sees it: the bytes to feed it, and its own bytes, in order.

import KHPProtocol
import NIOCore

struct TranscriptScript: Sendable {
    enum Operation: Sendable {
        /// The scripted side sends. Bytes without a wait between them are one read, unless it is cut.
        case feed(ByteBuffer)
        /// The side under test has said this by now, of itself or by its application.
        case expect(ByteBuffer, Transcript.Event)
        /// The scripted side ends its stream.
        case peerEnds
        /// The side under test has ended its stream.
        case ends
        case wait(TimeAmount)
        case connect(WebSocketURL)
    }

    let transcript: Transcript
    let role: Role
    private(set) var operations: [(line: Int, operation: Operation)] = []
    /// Messages that the scripted side sends after completion: the application's; `nil` where that cannot be told.
    private(set) var applicationMessages: [(MessageKind, ByteBuffer)]? = []

    /// The last response of the server, as far as it has come.
    private var response = ByteBuffer()

    init(_ transcript: Transcript, role: Role) {
        self.transcript = transcript
        self.role = role
        for step in transcript.steps {
            switch step.action {
            case .wait(let duration):
                self.operations.append((step.line, .wait(TimeAmount(duration))))
            case .connect(let url):
                // Against a server only the part before is played.
                if role == .server { return }
                self.operations.append((step.line, .connect(url)))
            case .does(let side, let deed):
                self.append(deed, by: side, line: step.line)
            }
        }
    }

    private mutating func append(_ deed: Transcript.Event, by side: Role, line: Int) {
        let bytes = deed.wire(from: side, in: self.transcript.dialect)
        self.noteMessage(deed, by: side)
        guard side != self.role else {
            self.operations.append((line, bytes.map { .expect($0, deed) } ?? .ends))
            return
        }
        guard let bytes else {
            self.operations.append((line, .peerEnds))
            return
        }
        if let last = self.operations.last, case .feed(var known) = last.operation {
            known.writeImmutableBuffer(bytes)
            self.operations[self.operations.count - 1].operation = .feed(known)
        } else {
            self.operations.append((line, .feed(bytes)))
        }
    }

    private mutating func noteMessage(_ deed: Transcript.Event, by side: Role) {
        switch deed {
        case .opening(let bytes) where side == .server,
            .message(_, let bytes) where side == .server && bytes.readableBytesView.starts(with: "HTTP/1.1 ".utf8):
            // A response: the messages before it belong to a handshake, and so do those behind it until its head is
            // complete.
            self.applicationMessages = []
            self.response = bytes
        case .message(let kind, let payload) where side != self.role:
            if side == .server, self.response.readableBytes > 0, !self.response.printable.contains("\\r\\n\\r\\n") {
                self.response.writeImmutableBuffer(payload)
            } else {
                self.applicationMessages?.append((kind, payload))
            }
        case .legacy where side != self.role:
            // A response goes on until its end is said: the messages before belong to the handshake.
            self.applicationMessages = []
            self.response = ByteBuffer()
        case .raw where side != self.role:
            self.applicationMessages = nil
        default:
            break
        }
    }

    /// The number of bytes that the scripted side sends in all, which is the number of places to cut.
    var fedBytes: Int {
        self.operations.reduce(0) { sum, item in
            if case .feed(let bytes) = item.operation { sum + bytes.readableBytes } else { sum }
        }
    }
}

extension Transcript.Event {
    /// The bytes on the wire; `nil` for the end of the stream.
    func wire(from side: Role, in dialect: Dialect) -> ByteBuffer? {
        guard dialect == .rfc6455 else { return self.wire(in: dialect) }
        let writer = FrameWriter(role: side == .client ? .client : .server)
        let mask = Transcript.Constants.mask
        var buffer = ByteBuffer()
        switch self {
        case .opening(let bytes), .raw(let bytes): return bytes
        case .message(let kind, let payload):
            writer.write(kind == .text ? .text : .binary, payload: payload, mask: mask, into: &buffer)
        case .legacy(let message):
            writer.write(.binary, payload: message.payload, mask: mask, into: &buffer)
        case .ping(let payload): writer.writePing(payload, mask: mask, into: &buffer)
        case .pong(let payload): writer.writePong(payload, mask: mask, into: &buffer)
        case .close(let code): writer.writeClose(code: code, reason: "", mask: mask, into: &buffer)
        case .end: return nil
        }
        return buffer
    }

    /// The bytes on the wire in a dialect without masks, opcodes and codes.
    private func wire(in dialect: Dialect) -> ByteBuffer? {
        let writer = DialectFrameWriter(dialect)
        var buffer = ByteBuffer()
        switch self {
        case .opening(let bytes), .raw(let bytes): return bytes
        case .message(.text, let payload): payload.withUnsafeReadableBytes { writer.writeText($0, into: &buffer) }
        case .message(.binary, let payload): writer.writeBinary(payload, into: &buffer)
        case .legacy(let message): message.payload.withUnsafeReadableBytes { writer.writeText($0, into: &buffer) }
        case .close: writer.writeClose(into: &buffer)
        case .ping, .pong, .end: return nil
        }
        return buffer
    }

    /// As a person reads it in an error.
    var words: String {
        switch self {
        case .opening(let bytes): "opening \(bytes.printable)"
        case .message(let kind, let payload): "\(kind) \(payload.printable)"
        case .legacy(let message): message.description
        case .ping: "ping"
        case .pong: "pong"
        case .close(let code): "close \(code)"
        case .raw(let bytes): "raw \(bytes.printable)"
        case .end: "eof"
        }
    }
}

extension ByteBuffer {
    /// As text, with escapes for bytes that are not printable.
    var printable: String {
        var text = "\""
        for byte in self.readableBytesView {
            switch byte {
            case 0x0D: text += "\\r"
            case 0x0A: text += "\\n"
            case 0x20...0x7E: text.unicodeScalars.append(Unicode.Scalar(byte))
            default: text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return text + "\""
    }
}
