// The answers of the admin address. Programs read JSON, Prometheus its own format, people the page at `/`.

import HTTPTypes
import KHPServer
import NIOCore

struct AdminRoutes: Sendable {
    let gateway: Gateway
    let access: AdminAccess
    /// Reads the configuration anew and takes it, as SIGHUP does.
    let reload: @Sendable () async -> ReloadOutcome

    /// The most bytes of a request's body.
    private static let longestBody = 65_536

    /// - Throws: ``HTTPExchangeError`` for a body that is too long, or a client that has gone.
    func serve(_ exchange: HTTPExchange) async throws {
        // The body of a request that is not authorized is not read.
        if let refusal = self.access.refusal(of: exchange.request) { return try await exchange.respond(refusal) }
        let body = try await exchange.body.collect(upTo: Self.longestBody)
        try await exchange.respond(await self.answer(exchange.request, body: body))
    }

    func answer(_ http: HTTPRequest, body: ByteBuffer = ByteBuffer()) async -> HandshakeResponse {
        if let refusal = self.access.refusal(of: http) { return refusal }
        let request = AdminRequest(http, body: body)
        let isReading = request.method == .get || request.method == .head
        if let fault = Self.parameters(of: request).flatMap({ request.fault($0) }) { return .wrong(fault) }
        switch (isReading ? .get : request.method, request.path.first ?? "", request.path.count) {
        case (.get, "", 0): return .page(StatusPage.text)
        case (.get, "healthz", 1): return await self.health()
        case (.get, "readyz", 1): return await self.readiness()
        case (.get, "metrics", 1): return await self.metrics(.init(accept: http.headerFields[.accept]))
        case (.get, "load", 1): return await self.load()
        case (.get, "version", 1): return self.version()
        case (.get, "config", 1): return await self.configuration()
        case (.get, "services", 1...2): return await self.services(request)
        case (.get, "sessions", 1): return await self.sessions(request)
        case (.get, "sessions", 2): return await self.session(request.path[1])
        case (.delete, "sessions", 2): return await self.close(request) { $0.id == request.path[1] }
        case (.post, "sessions", 2) where request.path[1] == "close": return await self.closeSome(request)
        case (.post, "drain", 1): return await self.drain(request)
        case (.delete, "drain", 1): return await self.undrain()
        case (.post, "reload", 1): return await self.reloaded()
        case (.post, "pools", 4) where request.path[2] == "backends": return await self.override(request)
        case (_, "", 0), (_, "healthz", 1), (_, "readyz", 1), (_, "metrics", 1), (_, "load", 1), (_, "version", 1),
            (_, "config", 1), (_, "services", 1...2), (_, "sessions", 1...2), (_, "drain", 1), (_, "reload", 1),
            (_, "pools", 4):
            return .json(.object([("error", "the method is not for this path")]), status: 405)
        default:
            return .json(.object([("error", "there is no such path")]), status: 404)
        }
    }

    /// The answers of the address for balancers: nothing there changes anything, or names anybody.
    func answerProbe(_ http: HTTPRequest) async -> HandshakeResponse {
        guard http.headerFields[.origin] == nil else { return .refuse(403, "This address answers no pages.\n") }
        let request = AdminRequest(http)
        let isKnown = request.path.count == 1 && ["healthz", "readyz", "load"].contains(request.path[0])
        guard isKnown else { return .json(.object([("error", "there is no such path")]), status: 404) }
        guard request.method == .get || request.method == .head else {
            return .json(.object([("error", "the method is not for this path")]), status: 405)
        }
        switch request.path[0] {
        case "healthz": return await self.health()
        case "readyz": return await self.readiness()
        default: return await self.load()
        }
    }

    /// The names that a query, or an object in its place, may have; `nil` for what probes and pages ask, where a query
    /// chooses nothing.
    private static func parameters(of request: AdminRequest) -> [String]? {
        let filter = SessionFilter.parameters
        let closing = ["code", "reason", "over"]
        switch (request.method, request.path.first ?? "", request.path.count) {
        case (.get, "sessions", 1): return filter + ["limit", "after"]
        case (.post, "sessions", 2): return filter + ["all"] + closing
        case (.delete, "sessions", 2): return closing
        case (.post, "drain", 1): return ["over"]
        case (.post, "pools", _): return ["action"]
        case (.get, _, _), (.head, _, _), (.options, _, _): return nil
        default: return []
        }
    }

