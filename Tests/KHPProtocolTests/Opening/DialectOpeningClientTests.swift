// The client's openings before RFC 6455: H69-1 to H69-4, W10-1 to W10-5, X76-1 and threats D6, D7. The bytes of whole
// conversations are in Specs/transcripts.

import HTTPTypes
import NIOCore
import Testing

@testable import KHPProtocol

@Suite("Openings of the old dialects, client")
struct DialectOpeningClientTests {
    static let keys = HixieKeys(
        key1: "4 @1  46546xW%0l 1 5",
        key2: "12998 5 Y3 1  .P00",
        key3: Array("^n:ds[4U".utf8)
    )

    static func plan(_ dialect: Dialect, subprotocols: [String] = ["sample"]) throws -> OpeningClientPlan {
        var plan = OpeningClientPlan(
            url: try Sample.url("ws://Example.com/demo"),
            key: "",
            subprotocols: subprotocols,
            origin: "HTTP://Example.com"
        )
        plan.dialect = dialect
        plan.keys = keys
        return plan
    }

    /// The answer to it, field by field.
    static func fields(_ dialect: Dialect) -> [String] {
        let prefix = dialect == .hixie75 ? "" : "Sec-"
        return [
            "Upgrade: WebSocket", "Connection: Upgrade", "\(prefix)WebSocket-Origin: http://example.com",
            "\(prefix)WebSocket-Location: ws://example.com/demo", "\(prefix)WebSocket-Protocol: sample",
        ]
    }

    static func answer(
        _ dialect: Dialect,
        first: String = "HTTP/1.1 101 Web Socket Protocol Handshake",
        _ fields: [String],
        tail: String = "8jKS'y:G*Co,Wxa-"
    ) -> String {
        ([first] + fields).map { $0 + "\r\n" }.joined() + "\r\n" + (dialect == .hixie75 ? "" : tail)
    }

    /// A client's outcome from an answer that comes whole, and byte by byte.
    static func outcome(_ plan: OpeningClientPlan, _ text: String) throws -> OpeningClient.Outcome? {
        var client = try OpeningClient(plan)
        var input = ByteBuffer(string: text)
        let outcome = Result { try client.receive(&input) }
        var other = try OpeningClient(plan)
        var drip = ByteBuffer()
        let dripped = Result {
            for byte in text.utf8 {
                drip.writeInteger(byte)
                if let outcome = try other.receive(&drip) { return outcome as OpeningClient.Outcome? }
            }
            return nil
        }
        switch (outcome, dripped) {
        case (.success(let one), .success(let two)): #expect((one == nil) == (two == nil))
        case (.failure(let one), .failure(let two)):
            #expect((one as? WebSocketError)?.code == (two as? WebSocketError)?.code)
        default: Issue.record("the outcome depends on how the bytes are cut: \(text)")
        }
        return try outcome.get()
    }

    @Test("a head of exactly the limit is read, a longer one is not, however it comes", arguments: [0, 1, 2, 3, 4])
    func headLimit(_ more: Int) {
        let text = Self.answer(.hixie75, Self.fields(.hixie75))
        let limits = HeadLimits(lineBytes: 1000, headBytes: text.utf8.count - more, fieldCount: 100)
        let bytes = Array(text.utf8)
        for cut in [bytes.count, bytes.count - 1, bytes.count / 2] {
            var reader = HixieResponse.Reader(isInvariant: true, limits: limits)
            var length: Int?
            for end in Set([cut, bytes.count]).sorted() {
                bytes[..<end].withUnsafeBytes {
                    if case .switching(_, let count)? = try? reader.read($0) { length = count }
                }
            }
            #expect(length == (more == 0 ? bytes.count : nil), "\(cut)")
        }
    }

