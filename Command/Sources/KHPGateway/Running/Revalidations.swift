// Sessions whose clients are asked to prove anew who they are, found again by a path that only they were told. The proof comes
// by HTTP on any connection to a listener, and is judged by the service as it is in force then: keys may have changed since the
// session began.

import HTTPTypes
import KHPServer
import NIOCore
import Synchronization

final class Revalidations: Sendable {
    /// The outcome of asking a client, as metrics and logs name it.
    enum Outcome: String, Sendable, CaseIterable {
        case asked
        /// The client has not agreed on an extension to be asked by.
        case notAgreed = "not-agreed"
        case renewed
        /// The proof was another's, or the service does not let its owner in any more.
        case refused
        /// The old proof ended meanwhile.
        case unanswered
    }

    /// A session that waits for its client.
    struct Asked: Sendable {
        var facts: SessionFacts
        /// The principal of a proof that is right, `nil` for one that ends the session.
        var settle: @Sendable (Principal?) -> Void
    }

    struct Key: Hashable, Sendable {
        var service: String
        var outcome: Outcome
    }

    private struct State {
        var asked: [String: Asked] = [:]
        var services: [String: RunningService] = [:]
        var counts: [Key: Int] = [:]
    }

    private let state = Mutex(State())
    private let report: @Sendable (SessionFacts, Outcome) -> Void

    /// - Parameter report: the log.
    init(report: @escaping @Sendable (SessionFacts, Outcome) -> Void = { _, _ in }) {
        self.report = report
    }

    var counts: [Key: Int] { self.state.withLock { $0.counts } }

    /// These services are in force.
    func use(_ services: [String: RunningService]) { self.state.withLock { $0.services = services } }

    func note(_ outcome: Outcome, _ facts: SessionFacts) {
        self.state.withLock { $0.counts[Key(service: facts.service, outcome: outcome), default: 0] += 1 }
        self.report(facts, outcome)
    }

    // MARK: Names

    /// Between the path of the socket and the name, where deployed gateways have something of the kind.
    private static let mark = "/;a/"

    /// - Returns: a name that nobody can guess.
    func add(_ asked: Asked) -> String {
        let name = SessionFacts.makeID() + SessionFacts.makeID()
        self.state.withLock { $0.asked[name] = asked }
        return name
    }

    @discardableResult
    func remove(_ name: String) -> Asked? { self.state.withLock { $0.asked.removeValue(forKey: name) } }

    /// The path for the client of a socket that was opened at `path`. It has a query, since clients append to it.
    static func path(_ name: String, below path: String) -> String {
        let base = path.hasPrefix("//") || path == "/" ? "" : path
        return "\(base)\(Self.mark)\(name)?.kc=1"
    }

    static func name(in target: String) -> String? {
        let path = target.prefix { $0 != "?" }
        // The path of the socket may have the same mark; a name has no slash.
        guard let slash = path.lastIndex(of: "/"), path[...slash].hasSuffix(Self.mark) else { return nil }
        let name = path[path.index(after: slash)...]
        return name.isEmpty ? nil : String(name)
    }

    // MARK: Answers

    /// Serves the requests of clients that were asked; all others get the server's own response.
    func serve(_ exchange: HTTPExchange) async throws {
        let method = exchange.request.method
        guard method == .get || method == .options,
            let name = Self.name(in: exchange.request.path ?? "")
        else { return }
        let (asked, services) = self.state.withLock { ($0.asked[name], $0.services) }
        guard let facts = asked?.facts, let service = services[facts.service], let door = service.authentication else {
            return
        }
        let page = try Self.page(of: exchange, at: service)
        if method == .options {
            guard let page else { return }
            var response = HTTPResponse(status: .noContent)
            Self.share(&response.headerFields, with: page)
            response.headerFields[.accessControlAllowMethods] = "GET"
            response.headerFields[.accessControlAllowHeaders] = "authorization"
            return try await exchange.respond(response)
        }
        var response: HandshakeResponse
        do {
            let principal = try await exchange.authenticate(by: door)
            try self.judge(principal, name, facts, at: service)
            // The first counts.
            guard let asked = self.remove(name) else { return }
            asked.settle(principal)
            response = .text("The session goes on.\n")
            response.headers[.cacheControl] = "no-store"
        } catch let refusal as HandshakeResponse {
            response = refusal
            Self.share(&response.headers, with: page)
            throw response
        }
        Self.share(&response.headers, with: page)
        try await exchange.respond(response)
    }

    /// - Throws: the response to a proof that does not let the session go on.
    private func judge(
        _ principal: Principal,
        _ name: String,
        _ facts: SessionFacts,
        at service: RunningService
    ) throws {
        let proof = SessionFacts.Proof(principal: principal, address: facts.proof.address)
        let isSame = principal.name == facts.principal && principal.realm == facts.realm
        guard isSame, service.denial(of: proof, as: facts.subprotocol) == nil else {
            self.remove(name)?.settle(nil)
            throw HandshakeResponse.refuse(403, "This proof does not let the session go on.\n")
        }
        if let end = principal.expires, end <= facts.proof.principal?.expires ?? .min {
            throw HandshakeResponse.refuse(403, "This proof ends no later than the one before. Get another.\n")
        }
    }

    // MARK: Pages of other origins

    /// The page that may read the response; `nil` where it is none of another origin. A browser asks for its leave before it
    /// sends a proof, since the page is usually elsewhere than the gateway.
    /// - Throws: the response to a page that the service does not let in.
    private static func page(of exchange: HTTPExchange, at service: RunningService) throws -> String? {
        guard let origin = exchange.request.headerFields[.origin],
            let allowed = service.rules.rules.origins.allowed
        else { return nil }
        guard allowed.contains(where: { $0.allows(origin) }) else {
            throw HandshakeResponse.refuse(403, "Pages of this origin may not use this service.\n")
        }
        return origin
    }

    /// Lets a page read a response, and send credentials for it (the CORS protocol of the Fetch standard).
    private static func share(_ fields: inout HTTPFields, with page: String?) {
        guard let page else { return }
        fields[.accessControlAllowOrigin] = page
        fields[.accessControlAllowCredentials] = "true"
        fields[.vary] = "Origin"
    }
}
