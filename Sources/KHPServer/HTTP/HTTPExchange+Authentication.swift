// The doors of endpoints for ordinary requests: one realm, one file of users and one bound on guesses for both.

public import KHPProtocol
import Logging
import NIOCore
import NIOSSL

extension HTTPExchange {
    /// Asks the client who it is, as an endpoint with the same authentication does: by its schemes, and with wrong answers
    /// counted against the client's address (``WebSocketServer/Limits/wrongAnswersPerAddress``).
    ///
    /// The content of the request is not looked at, so a client that signs it (auth-int of Digest) proves nothing.
    ///
    /// - Returns: the principal that the request proves.
    /// - Throws: the response for a client that has proved nothing: 401 with the challenges, or 403; 500 for an authentication
    ///   with which no server would start. Where `serveHTTP` lets it pass, it is sent.
    public func authenticate(by authentication: ServerAuthentication) async throws(HandshakeResponse) -> Principal {
        do throws(WebSocketError) {
            try authentication.gate.validate()
        } catch {
            self.logger.error("an exchange's authentication lets nobody in", metadata: ["error": "\(error.message)"])
            throw HandshakeResponse(status: 500)
        }
        let head = self.door.request.head
        let opening = OpeningRequest.ordinary(self.door.request)
        let credentials = (head.fields.first(.authorization)).map { PresentedCredentials(value: $0, head: head) }
        let admission = Admission(authentication.gate, self.door.server, self.client)
        let request = opening.map { self.handshakeRequest($0) }
        switch await admission.decide(credentials, of: request, confirms: false) {
        case .admitted(let admitted):
            // A gate admits no client without a principal.
            guard let principal = admitted.principal else { throw HandshakeResponse(status: 500) }
            return principal
        case .refused(let response):
            throw response
        }
    }

    /// As the verifiers of proofs see it.
    private func handshakeRequest(_ request: OpeningRequest) -> HandshakeRequest {
        HandshakeRequest(
            layer: .opening,
            parameters: PathParameters(),
            principal: nil,
            peer: self.peer,
            client: self.client,
            local: self.local,
            listener: self.listener,
            serverName: nil,
            clientCertificate: self.clientCertificate,
            proxiedCertificateName: self.door.proxiedCertificateName,
            attempt: 1,
            logger: self.logger,
            loop: self.loop,
            openingRequest: request,
            extendedRequest: nil
        )
    }

    /// The way to the server's count of wrong answers. Not looked into when an exchange is printed: from there one comes to
    /// every connection.
    struct Door: Sendable, CustomReflectable {
        let server: ServerState
        let request: CheckedRequest
        /// The common name of the client's certificate, as a proxy has verified it.
        let proxiedCertificateName: String?

        var customMirror: Mirror { Mirror(self, children: []) }
    }
}