    @Test("the empty line behind the fields is CR LF and nothing else", arguments: [Dialect.hixie75, .hixie76])
    func emptyLine(_ dialect: Dialect) throws {
        let whole = Self.answer(dialect, Self.fields(dialect))
        for end in ["\r\n\rX", "\r\n\r\r", "\r\n\n\n"] {
            let broken = whole.replacing("\r\n\r\n", with: end)
            #expect(Self.error(try Self.plan(dialect), broken) == .openingInvalid, "\(end.utf8.map { $0 })")
        }
    }

    @Test("a 101 of an old dialect is the first response or none", arguments: [Dialect.hixie75, .hixie76])
    func switchingBehindAnother(_ dialect: Dialect) throws {
        let answer = Self.answer(dialect, Self.fields(dialect))
        let plan = try Self.plan(dialect)
        #expect(try Self.accepted(plan, answer) != nil)
        #expect(Self.error(plan, "HTTP/1.1 100 Continue\r\n\r\n" + answer) == .openingInvalid)
    }

    static func accepted(_ plan: OpeningClientPlan, _ text: String) throws -> OpeningResult? {
        guard case .accepted(let result)? = try outcome(plan, text) else { return nil }
        return result
    }

    static func error(_ plan: OpeningClientPlan, _ text: String) -> WebSocketError.Code? {
        do {
            _ = try outcome(plan, text)
            return nil
        } catch {
            return (error as? WebSocketError)?.code
        }
    }

    // MARK: The request

