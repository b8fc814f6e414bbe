// Which resource a request names where the query is empty (D34), and which names a dialect has for subprotocols (D42).

import NIOCore
import Testing

@testable import KHPProtocol

struct ResourceTests {
    private static func plan(_ url: String, _ dialect: Dialect) throws -> ClientPlan {
        var plan = ClientPlan(url: try WebSocketURL(url))
        plan.dialect = dialect
        plan.keys = DialectOpeningClientTests.keys
        let attempt = ConnectAttempt(plan, redirects: RedirectTracker(from: plan.url), authenticator: Authenticator())
        return attempt.plan
    }

    @Test(
        "D34: RFC 6455 leaves out the mark of an empty query, the older dialects keep it; Digest signs what is sent",
        arguments: [
            (Dialect.rfc6455, "ws://h/a?", "/a"), (.rfc6455, "ws://h/?", "/"), (.rfc6455, "ws://h/a?b", "/a?b"),
            (.rfc6455, "ws://h/a??", "/a??"), (.hixie75, "ws://h/a?", "/a?"), (.hixie76, "ws://h/a?", "/a?"),
            (.whatwg2010, "ws://h/?", "/?"), (.hixie75, "ws://h/a", "/a"),
        ]
    )
    func emptyQuery(_ dialect: Dialect, _ url: String, _ expected: String) throws {
        var plan = ClientPlan(url: try WebSocketURL(url))
        plan.dialect = dialect
        plan.keys = DialectOpeningClientTests.keys
        let attempt = ConnectAttempt(plan, redirects: RedirectTracker(from: plan.url), authenticator: Authenticator())
        #expect(attempt.target(.opening).uri == expected)
        #expect(attempt.target(.extended).uri == expected)
        let opening = OpeningClient(try attempt.plan.opening(key: Sample.key), limits: Limits())
        #expect(opening.requestHead.target == expected)
        var extended = ExtendedClient(ExtendedClientPlan(url: attempt.plan.url, acceptValue: ""))
        #expect(String(buffer: extended.start(now: .now())).hasPrefix("GET \(expected) HTTP/1.1\r\n"))
    }

    @Test(
        "a target that is no path has the whole of a scheme of ours, and the authority of Host",
        arguments: [
            ("ws://h/a?b", "/a ?b"), ("WS://h", "/ -"), ("ws://h?b", "/ ?b"), ("http://H:80/a", "/a -"), ("w", nil),
            ("ws", nil), ("ws:", nil), ("ws:/", nil), ("ws://", nil), ("wsx://h/", nil), ("h", nil), ("http:/", nil),
            ("http:", nil), ("ws://other/", nil), ("ws://h/#f", nil), ("*", nil), ("", nil), ("/a#f", nil),
        ] as [(String, String?)]
    )
    func targets(_ target: String, _ expected: String?) throws {
        let host = try Authority("h")
        let found = try? RequestTarget.resource(target, at: host, schemes: ["ws", "http"])
        #expect(found.map { "\($0.path) \($0.query.map { "?" + $0 } ?? "-")" } == expected)
    }

    private static let sentence = "example.org's chat protocol"

    @Test(
        "D42: a subprotocol's name is a token in RFC 6455, printable without blanks with two keys, printable in hixie-75",
        arguments: [
            (Dialect.rfc6455, "chat", true), (.rfc6455, "chat/2", false), (.rfc6455, sentence, false),
            (.hixie76, "chat/2", true), (.hixie76, sentence, false), (.whatwg2010, "chat/2", true),
            (.whatwg2010, "a(b)", true), (.whatwg2010, sentence, false), (.hixie75, sentence, true),
            (.hixie75, "chat/2", true), (.hixie75, "ä", false), (.whatwg2010, "ä", false), (.hixie75, "a\u{7F}", false),
            (.hixie75, "", false), (.whatwg2010, "", false), (.hixie75, "a\r\nb", false), (.hixie75, " a", false),
        ]
    )
    func subprotocolNames(_ dialect: Dialect, _ name: String, _ isName: Bool) throws {
        let plan = try DialectOpeningClientTests.plan(dialect, subprotocols: [name])
        guard isName else {
            let error = #expect(throws: WebSocketError.self) { try OpeningClient(plan) }
            #expect(error?.code == .invalidArgument)
            return
        }
        let head = try OpeningClient(plan).requestHead
        #expect(head.fields.first(dialect.subprotocolField) == name)
    }

    @Test("D42: what was asked for may be selected, and the extended handshake speaks tokens in every dialect")
    func selected() throws {
        for (dialect, name) in [(Dialect.hixie75, Self.sentence), (.whatwg2010, "chat/2")] {
            let plan = try DialectOpeningClientTests.plan(dialect, subprotocols: [name])
            var fields = DialectOpeningClientTests.fields(dialect)
            fields[4] = "\(dialect.subprotocolField): \(name)"
            let text = DialectOpeningClientTests.answer(dialect, fields)
            #expect(try DialectOpeningClientTests.accepted(plan, text)?.subprotocol == name)
        }
        var inside = ExtendedClientPlan(url: try Sample.url(), acceptValue: "")
        inside.subprotocols = [Self.sentence]
        #expect(throws: WebSocketError.self) { try inside.validate() }
    }

    @Test("D42: a server of hixie-75 takes the value as one name first")
    func served() throws {
        let request = try DialectOpeningServerTests.check(
            DialectOpeningServerTests.plain + ["WebSocket-Protocol: \(Self.sentence)"]
        )
        #expect(Subprotocols.choose(supported: [Self.sentence], offered: request.subprotocols) == Self.sentence)
        #expect(Subprotocols.choose(supported: ["chat"], offered: request.subprotocols) == "chat")
        let keyed = try DialectOpeningServerTests.check(
            DialectOpeningServerTests.keyed + ["Sec-WebSocket-Protocol: chat/2 b"]
        )
        #expect(keyed.subprotocols == ["chat/2", "b"])
    }
}
