// A service while it is read: its five kinds side by side, until exactly one is left.

struct ServiceDraft: Sendable {
    /// The words behind `type`.
    enum Builtin: String, Sendable, CaseIterable {
        case echo
        case broadcast
    }

    /// The pool of clients without a subprotocol.
    enum Fallback: Sendable, Equatable {
        case refuse
        case pool(String)
    }

    var service = Configuration.Service(name: "", path: .init(path: "/"), kind: .echo)
    var pool: String?
    var frames: Configuration.Frames?
    var routes: [Configuration.SubprotocolRoutes.Route] = []
    var withoutSubprotocol: Fallback?
    var balancer: Configuration.Balancer?
    var redirect: String?
    var type: Builtin?

    init() {}

    init(_ service: Configuration.Service) {
        self.service = service
        switch service.kind {
        case .proxy(let pool, let frames):
            self.pool = pool
            self.frames = frames
        case .routed(let routes):
            self.routes = routes.routes
            self.withoutSubprotocol = routes.withoutSubprotocol.map { .pool($0) } ?? .refuse
        case .balancer(let balancer): self.balancer = balancer
        case .redirect(let url): self.redirect = url
        case .echo: self.type = .echo
        case .broadcast: self.type = .broadcast
        }
    }

    static let kinds = ["pool", "subprotocols", "balance", "redirect", "type"]

    /// The service; `nil` after a finding.
    func finish(_ key: String, _ reading: inout Reading) -> Configuration.Service? {
        let written = Self.kinds.filter { reading.isWritten("\(key).\($0)") }
        guard written.count == 1 else {
            if written.isEmpty, Self.kinds.contains(where: { reading.isDoubtful("\(key).\($0)") }) { return nil }
            let found = written.isEmpty ? "none of them" : written.joined(separator: " and ")
            reading.error(key, "a service has one of \(Self.kinds.joined(separator: ", ")); here stands \(found)")
            return nil
        }
        for (name, kind) in [("frames", "pool"), ("withoutSubprotocol", "subprotocols")]
        where reading.isWritten("\(key).\(name)") && written != [kind] {
            reading.error("\(key).\(name)", "counts only beside \(kind)", from: ["\(key).\(kind)"])
        }
        var service = self.service
        if let pool = self.pool {
            service.kind = .proxy(pool: pool, frames: self.frames)
        } else if let balancer = self.balancer {
            service.kind = .balancer(balancer)
        } else if let redirect = self.redirect {
            service.kind = .redirect(redirect)
        } else if let type = self.type {
            service.kind = type == .echo ? .echo : .broadcast
        } else {
            var routes = Configuration.SubprotocolRoutes()
            routes.routes = self.routes
            if case .pool(let pool) = self.withoutSubprotocol { routes.withoutSubprotocol = pool }
            service.kind = .routed(routes)
        }
        return service
    }
}

extension ValueType where Value == ServiceDraft.Builtin {
    static var builtin: ValueType {
        ValueType("echo or broadcast", refused: ["directory", "chat"]) { text throws(Wrong) in
            if text == "directory" { throw Wrong("is not in this version; there are echo and broadcast") }
            guard let type = Value(rawValue: text) else {
                throw Wrong(
                    "is none of echo, broadcast" + NearestName.question(text, among: Value.allCases.map(\.rawValue))
                )
            }
            return type
        } write: {
            $0.rawValue
        }
    }
}

extension ValueType where Value == ServiceDraft.Fallback {
    static var fallback: ValueType {
        ValueType("refuse or name of a pool", refused: [""]) { text throws(Wrong) in
            guard !text.isEmpty else { throw Wrong("is empty") }
            return text == "refuse" ? .refuse : .pool(text)
        } write: { value in
            if case .pool(let pool) = value { pool } else { "refuse" }
        }
    }
}