    @Test("H69-1: order and spelling of the hixie-75 request")
    func writesHixie75() throws {
        var plan = try Self.plan(.hixie75)
        plan.cookies = "a=b"
        var buffer = ByteBuffer()
        let client = try OpeningClient(plan)
        client.requestHead.write(into: &buffer)
        #expect(client.requestTail.isEmpty)
        #expect(
            String(buffer: buffer)
                == "GET /demo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: example.com\r\n"
                + "Origin: http://example.com\r\nWebSocket-Protocol: sample\r\nCookie: a=b\r\n\r\n"
        )
    }

    @Test(
        "W10-1: the fields in a random order, the eight bytes behind them",
        arguments: [Dialect.hixie76, .whatwg2010]
    )
    func writesTwoKeys(_ dialect: Dialect) throws {
        var plan = try Self.plan(dialect, subprotocols: dialect == .hixie76 ? ["a"] : ["a", "b"])
        plan.authorization = "Basic eA=="
        plan.extraFields = [.userAgent: "khp"]
        var generator = SeededGenerator(seed: 4)
        var orders: Set<[String]> = []
        for _ in 0..<50 {
            let keys = HixieKeys(using: &generator)
            plan.keys = keys
            let client = try OpeningClient(plan)
            var names: [String] = []
            client.requestHead.fields.forEach { name, _ in names.append(name) }
            orders.insert(names)
            #expect(
                names.sorted() == [
                    "Authorization", "Connection", "Host", "Origin", "Sec-WebSocket-Key1", "Sec-WebSocket-Key2",
                    "Sec-WebSocket-Protocol", "Upgrade", "User-Agent",
                ]
            )
            #expect(client.requestHead.fields.first("Sec-WebSocket-Key1") == keys.key1)
            #expect(client.requestHead.fields.first("Sec-WebSocket-Protocol") == (dialect == .hixie76 ? "a" : "a b"))
            #expect(client.requestTail == keys.key3)
        }
        #expect(orders.count > 40)
    }

    @Test func hasAnOriginInAnyCaseAndTheSchemeOfItsUrl() throws {
        var plan = try Self.plan(.hixie76)
        plan.origin = nil
        #expect(try OpeningClient(plan).requestHead.fields.first("Origin") == "http://example.com")
        plan.url = try Sample.url("wss://example.com:8443/x")
        #expect(try OpeningClient(plan).requestHead.fields.first("Origin") == "https://example.com:8443")
    }

    @Test func hixieHasRoomForOneSubprotocol() throws {
        for dialect in [Dialect.hixie75, .hixie76] {
            #expect(throws: WebSocketError.self) {
                try OpeningClient(try Self.plan(dialect, subprotocols: ["a", "b"]))
            }
            let both = try OpeningClient(try Self.plan(dialect, subprotocols: ["x-kaazing-handshake", "a", "b"]))
            let field = dialect == .hixie75 ? "WebSocket-Protocol" : "Sec-WebSocket-Protocol"
            #expect(both.requestHead.fields.all(field) == ["x-kaazing-handshake"])
        }
        var plan = try Self.plan(.whatwg2010)
        plan.keys = nil
        #expect(throws: WebSocketError.self) { try OpeningClient(plan) }
    }

    // MARK: The answer

    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010])
    func acceptsTheRightAnswer(_ dialect: Dialect) throws {
        let fields = Self.fields(dialect)
        let plan = try Self.plan(dialect)
        let result = try Self.accepted(plan, Self.answer(dialect, fields + ["Set-Cookie: a=b", "X: y"]))
        #expect(result?.subprotocol == "sample")
        #expect(result?.head.fields.first("set-cookie") == "a=b")
        // One space behind the colon may be missing, and names have no case (H69-3).
        let odd = fields.prefix(2) + fields.dropFirst(2).map { $0.lowercased().replacing(": ", with: ":") }
        #expect(try Self.accepted(plan, Self.answer(dialect, Array(odd))) != nil)
        // Names are any bytes but CR, LF and the colon.
        #expect(try Self.accepted(plan, Self.answer(dialect, fields + ["a b (c): d"])) != nil)
        // A field that nobody asked for is skipped.
        let unasked = try Self.plan(dialect, subprotocols: [])
        #expect(try Self.accepted(unasked, Self.answer(dialect, fields))?.subprotocol == nil)
        // But WHATWG 2010 has its characters checked in any case (W10-3).
        let malformed = Self.answer(dialect, fields.dropLast() + [fields[fields.count - 1] + " two"])
        if dialect == .whatwg2010 {
            #expect(Self.error(unasked, malformed) == .openingInvalid)
        } else {
            #expect(try Self.accepted(unasked, malformed) != nil)
        }
        // Frames stay where they are.
        var client = try OpeningClient(plan)
        var input = ByteBuffer(string: Self.answer(dialect, fields) + "rest")
        #expect(try client.receive(&input) != nil)
        #expect(String(buffer: input) == "rest")
    }

    @Test("W10-3: the order does not count, nor does the reason", arguments: [Dialect.hixie76, .whatwg2010])
    func acceptsAnyOrder(_ dialect: Dialect) throws {
        let plan = try Self.plan(dialect)
        for first in ["HTTP/1.1 101 WebSocket Protocol Handshake", "HTTP/1.1 101 ", "x 101 y"] {
            let text = Self.answer(dialect, first: first, Self.fields(dialect).reversed())
            #expect(try Self.accepted(plan, text) != nil, "\(first)")
        }
    }

    @Test("a server may decline the extended handshake by saying nothing of it")
    func declines() throws {
        for dialect in [Dialect.hixie75, .hixie76, .whatwg2010] {
            let text = Self.answer(dialect, Self.fields(dialect).dropLast())
            let alone = try Self.plan(dialect, subprotocols: ["x-kaazing-handshake"])
            let result = try #require(try Self.accepted(alone, text))
            #expect(!result.selectsExtendedHandshake)
            let both = try Self.plan(dialect, subprotocols: ["x-kaazing-handshake", "sample"])
            #expect(Self.error(both, text) == .openingInvalid)
        }
    }

    /// Every condition under which the texts have a client give up: H69-2, H69-3, H69-4, W10-3.
    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010])
    func refusesEveryWrongAnswer(_ dialect: Dialect) throws {
        let plan = try Self.plan(dialect)
        let fields = Self.fields(dialect)
        var wrong: [[String]] = []
        for index in fields.indices {
            var missing = fields
            missing.remove(at: index)
            wrong.append(missing)
            wrong.append(fields + [fields[index]])
            var other = fields
            other[index] += "x"
            wrong.append(other)
            other[index] = fields[index].replacing(": ", with: ":  ")
            wrong.append(other)
            other[index] = fields[index] + " "
            wrong.append(other)
        }
        if dialect == .hixie75 {
            // Upgrade and Connection are invariant there, and further ones are other fields.
            wrong.removeAll { $0.count == 6 && ($0[5].hasPrefix("Upgrade") || $0[5].hasPrefix("Connection")) }
            wrong.append([fields[1], fields[0]] + fields[2...])
            wrong.append(["Upgrade: websocket"] + fields[1...])
        }
        wrong += [fields + [": x"], fields + ["no colon"], [fields[0], fields[1], "a\rb: c"] + fields[2...]]
        wrong.append(fields + ["a: b\rc"])
        wrong.append(fields + ["a: b\nc: d"])
        for fields in wrong {
            #expect(Self.error(plan, Self.answer(dialect, fields)) == .openingInvalid, "\(fields)")
        }
        for first in ["HTTP/1.1", "101 x", "HTTP/1.1 101", "\r"] {
            #expect(Self.error(plan, Self.answer(dialect, first: first, fields)) == .openingInvalid, "\(first)")
        }
        #expect(Self.error(plan, Self.answer(dialect, fields).replacing("\r\n", with: "\n")) == .openingInvalid)
        let tooLong = Self.answer(dialect, fields + ["a: " + String(repeating: "b", count: 9000)])
        #expect(Self.error(plan, tooLong) == .openingInvalid)
    }

    @Test("H69-2: another reason or version is no hixie-75")
    func refusesOtherFirstLines() throws {
        let plan = try Self.plan(.hixie75)
        for first in [
            "HTTP/1.1 101 WebSocket Protocol Handshake", "HTTP/1.0 101 Web Socket Protocol Handshake",
            "HTTP/1.1 101 Web Socket Protocol Handshake ", "HTTP/1.1 101 Switching Protocols",
        ] {
            let text = Self.answer(.hixie75, first: first, Self.fields(.hixie75))
            #expect(Self.error(plan, text) == .openingInvalid, "\(first)")
        }
    }

    @Test("W10-4: each bit of the sixteen bytes counts", arguments: [Dialect.hixie76, .whatwg2010])
    func refusesAWrongProof(_ dialect: Dialect) throws {
        let plan = try Self.plan(dialect)
        let right = Array(Self.answer(dialect, Self.fields(dialect)).utf8)
        for bit in 0..<128 {
            var bytes = right
            bytes[bytes.count - 16 + bit / 8] ^= 1 << (bit % 8)
            var client = try OpeningClient(plan)
            var input = ByteBuffer(bytes: bytes)
            #expect(throws: WebSocketError.self) { try client.receive(&input) }
        }
    }

    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010])
    func anEndInTheMiddleIsAnError(_ dialect: Dialect) throws {
        let text = Array(Self.answer(dialect, Self.fields(dialect)).utf8)
        for count in stride(from: 0, to: text.count, by: 7) {
            var client = try OpeningClient(try Self.plan(dialect))
            var input = ByteBuffer(bytes: text[..<count])
            #expect(try client.receive(&input) == nil)
            #expect(throws: WebSocketError.self) { try client.inputClosed() }
        }
    }

    /// W10-5, H69-2: whatever is not 101 is HTTP as ever.
    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010], [301, 302, 303, 307, 401, 407, 404, 500])
    func otherAnswersAreHTTP(_ dialect: Dialect, _ status: Int) throws {
        let text = "HTTP/1.1 \(status) x\r\nLocation: /y\r\nContent-Length: 2\r\n\r\nno"
        guard case .response(let response)? = try Self.outcome(try Self.plan(dialect), text) else {
            Issue.record("no response")
            return
        }
        #expect(response.status == status)
        #expect(response.headers[.location] == "/y")
        // The content of a redirect is not waited for (threat F11).
        #expect(String(buffer: response.body) == (status < 400 ? "" : "no"))
    }
}
