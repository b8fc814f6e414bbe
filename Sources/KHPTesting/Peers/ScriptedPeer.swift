public import KHPProtocol
public import NIOCore

/// One side of a transcript as a peer for a real socket: it says what stands there and checks what it hears.
///
/// Sans-I/O: bytes in, bytes out. ``ScriptedPeerHandler`` puts it on a channel. On a real socket some bytes differ
/// each time, so it is less strict than ``Transcript/play(against:reads:extensions:isObserved:)``: masks do not count,
/// nor do the values of Host, Sec-WebSocket-Key, Sec-WebSocket-Accept, Date and Origin; a server computes the accept
/// for the key it gets. Waits (`~`) take no time: what comes behind one is said at once.
///
/// In the dialects before RFC 6455 it can play the client only: what their servers answer names the address.
public struct ScriptedPeer {
    /// The caller's next step.
    public enum Output: Sendable, Equatable {
        /// Write these bytes.
        case send(ByteBuffer)
        /// End the stream.
        case end
    }

    /// The side that it plays.
    public let role: Role
    /// `true` once everything has been said and heard.
    public var isFinished: Bool { self.index >= self.steps.count }

    private let transcript: String
    private let dialect: Dialect
    private let steps: [Transcript.Step]
    private var index = 0
    private var inbound = ByteBuffer()
    private var requestDecoder = RequestHeadDecoder(limits: Limits().openingHead)
    private var responseDecoder = ResponseHeadDecoder(limits: Limits().openingHead)
    private var reader: FrameCodec
    private var accept = Transcript.Constants.accept

    /// - Parameters:
    ///   - transcript: the conversation.
    ///   - role: the side to play.
    ///   - connection: which of a client's connections, counted from 0 over its `connect` steps.
    public init(_ transcript: Transcript, as role: Role, connection: Int = 0) {
        self.role = role
        self.transcript = transcript.name
        self.dialect = transcript.dialect
        var part = 0
        self.steps = transcript.steps.filter { step in
            if case .connect = step.action { part += 1 }
            guard part == connection, case .does = step.action else { return false }
            return true
        }
        self.reader = FrameCodec(transcript.dialect, role: role)
    }

    /// The first steps, before the peer has heard anything.
    public mutating func start() -> [Output] { self.speak() }

    /// Takes bytes of the other side.
    /// - Returns: the peer's next steps.
    /// - Throws: ``TranscriptError`` when the transcript has other bytes.
    public mutating func receive(_ bytes: ByteBuffer) throws(TranscriptError) -> [Output] {
        guard self.role == .client || self.dialect == .rfc6455 else {
            throw self.error(0, "a scripted server speaks rfc6455 only")
        }
        self.inbound.writeImmutableBuffer(bytes)
        var outputs: [Output] = []
        while let (line, deed) = self.awaited, try self.hear(deed, line) {
            self.index += 1
            outputs += self.speak()
        }
        return outputs
    }

    /// The other side has ended its stream.
    /// - Throws: ``TranscriptError`` when there is more to hear of it.
    public mutating func receiveEnd() throws(TranscriptError) -> [Output] {
        while let (line, deed) = self.awaited {
            guard deed == .end else { throw self.error(line, "\(deed.words) is due, and the stream has ended") }
            self.index += 1
        }
        return self.speak()
    }

    /// The other side's next deed.
    private var awaited: (Int, Transcript.Event)? {
        guard self.index < self.steps.count, case .does(let side, let deed) = self.steps[self.index].action,
            side != self.role
        else { return nil }
        return (self.steps[self.index].line, deed)
    }

    private mutating func speak() -> [Output] {
        var outputs: [Output] = []
        while self.index < self.steps.count, case .does(self.role, let deed) = self.steps[self.index].action {
            self.index += 1
            outputs.append(self.fitted(deed).wire(from: self.role, in: self.dialect).map { .send($0) } ?? .end)
        }
        return outputs
    }

    /// With the accept that fits the key of this connection.
    private func fitted(_ deed: Transcript.Event) -> Transcript.Event {
        guard self.role == .server, self.accept != Transcript.Constants.accept else { return deed }
        func fitted(_ bytes: ByteBuffer) -> ByteBuffer {
            let text = bytes.withUnsafeReadableBytes { FieldText.string($0) }
            let parts = text.split(separator: Transcript.Constants.accept, omittingEmptySubsequences: false)
            return parts.count < 2
                ? bytes : ByteBuffer(bytes: FieldText.bytes(of: parts.joined(separator: self.accept)))
        }
        switch deed {
        case .opening(let bytes): return .opening(fitted(bytes))
        case .message(let kind, let payload): return .message(kind, fitted(payload))
        default: return deed
        }
    }

