// The responses that servers give, by name: completing, redirecting, challenging, refusing, plain HTTP.

public import HTTPTypes
import NIOCore

extension HandshakeResponse {
    /// 101: opens the socket.
    public static func complete(subprotocol: String? = nil, headers: HTTPFields = HTTPFields()) -> HandshakeResponse {
        var response = HandshakeResponse(status: 101, headers: headers)
        if let subprotocol { response.subprotocol = subprotocol }
        return response
    }

    /// 201: opens the socket; its body says which alternative was established.
    public static func created(
        _ body: String,
        contentType: String = "text/plain; charset=utf-8",
        headers: HTTPFields = HTTPFields()
    ) -> HandshakeResponse {
        var response = HandshakeResponse(status: 201, headers: headers, body: ByteBuffer(string: body))
        response.headers[.contentType] = contentType
        response.check([contentType], "the media type")
        return response
    }

    /// 204: opens the socket.
    public static var noContent: HandshakeResponse { HandshakeResponse(status: 204) }

    /// 205: opens the socket.
    public static var resetContent: HandshakeResponse { HandshakeResponse(status: 205) }

    /// 202 now, and another response once `next` returns. Three in a row are possible, a fourth becomes a 503; the
    /// client waits a bounded time, 30 s in all by default. The task of `next` is cancelled when the connection ends
    /// first. Errors that `next` throws are answered as those of `respond`.
    public static func processing(
        then next: @escaping @Sendable () async throws -> HandshakeResponse
    ) -> HandshakeResponse {
        var response = HandshakeResponse(status: 202)
        response.next = next
        return response
    }

    /// A redirect to an absolute or relative URL.
    ///
    /// - Parameters:
    ///   - url: for Location; ws, wss, http or https where it has a scheme.
    ///   - status: 301, 302, 303 or 307; clients follow 307 after GET only.
    public static func redirect(to url: String, status: Int = 302) -> HandshakeResponse {
        var response = HandshakeResponse(status: status, headers: [.location: url])
        response.check([url], "the URL")
        return response
    }

    /// 300: alternatives in order of preference, as Link headers and as a list in the body.
    public static func choices(_ urls: [String]) -> HandshakeResponse {
        var headers: HTTPFields = [.contentType: "text/uri-list"]
        if let first = urls.first { headers[.location] = first }
        if let link = HTTPField.Name("Link") {
            headers[values: link] = urls.map { "<\($0)>; rel=alternate" }
        }
        let body = ByteBuffer(string: urls.map { $0 + "\r\n" }.joined())
        var response = HandshakeResponse(status: 300, headers: headers, body: body)
        response.check(urls, "a choice")
        return response
    }

    /// 401 with one or more challenges, such as `Basic realm="desk"`. The client may replay its request on the same
    /// socket, within 60 s by default. The server's `Limits.wrongAnswers` bounds how often.
    public static func challenge(_ challenges: String...) -> HandshakeResponse {
        var response = HandshakeResponse(status: 401)
        response.headers[values: .wwwAuthenticate] = challenges
        response.check(challenges, "a challenge")
        return response
    }

    /// A refusal with any status. Without a `body` it gets a short readable one.
    public static func refuse(
        _ status: Int,
        _ body: String? = nil,
        headers: HTTPFields = HTTPFields()
    ) -> HandshakeResponse {
        HandshakeResponse(status: status, headers: headers, body: body.map { ByteBuffer(string: $0) })
    }

    /// A plain-text response to an ordinary HTTP request.
    public static func text(
        _ text: String,
        status: Int = 200,
        contentType: String = "text/plain; charset=utf-8"
    ) -> HandshakeResponse {
        HandshakeResponse(status: status, headers: [.contentType: contentType], body: ByteBuffer(string: text))
    }

    /// The response to a request whose application has thrown: one that was thrown itself, as long as it opens no
    /// WebSocket, otherwise a 500 that tells nothing of the error.
    package init(thrown error: any Error) {
        guard let response = error as? HandshakeResponse, !response.completes, response.next == nil else {
            self.init(status: 500)
            return
        }
        self = response
    }

    /// Tells if the WebSocket opens with this response.
    package var completes: Bool { StatusAction.action(forStatus: self.status) == .complete }

    private mutating func check(_ texts: [String], _ name: String) {
        for text in texts where self.fault == nil {
            if let fault = AnswerFault.of(text, name) { self.fault = fault }
        }
    }
}
