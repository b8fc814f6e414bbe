// Tokens of clients, bytes of brokers and files of operators cost the gateway no more than in proportion (threat I4).

import CommandTestSupport
import HTTPTypes
import NIOCore
import Testing

@testable import KHPGateway

@Suite("work grows in proportion to what a gateway is given", .serialized)
struct GatewayGrowthTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        /// The largest input that is read, or that anybody would write.
        var limit: Int
        var prepare: @Sendable (_ bytes: Int) -> () -> Void

        var testDescription: String { self.name }
    }

    private static func repeated(_ text: String, _ bytes: Int) -> String {
        String(repeating: text, count: max(1, bytes / text.utf8.count))
    }

    /// Each number in a text of its own, with a separator between them, up to a length.
    private static func distinct(_ bytes: Int, _ separator: String, _ text: (Int) -> String) -> String {
        var parts: [String] = []
        var length = 0
        while length < bytes {
            parts.append(text(parts.count))
            length += parts[parts.count - 1].utf8.count + separator.utf8.count
        }
        return parts.joined(separator: separator)
    }

    // MARK: Tokens

    /// The head of a token is read before anybody has proved anything.
    private static func head(_ shape: String, _ text: @escaping @Sendable (Int) -> String) -> Row {
        Row(name: "a token's head: \(shape)", limit: TokenVerifier.maximumBytes) { bytes in
            let head = Base64Text.url(of: Array(text(bytes * 3 / 4 - 16).utf8))
            return self.verification(of: "\(head).e30.AAAA")
        }
    }

    private static func verification(of token: String) -> () -> Void {
        let verifier = try? TokenVerifierTests.verifier("public", [.rs256])
        return { _ = try? verifier?.principal(of: token, now: 0) }
    }

    private static let tokens: [Row] = [
        head("objects") { "{\"a\":[" + repeated("{},", $0) + "{}]}" },
        head("objects on lines of their own") { "{\"a\":[" + repeated("{},\n", $0) + "{}]}" },
        head("objects within objects") { bytes in
            // As deep as they may be, over and over.
            let nest = String(repeating: "{\"a\":", count: 29) + "1" + String(repeating: "}", count: 29)
            return "{\"a\":[" + repeated(nest + ",", bytes) + "1]}"
        },
        head("members") { "{" + distinct($0, ",") { "\"m\($0)\":1" } + "}" },
        head("a list of numbers") { "{\"a\":[" + repeated("1e1,", $0) + "1]}" },
        head("one long number") { "{\"a\":" + repeated("1", $0) + "}" },
        head("escapes") { "{\"a\":\"" + repeated("\\u0041", $0) + "\"}" },
        head("blanks") { "{" + repeated(" ", $0) + "}" },
        head("brackets") { repeated("[", $0) },
        Row(name: "a token: dots", limit: TokenVerifier.maximumBytes) { Self.verification(of: Self.repeated(".", $0)) },
    ]

    // MARK: Files

    private static func keys(_ shape: String, _ key: @escaping @Sendable (Int) -> String) -> Row {
        Row(name: "a key set: \(shape)", limit: 256 * 1024) { bytes in
            let text = Array("{\"keys\":[\(Self.distinct(bytes, ",", key))]}".utf8)
            return { _ = KeySet.read(text, algorithms: [.hs256]) }
        }
    }

    private static func file(_ shape: String, _ text: @escaping @Sendable (Int) -> String) -> Row {
        Row(name: "a file: \(shape)", limit: 256 * 1024) { bytes in
            let text = text(bytes)
            return { _ = ConfigurationFixture.findings(text) }
        }
    }

    /// As many listeners and realms as services.
    private static func together(_ bytes: Int, _ service: (Int) -> String) -> String {
        let count = max(1, bytes / 150)
        func section(_ name: String, _ entry: (Int) -> String) -> String {
            "\(name)s:\n" + (0..<count).map { "  \(name.prefix(1))\($0): \(entry($0))\n" }.joined()
        }
        return "version: 1\n" + section("listener") { "{listen: '127.0.0.1:\($0 % 60_000)'}" }
            + section("realm") { _ in "{schemes: basic, users: u}" } + section("service", service)
    }

    private static let files: [Row] = [
        keys("different names") { "{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"n\($0)\"}" },
        keys("one name") { _ in "{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"n\"}" },
        keys("of no kind") { "{\"kty\":\"x\($0)\"}" },
        Row(name: "a groups file: roles", limit: 256 * 1024) { bytes in
            let text = Self.distinct(bytes, "\n") { "role\($0): a b" }
            return { _ = GroupsFile.read(text) }
        },
        Row(name: "a groups file: one role", limit: 256 * 1024) { bytes in
            let text = "role: " + Self.distinct(bytes, " ") { "n\($0)" }
            return { _ = GroupsFile.read(text) }
        },
        file("keys that are none") { "version: 1\n" + distinct($0, "\n") { "k\($0): 1" } },
        file("services") { bytes in
            "version: 1\nlisteners: {a: {listen: 127.0.0.1:0}}\nservices:\n"
                + distinct(bytes, "\n") { "  s\($0): {path: /p\($0), type: echo}" }
        },
        file("listeners") { bytes in
            "version: 1\nservices: {s: {path: /s, type: echo}}\nlisteners:\n"
                + distinct(bytes, "\n") { "  l\($0): {listen: '127.0.0.1:\($0 % 60_000)'}" }
        },
        file("services at listeners and with realms of their own") { bytes in
            together(bytes) { "{path: /p, type: echo, listeners: l\($0), realm: r\($0)}" }
        },
        file("services at all listeners, with realms of their own") { bytes in
            together(bytes) { "{path: /p\($0), type: echo, realm: r\($0)}" }
        },
        file("services with wrong paths at an open listener") { bytes in
            "version: 1\nlisteners: {a: {listen: 0.0.0.0:0}}\nservices:\n"
                + distinct(bytes, "\n") { "  s\($0): {path: p\($0), type: echo}" }
        },
        file("quotes") { "a: \"" + repeated("\\\"", $0) + "\"\n" },
        file("variables") { "version: \"" + repeated("${A}", $0) + "\"\n" },
        file("aliases") { "a: &a x\nb: [" + repeated("*a,", $0) + "x]\n" },
        file("brackets") { "a: " + repeated("[", $0) },
    ]

    // MARK: Bytes of a broker

    private static let brokers: [Row] = [
        Row(name: "a broker's text, byte by byte", limit: 64 * 1024) { bytes in
            let pieces = Array(Self.repeated("a€", bytes).utf8).map { ByteBuffer(bytes: [$0]) }
            return {
                var frames = OutgoingFrames(.text)
                for piece in pieces { try? frames.forEach(of: piece) { _, _ in } }
            }
        },
        Row(name: "a broker's text in one read", limit: 1024 * 1024) { bytes in
            let text = ByteBuffer(string: Self.repeated("aaaa€", bytes))
            return {
                var frames = OutgoingFrames(.text)
                try? frames.forEach(of: text) { _, _ in }
            }
        },
    ]

    // MARK: Requests

    private static func origin(_ shape: String, _ text: @escaping @Sendable (Int) -> String) -> Row {
        Row(name: "OriginRule: \(shape)", limit: 8 * 1024) { bytes in
            let text = text(bytes)
            let rules = ["https://*.a.example", "https://a.example", "http://b.example:81"].compactMap {
                OriginRule($0)
            }
            return { for rule in rules { _ = rule.allows(text) } }
        }
    }

    private static func admin(_ shape: String, _ query: @escaping @Sendable (Int) -> String) -> Row {
        Row(name: "AdminRequest: \(shape)", limit: 8 * 1024) { bytes in
            let request = HTTPRequest(method: .get, scheme: "http", authority: "localhost", path: query(bytes))
            return { _ = AdminRequest(request).fault(["a", "b"]) }
        }
    }

    private static let requests: [Row] = [
        origin("labels") { "https://" + repeated("A.", $0) + "example" },
        origin("colons") { "https://" + repeated(":", $0) },
        origin("slashes") { repeated("https://*.", $0) },
        admin("different names") { "/sessions?" + distinct($0, "&") { "p\($0)=%41" } },
        admin("one name") { "/sessions?" + repeated("a=+&", $0) },
        admin("escapes of a path") { "/" + repeated("%41/", $0) },
        admin("a body's worth of separators") { "/?" + repeated("&=", $0) },
    ]

    private static let all = Self.tokens + Self.files + Self.brokers + Self.requests

    @Test("four times the input costs nowhere near sixteen times the work", arguments: Self.all.map(\.name))
    func growth(_ name: String) throws {
        let row = try #require(Self.all.first { $0.name == name })
        #expect(Growth.fault(limit: row.limit, row.prepare) == nil)
    }
}