    // MARK: Hearing

    /// Returns `true` when the awaited deed has been heard; `false` waits for more.
    private mutating func hear(_ deed: Transcript.Event, _ line: Int) throws(TranscriptError) -> Bool {
        switch deed {
        case .opening(let expected):
            return try self.hearHead(expected, line)
        case .end:
            // Not heard as bytes: see `receiveEnd`.
            return false
        case .raw, .message, .legacy, .ping, .pong, .close:
            do throws(FrameViolation) {
                guard let event = try self.reader.next(&self.inbound) else { return false }
                guard Self.fits(event, deed) else {
                    throw FrameViolation(closeCode: .policyViolation, message: "\(deed.words) is due, not \(event)")
                }
                return true
            } catch {
                throw self.error(line, error.message)
            }
        }
    }

    private mutating func hearHead(_ expected: ByteBuffer, _ line: Int) throws(TranscriptError) -> Bool {
        var expected = expected
        do throws(HeadError) {
            if self.role == .server {
                guard let head = try self.requestDecoder.decode(&self.inbound) else { return false }
                var decoder = RequestHeadDecoder(limits: Limits().openingHead)
                let known = try decoder.decode(&expected)
                if let key = head.fields.first("Sec-WebSocket-Key") { self.accept = AcceptKey.accept(for: key) }
                guard let known, known.method == head.method, known.target == head.target,
                    known.fields.isComparable(to: head.fields)
                else { throw HeadError.malformed("the request is another one") }
            } else {
                // The answer to the keys lies behind the head.
                if self.dialect.opening == .twoKeys, self.inbound.readableBytes < expected.readableBytes {
                    return false
                }
                guard let head = try self.responseDecoder.decode(&self.inbound) else { return false }
                var decoder = ResponseHeadDecoder(limits: Limits().openingHead)
                let known = try decoder.decode(&expected)
                guard let known, known.status == head.status, known.fields.isComparable(to: head.fields) else {
                    throw HeadError.malformed("the response is another one")
                }
                // The keys of the script get the answer of the script.
                if self.dialect.opening == .twoKeys, head.status == 101 {
                    guard self.inbound.readSlice(length: expected.readableBytes) == expected else {
                        throw HeadError.malformed("the keys are answered otherwise")
                    }
                }
            }
            return true
        } catch {
            throw self.error(line, error.message)
        }
    }

    private static func fits(_ event: InboundFrameEvent, _ deed: Transcript.Event) -> Bool {
        switch (event, deed) {
        case (.message(let kind, let payload, _), .message(let expectedKind, let expected)):
            guard kind == expectedKind else { return false }
            if payload == expected { return true }
            // A response inside: compared as a head, with the bytes behind it.
            var (bytes, otherBytes) = (payload, expected)
            var decoder = ResponseHeadDecoder(limits: Limits().openingHead)
            var otherDecoder = decoder
            guard let head = try? decoder.decode(&bytes), let other = try? otherDecoder.decode(&otherBytes) else {
                return false
            }
            return head.status == other.status && head.fields.isComparable(to: other.fields) && bytes == otherBytes
        case (.message(_, let payload, _), .legacy(let expected)):
            return payload == expected.payload
        case (.ping(let payload), .ping(let expected)), (.pong(let payload), .pong(let expected)):
            return payload == expected
        case (.close(let code, _), .close(let expected)):
            return (code ?? .noStatus) == expected
        default:
            return false
        }
    }

    private func error(_ line: Int, _ message: String) -> TranscriptError {
        TranscriptError(self.transcript, line, message)
    }
}

extension HeadFields {
    /// The same names in the same order, with the same values where they can be the same on every connection.
    fileprivate func isComparable(to other: HeadFields) -> Bool {
        func comparable(_ fields: HeadFields) -> [String] {
            var result: [String] = []
            fields.forEach { name, value in
                let name = String(name).lowercased()
                switch name {
                case "host", "sec-websocket-key", "sec-websocket-accept", "date", "origin": result.append(name)
                default: result.append("\(name): \(value)")
                }
            }
            return result
        }
        return comparable(self) == comparable(other)
    }
}
