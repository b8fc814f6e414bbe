public import KHPProtocol

/// The outcome of looking for a proof in a request: see ``AuthenticationScheme/request(verify:)``.
public enum RequestProof: Sendable, Hashable {
    /// The request has none of this kind; other schemes may have one.
    case absent
    /// There is one, and it proves nothing: counted as a wrong answer.
    case wrong
    /// The request is this principal's.
    case right(Principal)
}
