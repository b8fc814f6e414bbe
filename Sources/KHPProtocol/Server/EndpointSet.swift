// The endpoints of one listener, with the rules that hold for all of them: finds the endpoint of a path.

/// An endpoint that serves a request, with the parameters of the request's path.
package struct EndpointMatch: Sendable {
    package let endpoint: EndpointConfiguration
    package let parameters: PathParameters
}

/// A path without parameters is one dictionary look-up, however many patterns there are.
package final class EndpointSet: Sendable {
    private let literals: [String: EndpointConfiguration]
    /// The same where there are few: comparing them one by one costs less than hashing the path.
    private let fewLiterals: [EndpointConfiguration]
    /// The more exact first.
    private let patterns: [EndpointConfiguration]
    let hosts: HostPolicy

    /// - Throws: ``WebSocketError/Code/invalidArgument`` where two endpoints have one path, or a request could go to either
    ///   of two.
    package init(
        _ endpoints: [EndpointConfiguration],
        hosts: HostPolicy = .any
    ) throws(WebSocketError) {
        var literals: [String: EndpointConfiguration] = [:]
        var patterns: [EndpointConfiguration] = []
        for endpoint in endpoints {
            let path = endpoint.values.path
            guard !endpoint.pattern.isLiteral else {
                guard literals.updateValue(endpoint, forKey: path) == nil else {
                    throw WebSocketError(.invalidArgument, "There are two endpoints at \(path).")
                }
                continue
            }
            for other in patterns where endpoint.pattern.order(to: other.pattern) == EndpointPattern.Order.none {
                throw WebSocketError(
                    .invalidArgument,
                    "A request could go to \(other.values.path) or to \(path); make one of them more exact."
                )
            }
            patterns.append(endpoint)
        }
        self.literals = literals
        self.fewLiterals = literals.count <= 4 ? Array(literals.values) : []
        self.patterns = patterns.sorted { EndpointPattern.sorted($0.pattern, $1.pattern) }
        self.hosts = hosts
    }

    /// The endpoint of a path, as it stands in the request line.
    /// - Throws: 400 for a parameter that is no UTF-8.
    package func match(_ path: String) throws(Refusal) -> EndpointMatch? {
        if let endpoint = self.literal(path) {
            return EndpointMatch(endpoint: endpoint, parameters: PathParameters())
        }
        guard !self.patterns.isEmpty else { return nil }
        let segments = EndpointPattern.segments(of: path)
        for endpoint in self.patterns {
            if let parameters = try endpoint.pattern.match(segments, of: path) {
                return EndpointMatch(endpoint: endpoint, parameters: parameters)
            }
        }
        return nil
    }

    private func literal(_ path: String) -> EndpointConfiguration? {
        if self.fewLiterals.isEmpty { return self.literals[path] }
        return self.fewLiterals.first { $0.values.path == path }
    }

    /// `true` for a request that is to be answered here, well or ill, and `false` for one that is somebody else's behind
    /// the same port: it wants no WebSocket, or none of these endpoints. A proxy's request for permission has the Upgrade
    /// of the page's, which need not be for any of them.
    package func owns(_ head: RequestHead) -> Bool {
        let path = Self.path(of: head)
        if OpeningServer.isWebSocketRequest(head) {
            // A parameter that is no UTF-8 has an endpoint, which refuses it.
            do { return try self.match(path) != nil } catch { return true }
        }
        guard path.hasSuffix(CookiePreflight.suffix), let request = try? CheckedRequest(head),
            let preflight = CookiePreflight(request), let endpoint = self.endpoint(at: preflight.path)
        else { return false }
        return endpoint.values.plan.kaazingLegacy
    }

    /// `true` for a request that opens no WebSocket, asks for no cookies, and names a host that is served.
    package func leaves(_ request: CheckedRequest) -> Bool {
        guard !OpeningServer.isWebSocketRequest(request.head), self.hosts.allows(request.authority) else {
            return false
        }
        guard let preflight = CookiePreflight(request), let endpoint = self.endpoint(at: preflight.path) else {
            return true
        }
        return !endpoint.values.plan.kaazingLegacy
    }

    /// The server's own answer to a request that opens no WebSocket.
    package func refusal(of request: CheckedRequest) -> Refusal {
        let method = request.head.method
        if self.endpoint(at: request.path) == nil { return .notFound(method: method) }
        return method == "GET" ? .upgradeRequired("This is a WebSocket endpoint.") : .methodNotAllowed(method)
    }

    /// Of any target, a valid one or not.
    private static func path(of head: RequestHead) -> String {
        let target = head.originForm
        return splitTarget(target.utf8.first == UInt8(ascii: "?") ? "/" + target : Substring(target)).path
    }

    /// The endpoint of a path, `nil` also where a parameter is no UTF-8.
    func endpoint(at path: String) -> EndpointConfiguration? {
        guard let match = try? self.match(path) else { return nil }
        return match.endpoint
    }
}
