// The admin address is for operators and their programs, not for pages: a browser that was led here is turned away, whatever
// name it was led by.

import HTTPTypes
import KHPServer

struct AdminAccess: Sendable {
    private let token: [UInt8]?
    /// The hosts that a request may name; `nil` for any. A list protects a loopback address against DNS rebinding.
    private let hosts: [String]?

    init(_ rules: GatewayConfiguration.Admin) {
        self.token = rules.token.map { Array($0.text.utf8) }
        self.hosts = Self.hosts(rules.listen)
    }

    private static func hosts(_ address: ListenAddress) -> [String]? {
        switch address {
        case .unix: nil
        case .host(let host, _) where address.isLocal:
            Array(Set(["localhost", "127.0.0.1", "[::1]", Self.named(host).lowercased()]))
        // Everybody has to show the token there.
        case .host: nil
        }
    }

    private static func named(_ host: String) -> String { host.contains(":") ? "[\(host)]" : host }

    /// - Returns: the answer to whoever may not ask, or `nil`.
    func refusal(of request: HTTPRequest) -> HandshakeResponse? {
        // A load balancer's probe may name no host, as HTTP/1.0 allows; a browser always does.
        if let hosts, let authority = request.authority, !authority.isEmpty, !hosts.contains(Self.host(of: authority)) {
            return .refuse(421, "The admin address answers to its own names alone.\n")
        }
        // The page of the address itself asks without it, or names the address.
        if let origin = request.headerFields[.origin], !Self.isOwn(origin, request.authority) {
            return .refuse(403, "The admin address answers no pages of other origins.\n")
        }
        // The page tells nothing itself, and asks its reader for the token.
        if request.path == "/", request.method == .get || request.method == .head { return nil }
        guard let token else { return nil }
        let given = request.headerFields[.authorization] ?? ""
        let prefix = "Bearer "
        guard given.hasPrefix(prefix), Self.equal(Array(given.utf8.dropFirst(prefix.utf8.count)), token) else {
            return .challenge("Bearer realm=\"admin\"")
        }
        return nil
    }

    /// Without the port and the dot of a name said in full, in small letters.
    private static func host(of authority: String) -> String {
        let lowercased = authority.lowercased()
        if lowercased.hasPrefix("["), let end = lowercased.firstIndex(of: "]") { return String(lowercased[...end]) }
        let host = lowercased.prefix { $0 != ":" }
        return String(host.hasSuffix(".") ? host.dropLast() : host)
    }

    private static func isOwn(_ origin: String, _ authority: String?) -> Bool {
        guard let authority else { return false }
        return origin == "http://\(authority)" || origin == "https://\(authority)"
    }

    /// Takes as long for every wrong token of one length.
    private static func equal(_ one: [UInt8], _ other: [UInt8]) -> Bool {
        guard one.count == other.count else { return false }
        var difference: UInt8 = 0
        for (left, right) in zip(one, other) { difference |= left ^ right }
        return difference == 0
    }
}
