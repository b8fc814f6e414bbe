// The server's openings before RFC 6455: D1, D3, H69-9, H69-10, W10-6, X76-1 and threats D1, D2, D8.

import KHPProtocol
import NIOCore
import Testing

@Suite("Openings of the old dialects, server")
struct DialectOpeningServerTests {
    static let all: [Dialect] = [.rfc6455, .hixie75, .hixie76]
    static let plain = [
        "Upgrade: WebSocket", "Connection: Upgrade", "Host: example.com", "Origin: http://page.example",
    ]
    static let keyed = plain + ["Sec-WebSocket-Key1: 18x 6]8vM;54 *(5:  {   U1]8  z [  8", "Sec-WebSocket-Key2: 1 2"]

    static func check(
        _ fields: [String],
        first: String = "GET /demo?x=y HTTP/1.1",
        dialects: [Dialect] = all
    ) throws -> OpeningRequest {
        var decoder = RequestHeadDecoder(limits: Limits().openingHead)
        var input = ByteBuffer(string: ([first] + fields).map { $0 + "\r\n" }.joined() + "\r\n")
        let head = try #require(try decoder.decode(&input))
        return try OpeningServer.check(head, dialects: dialects)
    }

    static func status(
        _ fields: [String],
        first: String = "GET /demo HTTP/1.1",
        dialects: [Dialect] = all
    ) -> Int? {
        do {
            _ = try check(fields, first: first, dialects: dialects)
            return nil
        } catch {
            return (error as? Refusal)?.status
        }
    }

    @Test("D1: the dialect by the fields, and what an endpoint takes it for")
    func recognises() throws {
        let hixie75 = try Self.check(Self.plain + ["WebSocket-Protocol: a, x-kaazing-handshake b"])
        #expect(hixie75.opening == .invariant)
        #expect(hixie75.path == "/demo" && hixie75.query == "x=y")
        #expect(hixie75.subprotocols == ["a", "b"])
        #expect(hixie75.offersExtendedHandshake)
        #expect(hixie75.origin == "http://page.example")
        #expect(hixie75.dialect(among: Self.all) == .hixie75)
        #expect(hixie75.dialect(among: [.rfc6455, .hixie76]) == nil)

        let keyed = try Self.check(Self.keyed)
        #expect(keyed.opening == .twoKeys)
        #expect(keyed.numbers?.first == 155_712_099)
        #expect(keyed.numbers?.second == 12)
        #expect(keyed.dialect(among: [.rfc6455, .hixie76, .whatwg2010]) == .hixie76)
        #expect(keyed.dialect(among: [.whatwg2010, .hixie76]) == .whatwg2010)
        #expect(keyed.dialect(among: [.whatwg2010]) == .whatwg2010)
        #expect(keyed.dialect(among: [.rfc6455, .hixie75]) == nil)
    }

    @Test("threat D1: a server of RFC 6455 alone refuses both")
    func refusesThemByDefault() {
        #expect(Self.status(Self.plain, dialects: [.rfc6455]) == 426)
        #expect(Self.status(Self.keyed, dialects: [.rfc6455]) == 426)
        #expect(Self.status(Self.plain, dialects: [.rfc6455, .hixie76]) == 426)
        #expect(Self.status(Self.keyed, dialects: [.rfc6455, .hixie75]) == 426)
    }

