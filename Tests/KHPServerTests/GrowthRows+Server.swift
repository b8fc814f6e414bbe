// Input that the server's own readers take: files of users, queries, cookies, addresses that proxies name. The shapes
// that cost most; the rows of KHPProtocol lie with its tests.

import KHPProtocol
import KHPServer
import NIOCore

extension GrowthRow {
    /// All of them that KHPServer has.
    static let server: [GrowthRow] = users + queries + cookies + addresses

    private static let key = String(repeating: "0", count: 32)

    /// Lines, each of them another.
    private static func different(_ bytes: Int, separator: String = "\n", _ line: (Int) -> String) -> String {
        distinct(bytes, separator: separator, from: 10_000, line)
    }

    // MARK: Files of users

    // Of some thousand users at the limit, which is ours: whoever runs the server writes them.

    private static func users(
        _ shape: String,
        refusal: String? = nil,
        _ text: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow("a users file: \(shape)", limit: 32 * 1024, refusal: refusal) { bytes in
            let text = text(bytes)
            return { _ = try UsersFile(text, name: "users", allowsTokens: true) }
        }
    }

    private static let users: [GrowthRow] = [
        users("lines") { different($0) { "user\($0):token\($0)" } },
        users("one long line") { "joe:" + String(repeating: "r", count: $0 - 40) + ":" + key },
        users("one user") { different($0) { "joe:realm\($0):\(key)" } },
        users("lines for Digest") { different($0) { "user\($0):desk:SHA-256:\(key)\(key)" } },
        users("empty lines") { repeated("\n", $0) },
        users("a line of blanks") { repeated(" \t", $0) },
        users("comments") { repeated("#:\n", $0) },
        users("a realm of colons") { "joe" + String(repeating: ":", count: $0 - 40) + key },
        users("a line that is no user", refusal: "a hash follows the name") { repeated("a", $0) },
        users("a token of an earlier line", refusal: "a token stands once") {
            different($0 - 6) { "user\($0):token\($0)" } + "\nx:token10000"
        },
    ]

    // MARK: Parts of a request

    private static func query(
        _ shape: String,
        _ text: @escaping @Sendable (Int) -> String,
        found: @escaping @Sendable (RequestQuery) -> Bool
    ) -> GrowthRow {
        GrowthRow("a query: \(shape)", limit: 8 * 1024) { bytes in
            let query = RequestQuery(text(bytes))
            return { try accepted(found(query)) }
        }
    }

    private static let queries: [GrowthRow] = [
        query("different names", { different($0, separator: "&") { "p\($0)=%41+b" } }, found: { $0["q"] == nil }),
        query("one name", { repeated("a=+&", $0) }, found: { $0.values(of: "a").count > 2 }),
        query("one value", { repeated("%41+", $0, behind: "a=") }, found: { $0["a"] != nil }),
        query("one long name", { repeated("%61", $0 - 2) + "=b" }, found: { $0["a"] == nil }),
        query("separators", { repeated("&=", $0) }, found: { $0["a"] == nil }),
    ]

    private static func cookies(
        _ shape: String,
        limit: Int = 32 * 1024,
        _ fields: @escaping @Sendable (Int) -> [String],
        found: @escaping @Sendable (RequestCookies) -> Bool
    ) -> GrowthRow {
        GrowthRow("cookies of a request: \(shape)", limit: limit) { bytes in
            let cookies = RequestCookies(fields(bytes))
            return { try accepted(found(cookies)) }
        }
    }

    private static let cookies: [GrowthRow] = [
        cookies("different names", { [different($0, separator: "; ") { "c\($0)=v" }] }, found: { $0["d"] == nil }),
        cookies("in fields of their own", { shares(90, of: $0) { "c\($0)=\($1)" } }, found: { $0["d"] == nil }),
        cookies("one name", { [repeated("c=v; ", $0) + "d=w"] }, found: { $0["d"] == "w" }),
        cookies("blanks", limit: 8 * 1024, { [repeated(" ", $0 - 3) + "d=w"] }, found: { $0["d"] == "w" }),
        cookies("semicolons", limit: 8 * 1024, { [repeated(";", $0 - 3) + "d=w"] }, found: { $0["d"] == "w" }),
    ]

    private static func addresses(
        _ shape: String,
        _ field: ForwardingField = .xForwardedFor,
        limit: Int = 8 * 1024,
        client: String,
        _ value: @escaping @Sendable (Int) -> String
    ) -> GrowthRow {
        GrowthRow("addresses that proxies name: \(shape)", limit: limit) { bytes in
            let trusted = ["127.0.0.1", "10.0.0.0/8"] + (1...100).map { "192.0.2.\($0)" }
            let rule = try ClientAddressRule(.forwarded(field, trusted: trusted))
            var fields = HeadFields()
            fields.append(field.name, value(bytes))
            let head = RequestHead(method: "GET", target: "/", fields: fields)
            let peer = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
            return { try accepted(rule.client(of: head, peer: peer)?.ipAddress == client) }
        }
    }

    private static let addresses: [GrowthRow] = [
        addresses("trusted ones", client: "10.1.2.3") { repeated("10.1.2.3,", $0 - 8) + "10.1.2.3" },
        addresses("the last of those that are trusted", client: "192.0.2.100") {
            repeated("192.0.2.100,", $0 - 11) + "192.0.2.100"
        },
        addresses("one that is none", client: "127.0.0.1") { repeated("1.", $0) },
        addresses("in Forwarded", .forwarded, client: "10.1.2.3") {
            repeated("for=10.1.2.3;by=a,", $0 - 12) + "for=10.1.2.3"
        },
    ]
}
