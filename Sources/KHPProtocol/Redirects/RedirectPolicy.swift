/// Where a redirect may lead. Compared against the URL that the connection was asked for, not the hop before.
///
/// The names and meanings are those of the Kaazing clients, except that a default port equals none. From the third on
/// every policy allows `ws` to become `wss`, and never the other way.
public enum RedirectPolicy: String, Sendable, Hashable, CaseIterable {
    /// Nowhere.
    case never
    /// The same scheme, host and port.
    case sameOrigin = "same-origin"
    /// The same host, whatever the port.
    case sameDomain = "same-domain"
    /// Also hosts with the same parent: `a.example.com` to `b.example.com`.
    case peerDomain = "peer-domain"
    /// Also hosts below: `example.com` to `a.example.com`.
    case subDomain = "sub-domain"
    /// Anywhere (but never from `wss` to `ws`: that needs an option of its own).
    case always

    /// Returns `true` when a connection that was asked for at `original` may go on at `target`.
    public func allows(from original: WebSocketURL, to target: WebSocketURL) -> Bool {
        switch self {
        case .never: return false
        case .always: return true
        case .sameOrigin: return original.isSameOrigin(as: target)
        case .sameDomain, .peerDomain, .subDomain: break
        }
        guard target.isSecure || !original.isSecure else { return false }
        if original.host == target.host { return true }
        // An address has no parent and nothing below it.
        guard !Host.isAddress(original.host), !Host.isAddress(target.host) else { return false }
        switch self {
        case .peerDomain:
            return target.host.hasSuffix(Self.baseDomain(original.host))
                && original.host.hasSuffix(Self.baseDomain(target.host))
        case .subDomain:
            return target.host.hasSuffix("." + original.host)
        default:
            return false
        }
    }

    /// The part of a host that peers have in common: a dot and everything after the first label; a host of one or two
    /// labels itself. The dot that may end a host begins no label.
    private static func baseDomain(_ host: String) -> String {
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.count(where: { !$0.isEmpty }) > 2 else { return host }
        return "." + labels.dropFirst().joined(separator: ".")
    }
}
