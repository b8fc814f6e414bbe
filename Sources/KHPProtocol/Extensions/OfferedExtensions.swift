// The extensions of both handshakes: offers and answers are put together here. The extensions themselves judge
// parameters.
//
// - our own bug or the API user's: names that are no tokens, two extensions of one name (thrown by `init`);
// - the peer's violation: an answer that was not asked for, twice the same, unacceptable parameters (`Mismatch`);
// - to be ignored: offers of names that a server does not know.

/// A client's extensions across both handshakes: the offers of each, and the check of the answers.
package struct OfferedExtensions: Sendable {
    /// An answer that does not fit the offers (KHP-E11, KHP-E14, threat A10). The message names the fault, to go behind
    /// a colon.
    package struct Mismatch: Error, Equatable {
        package let message: String
    }

    /// The extensions in order of preference.
    package let extensions: [any WebSocketExtension]

    /// The offers of each extension, found to be tokens.
    private let asked: [[ExtensionOffer]]

    /// The extensions negotiated so far, in either handshake.
    package private(set) var negotiated: [NegotiatedExtension] = []

    package init() {
        self.extensions = []
        self.asked = []
    }

    package init(_ extensions: [any WebSocketExtension]) throws(WebSocketError) {
        var names = Set<String>()
        var asked: [[ExtensionOffer]] = []
        for item in extensions {
            let offers = item.offers().map { ExtensionOffer(name: item.name, parameters: $0) }
            for offer in offers { try offer.validate() }
            asked.append(offers)
            guard names.insert(item.name).inserted else {
                throw WebSocketError(.invalidArgument, "The extension \(item.name) is configured twice.")
            }
        }
        self.extensions = extensions
        self.asked = asked
    }

    /// The offers of one handshake: everything that may be negotiated there and is not negotiated yet, in order of
    /// preference, each with its alternatives (KHP-E5).
    package func offers(in layer: HandshakeLayer) -> [ExtensionOffer] {
        guard !self.extensions.isEmpty else { return [] }
        return zip(self.extensions, self.asked).flatMap { item, offers in
            item.layers.contains(layer) && !self.isNegotiated(item.name) ? offers : []
        }
    }

    /// Takes the server's answer in one handshake.
    package mutating func take(_ answers: [ExtensionOffer], layer: HandshakeLayer) throws(Mismatch) {
        for answer in answers {
            guard
                let index = self.extensions.firstIndex(where: { $0.name == answer.name && $0.layers.contains(layer) }),
                !self.asked[index].isEmpty
            else {
                throw Mismatch(message: "it selected the extension \(answer.name), which was not requested")
            }
            guard !self.isNegotiated(answer.name) else {
                throw Mismatch(message: "it selected the extension \(answer.name) a second time")
            }
            let asked = self.extensions[index]
            guard asked.reservedBits.isDisjoint(with: self.negotiated.reservedBits(in: self.extensions)) else {
                throw Mismatch(message: "it selected \(answer.name) beside another extension of the same reserved bit")
            }
            guard !answer.parameters.hasDuplicates, asked.judge(answer.parameters) else {
                throw Mismatch(message: "it selected \(answer), whose parameters are not acceptable")
            }
            self.negotiated.append(NegotiatedExtension(name: answer.name, parameters: answer.parameters, layer: layer))
        }
    }

    private func isNegotiated(_ name: String) -> Bool {
        self.negotiated.contains { $0.name == name }
    }

    /// A server's refusal of the handshake, because of an offer or of its own extension's answer. The sentence has the
    /// reason.
    package struct Refused: Error, Equatable {
        package var status = 400
        package let sentence: String
    }

    /// A server's choice: the first acceptable offer of each extension that it supports, in the client's order, those
    /// that claim reserved bits behind the others: the order of the answer is that of operations (RFC 6455 section
    /// 9.1).
    ///
    /// Several offers of one name are alternatives in order of preference. Of two that claim the same reserved bit the
    /// second is declined.
    ///
    /// - Parameters:
    ///   - layer: the handshake that this is.
    ///   - known: the extensions that the opening negotiated, where this is the extended one.
    package static func choose(
        from offers: [ExtensionOffer],
        supported: [any WebSocketExtension],
        layer: HandshakeLayer,
        beside known: [NegotiatedExtension] = []
    ) throws(Refused) -> [NegotiatedExtension] {
        guard !offers.isEmpty, !supported.isEmpty else { return [] }
        var plain: [NegotiatedExtension] = []
        var framed: [NegotiatedExtension] = []
        var claimed = known.reservedBits(in: supported)
        for offer in offers where !offer.parameters.hasDuplicates {
            guard !(known + plain + framed).contains(where: { $0.name == offer.name }),
                let item = supported.first(where: { $0.name == offer.name }),
                item.layers.contains(layer), item.reservedBits.isDisjoint(with: claimed)
            else { continue }
            switch item.choose(offer.parameters) {
            case .decline: continue
            case .fail(let sentence): throw Refused(sentence: sentence)
            case .accept(let parameters):
                // A client must be able to read the answer, whatever an extension gives (threat A7).
                guard (try? ExtensionOffer(name: offer.name, parameters: parameters).validate()) != nil else {
                    let sentence = "This server's answer to the extension \(offer.name) is not made of tokens."
                    throw Refused(status: 500, sentence: sentence)
                }
                let agreed = NegotiatedExtension(name: offer.name, parameters: parameters, layer: layer)
                if item.reservedBits.isEmpty { plain.append(agreed) } else { framed.append(agreed) }
                claimed.formUnion(item.reservedBits)
            }
        }
        return plain + framed
    }
}

extension [NegotiatedExtension] {
    /// The reserved bits that these claim.
    package func reservedBits(in extensions: [any WebSocketExtension]) -> ReservedBits {
        reduce(into: []) { bits, item in
            bits.formUnion(extensions.first { $0.name == item.name }?.reservedBits ?? [])
        }
    }
}

extension [any WebSocketExtension] {
    /// The extensions that work with such frames: some need reserved bits, and x-kaazing-idle-timeout keeps its promise
    /// with pings, with those of x-kaazing-ping-pong where frames have none.
    /// - Parameter asked: server: the client's offers.
    func speakable(
        over abilities: FrameCodec.Abilities,
        asked: [ExtensionOffer]? = nil
    ) -> [any WebSocketExtension] {
        guard !abilities.isSuperset(of: [.reservedBits, .pings]) else { return self }
        let pings = self.first { $0 is KaazingPingPong }
        let hasPings = pings.map { known in asked?.contains { $0.name == known.name } ?? true } ?? false
        return self.filter { known in
            (abilities.contains(.reservedBits) || known.reservedBits.isEmpty)
                && (abilities.contains(.pings) || hasPings || !(known is KaazingIdleTimeout))
        }
    }
}