    @Test("threat D8: keys of two dialects are refused, whatever is served")
    func refusesTwoDialects() {
        for dialects in [[Dialect.rfc6455], Self.all, [.whatwg2010]] {
            for field in ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 0", "Sec-WebSocket-Key: \(Sample.key)"] {
                #expect(Self.status(Self.keyed + [field], dialects: dialects) == 400, "\(field)")
                let one = Self.plain + ["Sec-WebSocket-Key2: 1 2", field]
                #expect(Self.status(one, dialects: dialects) == 400, "\(field)")
            }
        }
    }

    @Test("RFC 6455 is recognised beside the others")
    func stillReadsRFC6455() throws {
        let fields = Self.plain + ["Sec-WebSocket-Key: \(Sample.key)", "Sec-WebSocket-Version: 13"]
        let request = try Self.check(fields)
        #expect(request.opening == .acceptKey)
        #expect(request.version == 13)
        #expect(Self.status(Self.plain + ["Sec-WebSocket-Version: 13"]) == 400)
    }

    /// W10-6, threat D2.
    @Test(arguments: [
        "Sec-WebSocket-Key1: 123", "Sec-WebSocket-Key1: 1 2  ", "Sec-WebSocket-Key1: 4294967296 1",
        "Sec-WebSocket-Key1: a b", "Sec-WebSocket-Key1: ", "Sec-WebSocket-Key1: 1\t2 3 4",
        "Sec-WebSocket-Key1: 12345678901234567890123456789012345678901234567890 1",
        "Sec-WebSocket-Key2: 1 2", "X: y",
    ])
    func refusesKeysThatAreNone(_ field: String) {
        let fields = Self.plain + [field, "Sec-WebSocket-Key2: 1 3"]
        if field.hasSuffix("1 2  ") {
            // White space at the end of a field is not part of its value.
            #expect(Self.status(fields) == nil)
        } else {
            #expect(Self.status(fields) == 400)
        }
    }

    @Test(
        "D40: of the subprotocols that are offered one has to be spoken in the text of 2010, unless the endpoint says no",
        arguments: [
            (.whatwg2010, "a", ["a"], false, 101), (.whatwg2010, "a b", ["c", "b"], false, 101),
            (.whatwg2010, "a", ["b"], false, 400), (.whatwg2010, "a", [], false, 400),
            (.whatwg2010, "a", ["b"], true, 101), (.whatwg2010, nil, ["b"], false, 101),
            (.hixie76, "a", ["b"], false, 101), (.hixie75, "a", ["b"], false, 101),
        ] as [(Dialect, String?, [String], Bool, Int)]
    )
    func subprotocols(
        _ dialect: Dialect,
        _ offered: String?,
        _ spoken: [String],
        _ servesWithout: Bool,
        _ status: Int
    ) throws {
        let now = NIODeadline.at(0)
        var settings = ConnectionSettings()
        settings.dialects = [dialect]
        var connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: now)
        connection.transportUp(now: now)
        connection.start(now: now)
        var lines = ["GET /demo HTTP/1.1"] + (dialect == .hixie75 ? Self.plain : Self.keyed)
        if let offered { lines.append("\(dialect == .hixie75 ? "" : "Sec-")WebSocket-Protocol: \(offered)") }
        let behind = dialect == .hixie75 ? "" : "12345678"
        connection.receive(ByteBuffer(string: lines.map { $0 + "\r\n" }.joined() + "\r\n" + behind), now: now)
        guard case .server(.decideOpening)? = connection.next(now: now) else {
            Issue.record("no question")
            return
        }
        var plan = EndpointPlan.Values()
        plan.dialects = [dialect]
        plan.subprotocols = spoken
        plan.servesWithoutSubprotocol = servesWithout
        connection.acceptOpening(EndpointPlan(plan), now: now)
        while connection.next(now: now) != nil {}
        let written = connection.output.next().map { String(buffer: $0) }
        #expect(written?.hasPrefix("HTTP/1.1 \(status) ") == true)
    }

    /// H69-10
    @Test func refusesWhatIsNoOpening() {
        for fields in [Self.plain, Self.keyed] {
            #expect(Self.status(fields) == nil)
            #expect(Self.status(fields, first: "POST /demo HTTP/1.1") == 405)
            #expect(Self.status(fields, first: "GET /demo HTTP/1.0") == 505)
            #expect(Self.status(fields, first: "GET demo HTTP/1.1") == 400)
            #expect(Self.status(fields, first: "GET http://example.com/demo HTTP/1.1") == 400)
            for missing in ["Connection", "Host", "Origin"] {
                #expect(Self.status(fields.filter { !$0.hasPrefix(missing) }) == 400, "\(missing)")
            }
            #expect(Self.status(fields + ["Upgrade: WebSocket"]) == 400)
            #expect(Self.status(fields + ["Transfer-Encoding: chunked"]) == 400)
            #expect(Self.status(fields + ["Content-Length: 9"]) == 400)
        }
        #expect(Self.status(Self.keyed + ["Content-Length: 8"]) == nil)
        #expect(Self.status(Self.plain + ["Content-Length: 8"]) == 400)
        #expect(Self.status(Self.plain.filter { !$0.hasPrefix("Upgrade") }) == 400)
    }
}