    // MARK: Health

    private func health() async -> HandshakeResponse {
        let stalled = await self.gateway.stalledLoops()
        return .json(
            .object([("ok", .bool(stalled.isEmpty)), ("stalled", .array(stalled.map { .integer($0) }))]),
            status: stalled.isEmpty ? 200 : 503
        )
    }

    private func readiness() async -> HandshakeResponse {
        let reasons = await self.gateway.unreadiness()
        return .json(
            .object([("ready", .bool(reasons.isEmpty)), ("reasons", .array(reasons.map { .string($0) }))]),
            status: reasons.isEmpty ? 200 : 503
        )
    }

    private func load() async -> HandshakeResponse {
        let status = await self.gateway.status()
        return .json(
            .object([
                ("sessions", .integer(status.sessions)), ("capacity", .integer(status.capacity)),
                ("draining", .bool(status.phase != .serving)),
                // A balancer knows itself by it.
                ("instance", .string(await self.gateway.materials.configuration.instance)),
            ])
        )
    }

    private func metrics(_ format: MetricsText.Format) async -> HandshakeResponse {
        .text(await GatewayMetrics(self.gateway, as: format).text, contentType: format.contentType)
    }

    private func version() -> HandshakeResponse {
        .json(.object([("version", .string(Release.version)), ("started", .string("\(self.gateway.started)"))]))
    }

    private func configuration() async -> HandshakeResponse {
        let materials = await self.gateway.materials
        let loaded = await self.gateway.lastReload.loaded
        return .json(
            .object([
                ("sha256", .string(materials.hash)), ("loaded", .string("\(loaded)")),
                ("configuration", .string(materials.effective)),
            ])
        )
    }

    // MARK: Services

    private func services(_ request: AdminRequest) async -> HandshakeResponse {
        let status = await self.gateway.status()
        if request.path.count == 1 { return .json(status.json) }
        guard let service = status.services.first(where: { $0.rules.name == request.path[1] }) else {
            return .json(.object([("error", "there is no such service")]), status: 404)
        }
        return .json(service.json(in: status))
    }

    private func override(_ request: AdminRequest) async -> HandshakeResponse {
        let words: [String: BackendHealth.Override?] = [
            "drain": .drain, "disable": .disable, "enable": .enable, "auto": nil,
        ]
        guard let override = words[request.query["action"] ?? ""] else {
            return .wrong("action is drain, disable, enable or auto")
        }
        let (pool, name) = (request.path[1], request.path[3])
        let found = await self.gateway.backends(of: pool, called: name)
        guard found.count < 2 else { return .wrong("\(name.shown) may be \(found.joined(separator: " and "))") }
        guard let backend = found.first, await self.gateway.override(override, pool: pool, backend: backend) else {
            return .json(.object([("error", "there is no such backend")]), status: 404)
        }
        return .json(.object([("override", .optional(override?.rawValue))]))
    }

    // MARK: Sessions

    private func sessions(_ request: AdminRequest) async -> HandshakeResponse {
        let filter = SessionFilter(request.query)
        guard let limit = request.number("limit", 1...1000, usual: 100) else {
            return .wrong("limit is a number from 1 to 1000")
        }
        let after = request.query["after"] ?? ""
        let all = await self.gateway.sessions.collect { sessions in
            let now = NIODeadline.now()
            return sessions.sessions.values
                .filter { $0.facts.id > after && filter.matches($0.facts) }
                .map { SessionView($0, now: now) }
        }
        let sorted = all.joined().sorted { $0.facts.id < $1.facts.id }
        let shown = sorted.prefix(limit)
        return .json(
            .object([
                ("sessions", .array(shown.map(\.json))), ("matching", .integer(sorted.count)),
                ("next", sorted.count > limit ? .optional(shown.last?.facts.id) : .null),
            ])
        )
    }

    private func session(_ id: String) async -> HandshakeResponse {
        let found = await self.gateway.sessions.collect { sessions in
            sessions.sessions[id].map { SessionView($0, now: .now()) }
        }
        guard let session = found.compactMap({ $0 }).first else {
            return .json(.object([("error", "there is no such session")]), status: 404)
        }
        return .json(session.json)
    }

