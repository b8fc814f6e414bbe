public import KHPProtocol
public import NIOCore

/// One conversation between a client and a server as data: what each side sends, byte for byte, and how it ends.
///
/// The format is described in the package's `Specs/transcripts/README.md`. A transcript is played against this
/// package's client or server with ``play(against:reads:extensions:isObserved:)``, or made into a peer for a real
/// socket with ``ScriptedPeer``.
///
/// ```swift
/// let transcript = try Transcript(text, name: "complete")
/// for role in transcript.roles { try transcript.play(against: role) }
/// ```
public struct Transcript: Sendable {
    /// The values that random choices and clocks have in every transcript, so that its bytes are known.
    public enum Constants {
        /// The Sec-WebSocket-Key of every opening request in a transcript.
        public static let key = "dGhlIHNhbXBsZSBub25jZQ=="
        /// The Sec-WebSocket-Accept that fits ``key``.
        public static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        /// The client's nonce in each Digest answer, from RFC 7616 section 3.9.1.
        public static let clientNonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
        /// The masking key of each frame of a client, in network order.
        public static let mask: UInt32 = 0x37fa_213d
        /// Sec-WebSocket-Key1 of every opening request in a dialect that has it, whose fields stand in the order in
        /// which the specification lists them.
        public static let key1 = "4 @1  46546xW%0l 1 5"
        /// Sec-WebSocket-Key2 likewise.
        public static let key2 = "12998 5 Y3 1  .P00"
        /// The eight bytes behind such a request; `8jKS'y:G*Co,Wxa-` answers them.
        public static let key3 = "^n:ds[4U"
        /// The Date of every answer.
        public static let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    }

    /// Where it comes from; used in errors.
    public let name: String
    /// The subject of the conversation.
    public let title: String
    /// The requirements that it is about.
    public let ids: [String]
    /// The roles against which it can be played.
    public let roles: [Role]
    /// The wire dialect that both sides speak.
    public let dialect: Dialect
    /// All fields at its head in their order, those above included.
    public let fields: [Field]
    /// The steps of the conversation.
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
        /// The action of the step.
        public let action: Action

        package init(line: Int, action: Action) {
            self.line = line
            self.action = action
        }
    }

    /// The action of a step.
    public enum Action: Sendable, Hashable {
        /// `C opening`, `S binary`, `C eof` …: one side does something.
        case does(Role, Event)
        /// `~ 30s`: time passes.
        case wait(Duration)
        /// `C connect <url>`: the client opens a fresh connection.
        case connect(WebSocketURL)
    }

    /// One side says something, or ends its stream.
    public enum Event: Sendable, Hashable {
        /// An HTTP head on the wire, with its entity.
        case opening(ByteBuffer)
        /// A message in one frame.
        case message(MessageKind, ByteBuffer)
        /// A ping.
        case ping(ByteBuffer)
        /// A pong.
        case pong(ByteBuffer)
        /// A close frame without a reason; 1005 stands for one without a code, as the old dialects have it.
        case close(WebSocketCloseCode)
        /// A message that the Kaazing legacy exchange adds.
        case legacy(KaazingLegacyMessage)
        /// Bytes as they are.
        case raw(ByteBuffer)
        /// The end of that side's stream.
        case end
    }

    /// Reads a transcript.
    /// - Parameters:
    ///   - text: the content of a `.khp` file.
    ///   - name: the name for it in errors.
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
        var roles: [Role] = []
        for word in (value("roles") ?? "client server").split(separator: " ") {
            guard let role = Role(rawValue: String(word)) else {
                throw TranscriptError(name, 1, "\(word) is no role")
            }
            roles.append(role)
        }
        self.roles = roles
        guard let dialect = Dialect(name: value("dialect") ?? Dialect.rfc6455.name) else {
            throw TranscriptError(name, 1, "\(value("dialect") ?? "") is no dialect")
        }
        self.dialect = dialect
    }

    private init(_ other: Transcript, fields: [Field], steps: [Step]) {
        self.name = other.name
        self.title = other.title
        self.ids = other.ids
        self.roles = other.roles
        self.dialect = other.dialect
        self.fields = fields
        self.steps = steps
    }

    /// The same conversation on a stream of HTTP/2, where no opening has keys (RFC 8441 section 5).
    /// - Parameter steps: as they are there.
    package func onStream(_ steps: [Step]) -> Transcript {
        Transcript(self, fields: self.fields + [Field(line: 0, name: "wire", value: "stream")], steps: steps)
    }

    var isOnStream: Bool { self["wire"] == "stream" }

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
    /// The fault of the line.
    public let message: String
    /// How the bytes were cut into reads, where that matters.
    public internal(set) var reads: Transcript.Reads?

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
