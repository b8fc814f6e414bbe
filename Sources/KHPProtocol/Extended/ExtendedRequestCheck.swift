// Checks that an extended request fits the opening request before it (D8, D14, threats E4, E6, E8).
// Fields without a meaning here are ignored (D9).

import NIOCore

struct ExtendedRequestCheck {
    let opening: OpeningRequest
    /// Names of the extensions that the opening negotiated.
    let negotiatedExtensions: [String]
    /// The part of the Kaazing legacy exchange that is spoken (D7).
    let legacy: KaazingLegacy
    /// Of an absolute URI that names this very connection (D36).
    let schemes: [String]

    func check(
        _ head: RequestHead,
        _ known: KnownFields,
        body: ByteBuffer,
        round: Int
    ) throws(ExtendedRefusal) -> ExtendedRequest {
        let fields = head.fields
        let (path, query) = head.target == self.opening.path ? (self.opening.path, nil) : try self.resource(of: head)
        // D14. Kaazing's clients repeat the path of the first URL after a balancer sent them elsewhere (D7): the
        // opening's path counts then.
        guard path == self.opening.path || self.legacy != .off else {
            throw .badRequest("The path is not that of the opening request.")
        }
        if known.contains(.host), !self.repeatsHost(fields) {
            guard let host = fields.first(.host), let authority = try? Authority(host),
                authority.isSame(as: self.opening.authority)
            else {
                throw .badRequest("The Host field names another authority than the opening request's.")
            }
        }
        var offer = Subprotocols.Offer(names: self.opening.subprotocols)
        guard !known.contains(.subprotocol) || offer.read(fields) else {
            throw .badRequest("Sec-WebSocket-Protocol is not a list of tokens.")
        }
        return ExtendedRequest(
            opening: self.opening,
            head: head,
            path: self.opening.path,
            query: query,
            subprotocols: offer.names,
            extensionOffers: try self.extensionOffers(in: fields, known),
            body: body,
            round: round
        )
    }

    /// `true` where Host is written as in the opening request.
    private func repeatsHost(_ fields: HeadFields) -> Bool {
        fields.withValues { own in
            self.opening.head.fields.withValues { other in
                guard let host = own[.host], let opened = other[.host] else { return false }
                return Bytes.equal(opened, host)
            }
        }
    }

    /// Path and query of the target; the whole URI where scheme and authority are the connection's own (D36).
    private func resource(of head: RequestHead) throws(ExtendedRefusal) -> (path: String, query: String?) {
        do throws(Refusal) {
            return try RequestTarget.resource(head.target, at: self.opening.authority, schemes: self.schemes)
        } catch {
            throw .badRequest(error.explanation)
        }
    }

    private func extensionOffers(
        in fields: HeadFields,
        _ known: KnownFields
    ) throws(ExtendedRefusal) -> [ExtensionOffer] {
        var values: [String] = []
        if known.contains(.extensions) {
            values = fields.all(.extensions)
        } else if self.legacy != .off {
            values = LegacyFields.extensions.lazy.map { fields.all($0) }.first { !$0.isEmpty } ?? []
        }
        guard !values.isEmpty else { return [] }
        let offers: [ExtensionOffer]
        do throws(GrammarError) {
            offers = try parseExtensions(values)
        } catch {
            throw .badRequest("\(error.message).")
        }
        // The same name with other parameters is an alternative (RFC 6455 section 9.1); the same once more is not.
        var asked = Set<ExtensionOffer>()
        for offer in offers where self.negotiatedExtensions.contains(offer.name) || !asked.insert(offer).inserted {
            // KHP-E8; D6 names the code.
            throw ExtendedRefusal(
                400,
                "The extension \(offer.name) is asked for although it was negotiated or asked for already.",
                close: .internalError
            )
        }
        return offers
    }
}
