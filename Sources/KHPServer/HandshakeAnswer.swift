public import HTTPTypes
import KHPProtocol
public import NIOCore

/// What an endpoint's `respond` closure answers: any response that a handshake can carry.
///
/// Given to a client that takes part in the extended handshake it is the extended response; everyone else gets it as
/// the response of the opening handshake (D24), where an answer that completes opens the plain WebSocket.
///
/// An answer that cannot be sent becomes a 500, and a line of the log says why: a status outside 100 to 999, control
/// characters in fields, a Location with a blank, a 401 without a challenge, a subprotocol that the client did not ask for.
public struct HandshakeAnswer: Sendable {
    /// The status code.
    public var status: Int
    /// Further fields of the response. Those of the handshake itself (Connection, Content-Length, Date, in a completing
    /// answer Sec-WebSocket-* too) are left out.
    public var fields: HTTPFields
    /// The entity; a refusal without one gets a short readable text. Not for 101, 204 and 205.
    public var entity: ByteBuffer?
    /// The subprotocol to choose; `nil` leaves the choice to the endpoint's list.
    public var subprotocol: String?
    /// What follows a 202.
    var later: (@Sendable () async -> HandshakeAnswer)?
    /// A 401 to right credentials with a nonce that is used no more.
    var isStale = false
    /// The fault of a text that it was made of: a header field would hide it, as it makes blanks of line breaks.
    var fault: String?

    /// Any response. Statuses 101, 201, 204 and 205 complete the handshake.
    public init(
        status: Int,
        fields: HTTPFields = HTTPFields(),
        entity: ByteBuffer? = nil,
        subprotocol: String? = nil
    ) {
        self.status = status
        self.fields = fields
        self.entity = entity
        self.subprotocol = subprotocol
    }

    /// 101: opens the socket.
    public static func complete(subprotocol: String? = nil, fields: HTTPFields = HTTPFields()) -> HandshakeAnswer {
        HandshakeAnswer(status: 101, fields: fields, subprotocol: subprotocol)
    }

    /// 201: opens the socket and says with its content which alternative was established.
    public static func created(
        _ content: String,
        contentType: String = "text/plain; charset=utf-8",
        fields: HTTPFields = HTTPFields()
    ) -> HandshakeAnswer {
        var fields = fields
        fields[.contentType] = contentType
        var answer = HandshakeAnswer(status: 201, fields: fields, entity: ByteBuffer(string: content))
        answer.note([contentType], "the media type")
        return answer
    }

    /// 204: opens the socket.
    public static var noContent: HandshakeAnswer { HandshakeAnswer(status: 204) }

    /// 205: opens the socket.
    public static var resetContent: HandshakeAnswer { HandshakeAnswer(status: 205) }

    /// 202 now, and another answer once `later` returns. At most three in a row; the client waits a bounded time, 30 s
    /// in all by default. The task is cancelled when the connection ends first.
    public static func processing(then later: @escaping @Sendable () async -> HandshakeAnswer) -> HandshakeAnswer {
        var answer = HandshakeAnswer(status: 202)
        answer.later = later
        return answer
    }

    /// A redirect to an absolute or relative URL.
    ///
    /// - Parameters:
    ///   - url: for Location; ws, wss, http or https where it has a scheme.
    ///   - status: 301, 302, 303 or 307; clients follow 307 after GET only.
    public static func redirect(to url: String, status: Int = 302) -> HandshakeAnswer {
        var answer = HandshakeAnswer(status: status, fields: [.location: url])
        answer.note([url], "the URL")
        return answer
    }

    /// 300: alternatives in order of preference, as Link fields and as a list in the entity.
    public static func choices(_ urls: [String]) -> HandshakeAnswer {
        var fields: HTTPFields = [.contentType: "text/uri-list"]
        if let first = urls.first { fields[.location] = first }
        if let link = HTTPField.Name("Link") {
            fields[values: link] = urls.map { "<\($0)>; rel=alternate" }
        }
        let entity = ByteBuffer(string: urls.map { $0 + "\r\n" }.joined())
        var answer = HandshakeAnswer(status: 300, fields: fields, entity: entity)
        answer.note(urls, "a choice")
        return answer
    }

    /// 401 with one or more challenges, such as `Basic realm="desk"`; the client may replay on the same socket within
    /// 60 s by default. After three wrong answers the server says 403.
    public static func challenge(_ challenges: String...) -> HandshakeAnswer {
        var fields = HTTPFields()
        fields[values: .wwwAuthenticate] = challenges
        var answer = HandshakeAnswer(status: 401, fields: fields)
        answer.note(challenges, "a challenge")
        return answer
    }

    /// A refusal with any status.
    public static func refuse(
        _ status: Int,
        _ entity: String? = nil,
        fields: HTTPFields = HTTPFields()
    ) -> HandshakeAnswer {
        HandshakeAnswer(status: status, fields: fields, entity: entity.map { ByteBuffer(string: $0) })
    }

    private mutating func note(_ texts: [String], _ what: String) {
        for text in texts where self.fault == nil { self.fault = AnswerFault.of(text, what) }
    }

    var completes: Bool { StatusAction.action(forStatus: self.status) == .complete }
}
