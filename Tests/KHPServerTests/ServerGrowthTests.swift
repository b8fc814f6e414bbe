// Work of the server's own readers is in proportion to their bytes: users files, queries, cookies, addresses.

import KHPProtocol
import NIOCore
import TestSupport
import Testing

@testable import KHPServer

@Suite("work grows in proportion to what the server reads", .serialized)
struct ServerGrowthTests {
    /// One kind of input: what it is made of, and the work that it causes, which throws where it is refused.
    private typealias Shape = (name: String, limit: Int, prepare: @Sendable (Int) throws -> () throws -> Void)

    private static let key = String(repeating: "0", count: 32)

    /// A users file of so many bytes.
    private static func users(_ shape: String, _ text: @escaping @Sendable (Int) -> String) -> Shape {
        (
            "a users file: \(shape)", 64 * 1024,
            { bytes in
                let text = text(bytes)
                return { _ = try UsersFile(text, name: "users", allowsTokens: true) }
            }
        )
    }

    private static func lines(_ bytes: Int, _ line: (Int) -> String) -> String {
        let size = line(10_000).utf8.count + 1
        return (0..<max(1, bytes / size)).map { line(10_000 + $0) }.joined(separator: "\n")
    }

    private static let shapes: [Shape] = [
        users("lines") { lines($0) { "user\($0):token\($0)" } },
        users("one long line") { "joe:" + String(repeating: "r", count: $0 - 40) + ":" + key },
        users("one user") { lines($0) { "joe:realm\($0):\(key)" } },
        users("lines for Digest") { lines($0) { "user\($0):desk:SHA-256:\(key)\(key)" } },
        users("empty lines") { String(repeating: "\n", count: $0) },
        users("a line of blanks") { String(repeating: " \t", count: $0 / 2) },
        users("a realm of colons") { "joe" + String(repeating: ":", count: $0 - 40) + key },
        (
            "a query: different names", 8 * 1024,
            { bytes in
                let query = RequestQuery(lines(bytes) { "p\($0)=%41+b" }.split(separator: "\n").joined(separator: "&"))
                return { #expect(query["q"] == nil) }
            }
        ),
        (
            "a query: one name", 8 * 1024,
            { bytes in
                let query = RequestQuery(String(repeating: "a=+&", count: bytes / 4))
                return { #expect(query.values(of: "a").count == bytes / 4) }
            }
        ),
        (
            "a query: one value", 8 * 1024,
            { bytes in
                let query = RequestQuery("a=" + String(repeating: "%41+", count: bytes / 4))
                return { #expect(query["a"] != nil) }
            }
        ),
        (
            "cookies", 32 * 1024,
            { bytes in
                let cookies = RequestCookies([lines(bytes) { "c\($0)=v; " }])
                return { #expect(cookies["d"] == nil) }
            }
        ),
        (
            "addresses that proxies name", 8 * 1024,
            { bytes in
                let trusted = ["127.0.0.1", "10.0.0.0/8"]
                let rule = try ClientAddressRule(.forwarded(.xForwardedFor, trusted: trusted))
                var fields = HeadFields()
                fields.append("X-Forwarded-For", String(repeating: "10.1.2.3,", count: bytes / 9) + "10.1.2.3")
                let head = RequestHead(method: "GET", target: "/", fields: fields)
                let peer = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
                return { #expect(rule.client(of: head, peer: peer)?.ipAddress == "10.1.2.3") }
            }
        ),
    ]

    @Test("four times the input costs nowhere near sixteen times the work", arguments: Self.shapes.map(\.name))
    func growth(_ name: String) throws {
        let shape = try #require(Self.shapes.first { $0.name == name })
        // None is refused: a refusal is no measure of what is accepted.
        try shape.prepare(shape.limit / 8)()
        let fault = Growth.fault(limit: shape.limit) { bytes in
            let work = try? shape.prepare(bytes)
            return { try? work?() }
        }
        #expect(fault == nil)
    }
}
