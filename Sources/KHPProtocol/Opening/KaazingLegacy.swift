// The Kaazing legacy exchange as an opening asks for it (D7): a parameter of the query, and old names of fields.

/// The part of the Kaazing legacy exchange that a connection speaks (D7).
package enum KaazingLegacy: Sendable, Equatable {
    /// No part: the handshake as specified.
    case off
    /// `.kv=10.05`: each extended response is followed by an empty message.
    case terminator
    /// `.kl=Y`: balancer messages as well.
    case full

    /// The parameter of the opening's query that asks for all of it.
    package static let parameter = ".kl=Y"
    private static let terminatorParameter = ".kv=10.05"

    /// Reads the query of an opening request, byte for byte as deployed clients write it.
    package init(query: String?) {
        self = .off
        guard let query, query.utf8.contains(UInt8(ascii: ".")) else { return }
        for parameter in query.split(separator: "&") {
            if parameter == Self.parameter {
                self = .full
                return
            }
            if parameter == Self.terminatorParameter { self = .terminator }
        }
    }

    /// `true` when an empty message ends each extended response.
    package var hasTerminator: Bool { self != .off }
    /// `true` when balancer messages are sent and waited for.
    package var hasBalancer: Bool { self == .full }
}

/// The names that drafts and old Kaazing clients give to fields of today. A connection of the Kaazing legacy exchange
/// reads them where the field of today is missing.
enum LegacyFields {
    static let subprotocol: [String] = ["WebSocket-Protocol", "X-WebSocket-Protocol"]
    static let extensions: [String] = ["X-WebSocket-Extensions", "WebSocket-Extensions"]
}