    private func closeSome(_ request: AdminRequest) async -> HandshakeResponse {
        let filter = SessionFilter(request.query)
        guard !filter.isEmpty || request.query["all"] != nil else {
            return .wrong("name a service, principal, address or backend, or say all")
        }
        guard ["", "true"].contains(request.query["all"] ?? "") else { return .wrong("all takes no value") }
        return await self.close(request) { filter.matches($0) }
    }

    private func close(
        _ request: AdminRequest,
        _ choice: @escaping @Sendable (SessionFacts) -> Bool
    ) async -> HandshakeResponse {
        let usual = Int(WebSocketCloseCode.policyViolation.rawValue)
        guard let code = request.number("code", 1000...4999, usual: usual).map({ UInt16($0) }) else {
            return .wrong("code is a number from 1000 to 4999")
        }
        guard (1000...1014).contains(code) && ![1004, 1005, 1006].contains(code) || (3000...4999).contains(code) else {
            return .wrong("the code must not be sent")
        }
        guard let time = Duration(seconds: request.query["over"] ?? "0") else {
            return .wrong("over is a number of seconds")
        }
        let reason = (request.query["reason"] ?? "an operator has ended the session").bounded
        let end = SessionEnd(.operator, .operator, WebSocketCloseCode(rawValue: code), reason)
        let count = await self.gateway.sessions.close(end, over: time, where: choice)
        return .json(
            .object([("closing", .integer(count))]),
            status: count == 0 && request.path.count == 2 && request.method == .delete ? 404 : 200
        )
    }

    // MARK: Verbs

    private func drain(_ request: AdminRequest) async -> HandshakeResponse {
        guard let time = Duration(seconds: request.query["over"] ?? "30") else {
            return .wrong("over is a number of seconds")
        }
        do throws(Gateway.Failure) {
            let count = try await self.gateway.drain(over: time)
            return .json(.object([("draining", true), ("closing", .integer(count))]))
        } catch {
            return .conflict(error.words)
        }
    }

    private func undrain() async -> HandshakeResponse {
        do throws(Gateway.Failure) {
            try await self.gateway.undrain()
            return .json(.object([("draining", false)]))
        } catch {
            return .conflict(error.words)
        }
    }

    private func reloaded() async -> HandshakeResponse {
        switch await self.reload() {
        case .done(let changes):
            return .json(.object([("changes", changes.json)]))
        case .failed(let errors):
            return .json(.object([("errors", .array(errors.map { .string($0) }))]), status: 422)
        case .refused(let words):
            return .conflict(words)
        }
    }
}

/// The outcome of a reload.
package enum ReloadOutcome: Sendable {
    case done(ReloadChanges)
    /// Each error is a sentence; the old configuration is in force.
    case failed([String])
    /// The gateway takes none now, for this reason.
    case refused(String)
}

extension HandshakeResponse {
    static func json(_ value: JSONTree, status: Int = 200) -> HandshakeResponse {
        var response = HandshakeResponse.text(value.text + "\n", status: status, contentType: "application/json")
        response.headers[.cacheControl] = "no-store"
        return response
    }

    /// The verb is not for a gateway in this state (RFC 9110 section 15.5.10).
    static func conflict(_ words: String) -> HandshakeResponse {
        .json(.object([("error", .string(words))]), status: 409)
    }

    /// A question that is asked wrongly.
    static func wrong(_ sentence: String) -> HandshakeResponse {
        .json(.object([("error", .string(sentence))]), status: 400)
    }

    static func page(_ text: String) -> HandshakeResponse {
        var response = HandshakeResponse.text(text, contentType: "text/html; charset=utf-8")
        response.headers[.cacheControl] = "no-store"
        if let name = HTTPField.Name("Content-Security-Policy") {
            response.headers[name] =
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
        }
        return response
    }
}

extension Duration {
    /// Seconds as a query has them, `5` or `5s`; `nil` for something else, such as a variable that was not set.
    init?(seconds text: String) {
        let digits = text.hasSuffix("s") ? text.dropLast() : text[...]
        guard digits.utf8.allSatisfy(\.isDigit), let seconds = Int(digits), (0...86_400).contains(seconds) else {
            return nil
        }
        self = .seconds(seconds)
    }
}
