// Who may agree on what, in which handshake. Composition of offers and answers only; the extensions themselves judge
// parameters.
//
// - our own bug or the API user's: names that are no tokens, two extensions of one name (thrown by `init`);
// - the peer's violation: an answer that was not asked for, twice the same, unacceptable parameters (`Mismatch`);
// - to be ignored: offers of names that a server does not know.

/// A client's extensions across both handshakes: what to ask where, and whether an answer is acceptable.
package struct ExtensionNegotiation: Sendable {
    /// An answer that does not correspond to what was asked (KHP-E11, KHP-E14, A10). The message says what, to go behind a colon.
    package struct Mismatch: Error, Equatable {
        package let message: String
    }

    /// The extensions in order of preference.
    package let extensions: [any WebSocketExtension]

    /// What was agreed on so far, in either handshake.
    package private(set) var negotiated: [NegotiatedExtension] = []

    package init() {
        extensions = []
    }

    package init(_ extensions: [any WebSocketExtension]) throws(WebSocketError) {
        var names = Set<String>()
        for item in extensions {
            try ExtensionOffer(name: item.name, parameters: item.offer()).validate()
            guard names.insert(item.name).inserted else {
                throw WebSocketError(.invalidArgument, "The extension \(item.name) is configured twice.")
            }
        }
        self.extensions = extensions
    }

    /// What to ask for now: everything that is not agreed on yet, in order of preference (KHP-E5).
    package var offers: [ExtensionOffer] {
        guard !extensions.isEmpty else { return [] }
        return extensions.compactMap { item in
            isNegotiated(item.name) ? nil : ExtensionOffer(name: item.name, parameters: item.offer())
        }
    }

    /// Takes the server's answer in one handshake.
    package mutating func take(_ answers: [ExtensionOffer], layer: HandshakeLayer) throws(Mismatch) {
        for answer in answers {
            guard let asked = extensions.first(where: { $0.name == answer.name }) else {
                throw Mismatch(message: "it selected the extension \(answer.name), which was not requested")
            }
            guard !isNegotiated(answer.name) else {
                throw Mismatch(message: "it selected the extension \(answer.name) a second time")
            }
            guard !answer.parameters.hasDuplicates, asked.judge(answer.parameters) else {
                throw Mismatch(message: "it selected \(answer), whose parameters are not acceptable")
            }
            negotiated.append(NegotiatedExtension(name: answer.name, parameters: answer.parameters, layer: layer))
        }
    }

    private func isNegotiated(_ name: String) -> Bool {
        negotiated.contains { $0.name == name }
    }

    /// A server's choice: the first acceptable offer of each extension that it supports, in the client's order.
    ///
    /// Several offers of one name are alternatives in order of preference (RFC 6455 section 9.1).
    package static func choose(
        from offers: [ExtensionOffer],
        supported: [any WebSocketExtension],
        layer: HandshakeLayer
    ) -> [NegotiatedExtension] {
        guard !offers.isEmpty, !supported.isEmpty else { return [] }
        var result: [NegotiatedExtension] = []
        for offer in offers where !offer.parameters.hasDuplicates {
            guard !result.contains(where: { $0.name == offer.name }),
                let item = supported.first(where: { $0.name == offer.name }),
                let parameters = item.accept(offer.parameters)
            else { continue }
            result.append(NegotiatedExtension(name: offer.name, parameters: parameters, layer: layer))
        }
        return result
    }
}
