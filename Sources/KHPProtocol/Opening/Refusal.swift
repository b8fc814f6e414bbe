// A request that is refused, and the answer to it.

package import HTTPTypes
package import NIOCore

/// A request that is refused before any endpoint sees it, or by an endpoint's rules.
package struct Refusal: Error, Sendable {
    /// The response to the peer.
    package var response: HandshakeResponse
    /// One sentence for the peer and the log; repeats nothing of the peer's that could be a credential.
    package var explanation: String
    /// The method to answer; content is left out for HEAD.
    package var method: String

    package init(_ status: Int, _ explanation: String, fields: HTTPFields = [:], method: String = "GET") {
        let phrase = StatusReason.phrase(for: status)
        let body = Explanation.entity(for: status, phrase: phrase, sentence: explanation, fields: fields)
        self.response = HandshakeResponse(status: status, headers: fields, body: body)
        self.explanation = explanation
        self.method = method
    }

    package var status: Int { self.response.status }

    /// Appends the response; the connection is to be closed behind it (threat A4).
    package func write(into buffer: inout ByteBuffer, date: String) {
        self.response.write(into: &buffer, layer: .opening, date: date, method: self.method)
    }

    static func badRequest(_ explanation: String) -> Refusal {
        Refusal(400, explanation)
    }

    /// No endpoint at this path.
    package static func notFound(method: String = "GET") -> Refusal {
        Refusal(404, "There is no endpoint at this path.", method: method)
    }

    /// A method other than GET in a WebSocket request (RFC 6455 section 4.2.1).
    package static func methodNotAllowed(_ method: String) -> Refusal {
        Refusal(405, "A WebSocket is opened with GET.", fields: [.allow: "GET"], method: method)
    }

    /// The endpoint speaks WebSocket only, in the versions that it names (RFC 6455 section 4.4).
    package static func upgradeRequired(_ explanation: String) -> Refusal {
        Refusal(426, explanation, fields: [.secWebSocketVersion: "13, 8", .upgrade: "websocket"])
    }

    /// The request is of a dialect that the endpoint does not speak (D1, threat D1).
    package static func dialectNotServed(_ served: [Dialect]) -> Refusal {
        served.contains(.rfc6455)
            ? .upgradeRequired("The request has no Sec-WebSocket-Version.")
            : .badRequest("This endpoint speaks \(served.map(\.name).joined(separator: ", ")) only.")
    }

    /// None of the subprotocols that the client asks for is spoken here, in a dialect that ends there (D40).
    package static func noSubprotocol() -> Refusal {
        .badRequest("The endpoint speaks none of the subprotocols that the request names.")
    }

    /// An application's answer, which the log tells more about.
    package static func faultyAnswer() -> Refusal {
        Refusal(500, "The endpoint gave an answer that cannot be sent.")
    }

    /// The endpoint does not serve this origin (D23, threat A13).
    package static func originRefused() -> Refusal {
        Refusal(403, "The origin is not one that this endpoint serves.")
    }

    /// The Host field names a host that is not served here (threat A14).
    package static func misdirected(method: String = "GET") -> Refusal {
        Refusal(421, "The Host field names no host of this server.", method: method)
    }

    /// 503 where the application has given no response in its time.
    package static var lateAnswer: Refusal { Refusal(503, "The endpoint did not answer in time.") }

    /// 503 where there are as many connections as there may be.
    package static func tooManyConnections() -> Refusal {
        Refusal(503, "There are too many connections.", fields: [.retryAfter: "1"])
    }

    /// 503 where one address has as many connections in a handshake as it may.
    package static func tooManyPending() -> Refusal {
        Refusal(503, "There are too many connections from this address.", fields: [.retryAfter: "1"])
    }
}
