// The dialect that a client speaks, and the one that it tries when the server does not. Only listed dialects are tried:
// an attacker on the way can make an opening fail, and so choose the weaker dialect for both sides (threat D9).

struct DialectChoice: Sendable {
    private(set) var current: Dialect
    private var rest: ArraySlice<Dialect>

    init(_ first: Dialect, fallbacks: [Dialect]) {
        self.current = first
        self.rest = fallbacks.filter { $0 != first }[...]
    }

    /// Goes on to the next dialect, if the error can come of a server that does not speak the current one.
    mutating func fallBack(after error: WebSocketError) -> Bool {
        guard Self.mayComeOfDialect(error), let next = self.rest.popFirst() else { return false }
        self.current = next
        return true
    }

    private static func mayComeOfDialect(_ error: WebSocketError) -> Bool {
        guard error.phase == .opening else { return false }
        switch error.code {
        case .openingInvalid, .closedDuringHandshake: return true
        // A server that answers not found, forbidden and the like has understood the request.
        case .openingRefused: return [400, 405, 426, 501, 505].contains(error.response?.status)
        default: return false
        }
    }
}
