// A valid extended request together with the opening request that it continues: what an endpoint decides upon.

package import HTTPTypes
package import NIOCore

/// A class because it is handed from stage to stage and holds much; nothing in it ever changes.
package final class ExtendedRequest: Sendable {
    /// The opening request. Its Origin and Cookie are the ones that count (D14, threat E4).
    package let opening: OpeningRequest
    /// The extended request's own head.
    package let head: RequestHead
    /// The path of both requests (D14).
    package let path: String
    /// The extended request's own query; the opening's is in ``opening``.
    package let query: String?
    /// The application's subprotocols: the opening's, then what this request adds (D8).
    package let subprotocols: [String]
    /// The extensions that this request asks for; the opening negotiated none of them (KHP-E8).
    package let extensionOffers: [ExtensionOffer]
    package let body: ByteBuffer
    /// How many requests came before this one on the connection; above 0 it is the replay after a challenge.
    package let round: Int

    init(
        opening: OpeningRequest,
        head: RequestHead,
        path: String,
        query: String?,
        subprotocols: [String],
        extensionOffers: [ExtensionOffer],
        body: ByteBuffer,
        round: Int
    ) {
        self.opening = opening
        self.head = head
        self.path = path
        self.query = query
        self.subprotocols = subprotocols
        self.extensionOffers = extensionOffers
        self.body = body
        self.round = round
    }

    package var method: String { self.head.method }

    /// This request's own fields. Made on each call: keep the result.
    package var fields: HTTPFields { self.head.fields.httpFields }

    /// The credentials of this request or else, for the first one, of the opening: deployed servers let those count.
    /// A secret: never to be shown.
    package var authorization: String? { self.authorized?.value }

    /// The credentials with the head of the request that brought them: Digest signs its method and target.
    package var authorized: (value: String, head: RequestHead, body: ByteBuffer)? {
        if let value = self.head.fields.first(.authorization) { return (value, self.head, self.body) }
        guard self.round == 0, let value = self.opening.authorization else { return nil }
        return (value, self.opening.head, ByteBuffer())
    }
}

extension ExtendedRequest: CustomReflectable {
    /// The head, credentials hidden: keeps `dump` from showing the query.
    package var customMirror: Mirror { Mirror(self, children: ["head": self.head.description]) }
}
