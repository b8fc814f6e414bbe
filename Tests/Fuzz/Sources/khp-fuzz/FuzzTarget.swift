// A fuzz target, and the list of all. A crash is one way to fail; each target names the others.

/// Something that takes a peer's bytes.
struct FuzzTarget: Sendable {
    let name: String
    /// Inputs to begin with.
    let seeds: @Sendable (Seeds) throws -> [[UInt8]]
    /// Takes one input; ends the program where something does not hold.
    let run: @Sendable (FuzzInput) -> Void

    static let all: [FuzzTarget] = [
        .requestHeads, .responseHeads, .urls, .challenges, .extensions, .cookies, .choices,
        .frames, .oldFrames, .inflate, .controlMessages,
        .extendedRequests, .extendedResponses, .tunnels, .identities, .routes, .forwarding, .proxyHeaders,
        .logins, .nonces, .proofs, .redaction, .users, .scripts, .handlers, .proxyRules,
        .ordinaryRequests, .ordinaryResponses, .sharedConnections,
        .attempts, .decisions, .clients, .servers, .openConnections,
    ]
}

/// Ends the program, so that libFuzzer keeps the input.
func check(_ holds: Bool, _ what: @autoclosure () -> String) {
    if !holds { fatalError(what()) }
}
