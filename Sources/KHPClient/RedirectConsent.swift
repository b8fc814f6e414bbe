// The caller's consent to redirects: asked once for each, with the addresses that its target has, which are then the
// ones that are dialled.

import KHPProtocol
import NIOCore

struct RedirectConsent {
    typealias Permits = @Sendable (RedirectStep, [SocketAddress]) async -> Bool

    private let permits: Permits?
    /// The redirect that led to the next hop, until it was permitted.
    private var pending: RedirectStep?
    /// The addresses that were permitted, by authority.
    private var permitted: [String: [SocketAddress]] = [:]

    /// - Parameter pending: the redirect of an earlier connect that leads to the first hop: the caller is asked about it
    ///   again, since the name may mean another address by now.
    init(_ permits: Permits?, pending: RedirectStep?) {
        self.permits = permits
        self.pending = pending
    }

    /// A redirect leads to the next hop.
    mutating func follows(_ step: RedirectStep) {
        self.pending = step
    }

    /// The addresses to dial. Those that were permitted stay: a name that meanwhile means another address does not get
    /// past the question (threat F8).
    /// - Parameters:
    ///   - isProxied: true where the addresses are a proxy's, which resolves the name of the server.
    ///   - question: how the caller is asked.
    ///   - resolve: finds the addresses.
    mutating func addresses(
        of url: WebSocketURL,
        isProxied: Bool,
        _ question: CallerQuestion,
        resolve: () async throws -> [SocketAddress]
    ) async throws -> [SocketAddress] {
        guard let permits else { return try await resolve() }
        if isProxied {
            try await self.ask(permits, about: [], question)
            return try await resolve()
        }
        let known = self.permitted[url.authority]
        let addresses = if let known { known } else { try await resolve() }
        try await self.ask(permits, about: addresses, question)
        self.permitted[url.authority] = addresses
        return addresses
    }

    private mutating func ask(
        _ permits: @escaping Permits,
        about addresses: [SocketAddress],
        _ question: CallerQuestion
    ) async throws {
        guard let step = self.pending else { return }
        self.pending = nil
        guard try await question.ask({ await permits(step, addresses) }) else {
            throw WebSocketError(
                .redirectRefused,
                "The redirect to \(step.to.redacted) is not permitted.",
                detail: .notPermitted,
                url: step.from,
                phase: WebSocketError.Phase(step.layer)
            )
        }
    }
}
