// A valid WebSocket opening request, as everyone behind the parser sees it.

package import HTTPTypes

/// A class because it goes with the connection through every stage, and a copy of all its parts would cost more than
/// reading the extended request; nothing in it ever changes.
package final class OpeningRequest: Sendable {
    private let request: CheckedRequest
    /// The authority in the Host field.
    package let authority: Authority
    /// How it proves that it speaks WebSocket; which dialect that means is the endpoint's to say (D1).
    package let opening: Dialect.Opening
    /// The numbers in its two keys, in dialects that have them.
    package let numbers: Numbers?
    /// 13, or 8 which differs in nothing but that Origin has a second name; 0 in dialects before.
    package let version: Int
    /// The application's subprotocols in the client's order; x-kaazing-handshake is not among them.
    package let subprotocols: [String]
    /// `true` when x-kaazing-handshake was offered, at whatever place (KHP-O2).
    package let offersExtendedHandshake: Bool
    package let extensionOffers: [ExtensionOffer]
    /// `true` when the answer writes `Upgrade: WebSocket` as the request did (D10).
    package let spellsUpgradeOldStyle: Bool

    init(
        _ request: CheckedRequest,
        authority: Authority,
        opening: Dialect.Opening = .acceptKey,
        numbers: Numbers? = nil,
        version: Int,
        spellsUpgradeOldStyle: Bool,
        subprotocols: [String],
        offersExtendedHandshake: Bool,
        extensionOffers: [ExtensionOffer]
    ) {
        self.request = request
        self.authority = authority
        self.opening = opening
        self.numbers = numbers
        self.version = version
        self.subprotocols = subprotocols
        self.offersExtendedHandshake = offersExtendedHandshake
        self.extensionOffers = extensionOffers
        self.spellsUpgradeOldStyle = spellsUpgradeOldStyle
    }

    /// An ordinary request in the form of one that opens a WebSocket, for those who look for a proof in either; `nil` for one
    /// that names no host.
    package static func ordinary(_ request: CheckedRequest) -> OpeningRequest? {
        guard let authority = request.authority else { return nil }
        return OpeningRequest(
            request,
            authority: authority,
            version: 0,
            spellsUpgradeOldStyle: false,
            subprotocols: [],
            offersExtendedHandshake: false,
            extensionOffers: []
        )
    }

    package var head: RequestHead { self.request.head }
    /// Of the target, as sent; it begins with a slash.
    package var path: String { self.request.path }
    /// Of the target without the question mark; `nil` where there is none.
    package var query: String? { self.request.query }

    /// Sec-WebSocket-Key: base64 of sixteen bytes. Empty in dialects without one.
    package var key: String { self.opening == .acceptKey ? self.head.fields.first(.key) ?? "" : "" }

    /// The Sec-WebSocket-Accept that answers the key.
    package var acceptValue: AcceptValue {
        self.head.fields.withFirst(.key) { AcceptKey.accept(for: $0) } ?? AcceptValue()
    }

    /// Two keys' numbers (W10-6).
    package struct Numbers: Sendable, Equatable {
        package let first: UInt32
        package let second: UInt32
    }

    /// The dialect that an endpoint takes it for: the first of its list that opens like this (D1).
    package func dialect(among served: [Dialect]) -> Dialect? { served.first { $0.opening == self.opening } }

    package var method: String { self.head.method }

    /// All fields. Made on each call: keep the result.
    package var fields: HTTPFields { self.head.fields.httpFields }

    /// Where the request comes from, if a browser or its like sent it.
    package var origin: String? {
        // Version 8 has two names for it; where both are there, both say the same.
        self.head.fields.first(.origin) ?? (self.version == 8 ? self.head.fields.first("Sec-WebSocket-Origin") : nil)
    }

    /// A secret: never to be shown.
    package var authorization: String? { self.head.fields.first(.authorization) }
}

extension OpeningRequest: CustomReflectable {
    /// The head, credentials hidden: keeps `dump` from showing the query.
    package var customMirror: Mirror { Mirror(self, children: ["head": self.head.description]) }
}
