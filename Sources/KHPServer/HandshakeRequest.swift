public import HTTPTypes
public import KHPProtocol
public import NIOCore
public import NIOSSL

/// The request that an endpoint's `respond` closure answers, with all that came before it.
public struct HandshakeRequest: Sendable {
    /// The handshake that this request belongs to.
    public let layer: HandshakeLayer
    /// The path of the endpoint; the same in both handshakes.
    public var path: String { self.openingRequest.path }
    /// The query of the opening request, without the question mark.
    public var query: String? { self.openingRequest.query }
    /// The query of the extended request; it may differ from the opening's.
    public var extendedQuery: String? { self.extendedRequest?.query }
    /// The request of the opening handshake. Origin and Cookie count only here.
    public var opening: HTTPRequest { Self.request(self.openingRequest.head) }
    /// The request of the extended handshake; `nil` in the opening.
    public var extended: HTTPRequest? { self.extendedRequest.map { Self.request($0.head) } }
    /// The application's subprotocols that the client asked for in either handshake, in its order.
    public var subprotocols: [String]
    /// The extensions that this request asks for.
    public var extensions: [ExtensionOffer]
    /// The value of the Authorization field, the extended request's first.
    public var authorization: String? {
        guard let extendedRequest else { return self.openingRequest.authorization }
        return extendedRequest.authorization
    }
    /// The user that the client proved to be, where the endpoint has `authentication`.
    public internal(set) var principal: String?
    /// The entity of the extended request, where it has one.
    public var body: ByteBuffer? { self.extendedRequest.flatMap { $0.body.readableBytes > 0 ? $0.body : nil } }
    /// The peer's address, as `host:port`.
    public let peer: String
    /// The certificate that the client proved to hold, where TLS asked for one.
    public let clientCertificate: NIOSSLCertificate?
    /// Counts the requests on this connection that reached this point, from 1: above 1 after a challenge.
    public let attempt: Int

    func with(principal: String?) -> HandshakeRequest {
        var request = self
        request.principal = principal
        return request
    }

    let openingRequest: OpeningRequest
    let extendedRequest: ExtendedRequest?

    static func request(_ head: RequestHead) -> HTTPRequest {
        HTTPRequest(
            method: HTTPRequest.Method(head.method) ?? .get,
            scheme: nil,
            authority: head.fields.first("host"),
            path: head.originForm,
            headerFields: head.fields.httpFields
        )
    }
}
