// Questions that a server's decisions depend on and cannot answer themselves: are these credentials right, and what does
// the application say?

package import NIOCore

/// The credentials of a request with the request that brought them: Digest signs its method and target.
package struct PresentedCredentials: Sendable {
    /// The value of Authorization. A secret: never to be shown.
    package var value: String
    package var method: String
    package var target: String
    package var body: ByteBuffer

    package init(value: String, head: RequestHead, body: ByteBuffer = ByteBuffer()) {
        self.value = value
        self.method = head.method
        self.target = head.target
        self.body = body
    }
}

/// One request that waits for an answer.
package struct ServerQuestion: Sendable {
    package enum Subject: Sendable {
        case opening(OpeningRequest)
        case extended(ExtendedRequest)
        indirect case preflight(CookiePreflight)
    }

    package let subject: Subject
    package let match: EndpointMatch
    /// `true` where the client has to prove who it is first.
    package let asksForCredentials: Bool
    /// `true` where the application answers, once the client is admitted.
    package let asksApplication: Bool
    /// Counts the questions of one connection, from 1.
    package let attempt: Int
    /// The client, where it has proved before who it is.
    package let principal: Principal?

    package var endpoint: EndpointConfiguration { self.match.endpoint }

    /// The credentials that the request brings.
    package var presented: PresentedCredentials? {
        switch self.subject {
        case .opening(let request):
            request.authorization.map { PresentedCredentials(value: $0, head: request.head) }
        case .extended(let request):
            request.authorized.map { PresentedCredentials(value: $0.value, head: $0.head, body: $0.body) }
        case .preflight(let preflight):
            preflight.credentials
        }
    }

    /// `true` where the answer to the request can confirm Digest credentials. Those of the opening that count inside are
    /// confirmed nowhere, as the answer to them has gone out.
    package var confirms: Bool {
        switch self.subject {
        case .opening: true
        case .extended(let request): request.head.fields.first(.authorization) != nil
        case .preflight: false
        }
    }

    /// The response where the client is admitted and no application is to be asked.
    package var usualResponse: HandshakeResponse {
        switch self.subject {
        case .opening, .extended: .complete()
        case .preflight(let preflight): preflight.response
        }
    }
}

/// The answer to a ``ServerQuestion``.
package struct ServerReply: Sendable {
    package var response: HandshakeResponse
    /// A client that has been asked for credentials and admitted.
    package var principal: Principal?
    /// The end of its proof, and so of the session.
    package var sessionEnd: NIODeadline?
    /// Proves to a client that has answered a Digest challenge that its key is known here too.
    package var confirmation: DigestConfirmation?

    package init(
        _ response: HandshakeResponse,
        principal: Principal? = nil,
        sessionEnd: NIODeadline? = nil,
        confirmation: DigestConfirmation? = nil
    ) {
        self.response = response
        self.principal = principal
        self.sessionEnd = sessionEnd
        self.confirmation = confirmation
    }
}
