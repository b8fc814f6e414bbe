public import KHPProtocol
public import NIOCore

/// One conversation between a client and a server as data: what each side sends, byte for byte, and how it ends.
///
/// The format is described in the package's `Specs/README.md`. A transcript is played against this package's client or
/// server with ``play(against:reads:extensions:isObserved:)``, or made into a peer for a real socket with
/// ``ScriptedPeer``.
///
/// ```swift
/// let transcript = try Transcript(text, name: "complete")
/// for role in transcript.roles { try transcript.play(against: role) }
/// ```
public struct Transcript: Sendable {
    /// The Sec-WebSocket-Key of every opening request in a transcript.
    public static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    /// The Sec-WebSocket-Accept that fits ``key``.
    public static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    /// The client's nonce in each Digest answer: that of RFC 7616 section 3.9.1.
    public static let clientNonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    /// The masking key of each frame of a client, in network order.
    public static let mask: UInt32 = 0x37fa_213d
    /// The Date of every answer.
    public static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

    /// Where it comes from; used in errors.
    public let name: String
    /// What it shows.
    public let title: String
    /// The requirements that it is about.
    public let ids: [String]
    /// Against whom it can be played.
    public let roles: [ConnectionRole]
    /// All fields at its head in their order, those above included.
    public let fields: [Field]
    /// What happens.
    public let steps: [Step]

    /// A field at the head of a transcript.
    public struct Field: Sendable, Hashable {
        /// The line that it stands on, from 1.
        public let line: Int
        /// Its name, such as `client.user`.
        public let name: String
        /// Its value, without white space around it.
        public let value: String
    }

    /// One line of a conversation, with the payload below it.
    public struct Step: Sendable, Hashable {
        /// The line that it begins on, from 1.
        public let line: Int
        /// What happens there.
        public let action: Action
    }

    /// What happens in a step.
    public enum Action: Sendable, Hashable {
        /// `C opening`, `S binary`, `C eof` …: one side does something.
        case does(ConnectionRole, Deed)
        /// `~ 30s`: time passes.
        case wait(Duration)
        /// `C connect <url>`: the client opens a fresh connection.
        case connect(WebSocketURL)
    }

    /// What one side does.
    public enum Deed: Sendable, Hashable {
        /// An HTTP head on the wire, with its entity.
        case opening(ByteBuffer)
        /// A message in one frame.
        case message(MessageKind, ByteBuffer)
        /// A ping.
        case ping(ByteBuffer)
        /// A pong.
        case pong(ByteBuffer)
        /// A close frame without a reason.
        case close(WebSocketCloseCode)
        /// Bytes as they are.
        case raw(ByteBuffer)
        /// The end of that side's stream.
        case end
    }

    /// Reads a transcript.
    /// - Parameters:
    ///   - text: the content of a `.khp` file.
    ///   - name: what to call it in errors.
    /// - Throws: ``TranscriptError`` with the line that cannot be read.
    public init(_ text: String, name: String) throws(TranscriptError) {
        var parser = TranscriptParser(text, name: name)
        let (fields, steps) = try parser.parse()
        self.name = name
        self.fields = fields
        self.steps = steps
        func value(_ field: String) -> String? { fields.first { $0.name == field }?.value }
        self.title = value("title") ?? ""
        self.ids = (value("ids") ?? "").split(separator: " ").map(String.init)
        var roles: [ConnectionRole] = []
        for word in (value("roles") ?? "client server").split(separator: " ") {
            guard let role = ConnectionRole(rawValue: String(word)) else {
                throw TranscriptError(name, 1, "\(word) is no role")
            }
            roles.append(role)
        }
        self.roles = roles
    }

    /// The value of a field, such as `client.user`.
    public subscript(field: String) -> String? {
        self.fields.first { $0.name == field }?.value
    }
}

/// Why a transcript cannot be read, or where a connection under test left its script.
public struct TranscriptError: Error, Sendable, CustomStringConvertible {
    /// The transcript's name.
    public let transcript: String
    /// The line in it, from 1; 0 where none is meant.
    public let line: Int
    /// What is wrong there.
    public let message: String
    /// How the bytes were cut into reads, where that matters.
    public internal(set) var reads: TranscriptReads?

    init(_ transcript: String, _ line: Int, _ message: String) {
        self.transcript = transcript
        self.line = line
        self.message = message
    }

    /// `name:line: message`.
    public var description: String {
        let place = self.line > 0 ? "\(self.transcript):\(self.line)" : self.transcript
        return "\(place): \(self.message)\(self.reads.map { " (read \($0))" } ?? "")"
    }
}
