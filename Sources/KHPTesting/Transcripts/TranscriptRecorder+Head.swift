// The lines before the first step of a recorded transcript.

public import KHPProtocol

extension TranscriptRecorder {
    /// The fields at the head of a recorded transcript: what a player needs so that its client says the same.
    public struct Head: Sendable {
        /// The URL that was connected to. Its credentials are written as `hidden`.
        public var url: String
        /// The wire dialect.
        public var dialect = Dialect.rfc6455
        /// The Origin that was sent, if any.
        public var origin: String?
        /// The subprotocols that were asked for, in order. Tokens among them are written as `hidden`.
        public var subprotocols: [String] = []
        /// The extensions that were offered, as a header field has them.
        public var extensions: [String] = []
        /// How the extended handshake was treated: offered, required or left out.
        public var extendedHandshake = ExtendedHandshakePolicy.preferred
        /// True where the Kaazing legacy exchange was spoken.
        public var kaazingLegacy = false
        /// The method of the extended request.
        public var extendedMethod = "GET"
        /// Which redirects were followed.
        public var redirectPolicy = RedirectPolicy.always
        /// True where 308 was followed.
        public var followsPermanentRedirects = false

        /// The head of a client's conversation with a URL.
        public init(url: String) {
            self.url = url
        }

        /// The lines of the file before its first step, with the empty line behind them.
        public var text: String {
            let url = TranscriptRecorder.playable(Redaction.shown(self.url))
            let subprotocols = Redaction.subprotocols(self.subprotocols.joined(separator: ", "))
                .replacing(Redaction.mark, with: "hidden")
            return Self.lines([
                ("title", "a conversation with \(url)"), ("roles", "client"), ("client", url),
                ("dialect", self.dialect == .rfc6455 ? nil : self.dialect.name), ("client.origin", self.origin),
                ("client.subprotocols", self.subprotocols.isEmpty ? nil : subprotocols),
                ("client.extensions", self.extensions.isEmpty ? nil : self.extensions.joined(separator: ", ")),
                ("client.extended", self.extendedHandshake == .preferred ? nil : self.extendedHandshake.rawValue),
                ("client.kaazing-legacy", self.kaazingLegacy ? "yes" : nil),
                ("client.method", self.extendedMethod == "GET" ? nil : self.extendedMethod),
                ("client.redirects", self.redirectPolicy == .always ? nil : self.redirectPolicy.rawValue),
                ("client.follow-308", self.followsPermanentRedirects ? "yes" : nil),
            ])
        }

        /// One line for each field that has a value.
        static func lines(_ fields: [(name: String, value: String?)]) -> String {
            fields.compactMap { field in field.value.map { "\(field.name): \(TranscriptEscape.value($0))\n" } }
                .joined() + "\n"
        }
    }
}
