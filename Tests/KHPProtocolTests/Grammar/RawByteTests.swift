// Bytes of a peer that are no UTF-8: they go back as they came, and never become U+FFFD (RFC 9110 section 5.5, D35).

import HTTPTypes
import NIOCore
import Testing

@testable import KHPProtocol

struct RawByteTests {
    /// A response's head with these bytes in it: `~` stands for 0xE4, an ä in ISO-8859-1.
    private static func response(_ text: String) throws -> HandshakeResponse {
        var buffer = ByteBuffer(bytes: text.utf8.map { $0 == UInt8(ascii: "~") ? 0xE4 : $0 })
        var decoder = ResponseHeadDecoder(limits: .opening)
        return HandshakeResponse(head: try #require(try decoder.decode(&buffer)))
    }

    private static func attempt(_ url: String = "ws://h/a") throws -> ConnectAttempt {
        let url = try WebSocketURL(url)
        return ConnectAttempt(
            ClientPlan(url: url),
            redirects: RedirectTracker(from: url),
            authenticator: Authenticator()
        )
    }

    @Test(
        "a realm in ISO-8859-1 is hashed and sent back as the bytes that came, and reads as what it means",
        arguments: [
            "opaque=\"o~\"", "opaque=\"o\"",
        ]
    )
    func realm(_ opaque: String) throws {
        let response = try Self.response(
            "HTTP/1.1 401 A\r\nWWW-Authenticate: Digest realm=\"Ger~t\", nonce=\"n~\", qop=\"auth\", \(opaque)\r\n\r\n"
        )
        var attempt = try Self.attempt()
        var dialogue = attempt.dialogue(about: response, in: .opening)
        guard case .ask(let request) = dialogue.begin(&attempt.authenticator, clientNonce: "c") else {
            Issue.record("nothing is asked")
            return
        }
        #expect(request.realm == "Gerät")
        #expect(request.parameters["realm"] == "Gerät")
        let joe = Credentials.login(user: "joe", password: "pw")
        guard case .send(let answer) = dialogue.take(joe, &attempt.authenticator, clientNonce: "c") else {
            Issue.record("nothing is sent")
            return
        }
        let plan = attempt.nextPlan(carrying: answer) { "c" }
        let bytes = Self.written(plan.authorization?.value)
        let realm: [UInt8] = Array("Ger".utf8) + [0xE4] + Array("t".utf8)
        #expect(Self.contains(bytes, Array("realm=\"".utf8) + realm + Array("\"".utf8)))
        #expect(Self.contains(bytes, Array("nonce=\"n".utf8) + [0xE4, 0x22]))
        // RFC 7616 section 3.4.1, over bytes.
        let md5 = DigestAlgorithm.md5
        let secret = md5.hash(Array("joe:".utf8) + realm + Array(":pw".utf8))
        let request2 = md5.hash("GET:/a")
        let expected = md5.hash(Array("\(secret):n".utf8) + [0xE4] + Array(":00000001:c:auth:\(request2)".utf8))
        #expect(Self.contains(bytes, Array("response=\"\(expected)\"".utf8)))
    }

    /// The opening request and the extended one as they go out with it, one behind the other.
    private static func written(_ authorization: String?) -> [UInt8] {
        guard let url = try? WebSocketURL("ws://h/a") else { return [] }
        let plan = OpeningClientPlan(url: url, key: Sample.key, authorization: authorization)
        var buffer = ByteBuffer()
        try? OpeningClient(plan).requestHead.write(into: &buffer)
        let opening = Array(buffer.readableBytesView)
        var client = ExtendedClient(ExtendedClientPlan(url: url, authorization: authorization, acceptValue: ""))
        let extended = Array(client.start(now: .now()).readableBytesView)
        // Both hold the same value.
        func value(_ bytes: [UInt8]) -> ArraySlice<UInt8>? {
            bytes.split(separator: 0x0D).first { $0.dropFirst().starts(with: "Authorization: ".utf8) }
        }
        #expect(value(opening) == value(extended) || value(opening).map(Array.init) == value(extended).map(Array.init))
        return opening
    }

    private static func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        bytes.indices.contains { bytes[$0...].starts(with: part) }
    }

    @Test("a Basic realm likewise", arguments: ["Basic realm=\"Ger~t\"", "Digest realm=\"Ger~t\", nonce=n"])
    func asked(_ challenge: String) throws {
        let response = try Self.response("HTTP/1.1 401 A\r\nWWW-Authenticate: \(challenge)\r\n\r\n")
        var attempt = try Self.attempt()
        var dialogue = attempt.dialogue(about: response, in: .opening)
        guard case .ask(let request) = dialogue.begin(&attempt.authenticator, clientNonce: "c") else {
            Issue.record("nothing is asked")
            return
        }
        #expect(request.realm == "Gerät")
    }

    @Test("two realms that differ in such bytes alone are two")
    func realmsDiffer() throws {
        let text = "HTTP/1.1 401 A\r\nWWW-Authenticate: Digest realm=\"~\", nonce=n\r\n\r\n"
        let first = try Self.response(text)
        var buffer = ByteBuffer(bytes: text.utf8.map { $0 == UInt8(ascii: "~") ? 0xF6 : $0 })
        var decoder = ResponseHeadDecoder(limits: .opening)
        let second = HandshakeResponse(head: try #require(try decoder.decode(&buffer)))
        var realms: [String?] = []
        for response in [first, second] {
            var attempt = try Self.attempt()
            var dialogue = attempt.dialogue(about: response, in: .opening)
            if case .ask(let request) = dialogue.begin(&attempt.authenticator, clientNonce: "c") {
                realms.append(request.realm)
            }
        }
        #expect(realms == ["ä", "ö"])
    }

    @Test(
        "D35: raw bytes of a Location are percent-encoded one by one",
        arguments: [
            ("/caf~", "ws://h/caf%E4"), ("/?q=~&x=~~", "ws://h/?q=%E4&x=%E4%E4"), ("ws://h/~/../b", "ws://h/b"),
            ("/ä", "ws://h/%C3%A4"),
        ]
    )
    func location(_ value: String, _ expected: String) throws {
        let response = try Self.response("HTTP/1.1 302 A\r\nLocation: \(value)\r\n\r\n")
        var attempt = try Self.attempt()
        let step = try attempt.follow(HopOutcome(kind: .redirect, layer: .opening, response: response))
        #expect(step?.to.description == expected)
    }

    @Test("D35: and those of the choices in an entity, in lines and in attributes")
    func choicesInEntity() throws {
        for (type, text) in [("text/uri-list", "/caf~\n/b"), ("text/html", "<a href='/caf~'><a href=\"/b\">")] {
            var response = try Self.response("HTTP/1.1 300 A\r\nContent-Type: \(type)\r\n\r\n")
            response.body = ByteBuffer(bytes: text.utf8.map { $0 == UInt8(ascii: "~") ? 0xE4 : $0 })
            var attempt = try Self.attempt()
            let step = try attempt.follow(HopOutcome(kind: .choose, layer: .opening, response: response))
            #expect(step?.to.description == "ws://h/caf%E4")
        }
    }

    @Test("a host that is no ASCII is refused in a Location as in a URL, with the spelling to use")
    func host() throws {
        let response = try Self.response("HTTP/1.1 302 A\r\nLocation: ws://caf~.example/\r\n\r\n")
        var attempt = try Self.attempt()
        let error = #expect(throws: WebSocketError.self) {
            try attempt.follow(HopOutcome(kind: .redirect, layer: .opening, response: response))
        }
        #expect(error?.message.contains("xn--") == true)
        let own = #expect(throws: WebSocketError.self) { try WebSocketURL("ws://café.example/") }
        #expect(own?.message.contains("xn--") == true)
        let unescaped = #expect(throws: WebSocketError.self) { try WebSocketURL("ws://h/a b{c}") }
        #expect(unescaped?.message.contains("%20") == true)
    }

    @Test("a reason phrase in ISO-8859-1 reads as what it means; the fields keep their bytes")
    func reason() throws {
        let response = try Self.response("HTTP/1.1 403 Ger~t\r\nX: ~\r\n\r\n")
        #expect(response.description == "403 Gerät")
        let field = try #require(response.headers.first)
        #expect(field.withUnsafeBytesOfValue { Array($0) } == [0xE4])
    }

    @Test("a cookie with such bytes is passed over whole")
    func cookie() throws {
        var buffer = ByteBuffer(
            bytes: Array("HTTP/1.1 101 A\r\nSet-Cookie: a=b".utf8) + [0xE4] + Array("\r\n\r\n".utf8)
        )
        var decoder = ResponseHeadDecoder(limits: .opening)
        #expect(setCookies(in: try #require(try decoder.decode(&buffer))).isEmpty)
    }

    private static func string(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { FieldText.string($0) } }

    @Test(
        "whatever the bytes, the text gives them back; what is UTF-8 is the text that it is",
        arguments: [
            [], Array("a\tb".utf8), Array("Grüße 🙂 漢".utf8), [0xE4], [0xC3], [0xC3, 0xA4, 0xE4],
            [0xF4, 0x8F, 0xBF, 0xA4],
            [0xF4, 0x8F, 0xBE, 0x80], [0xF4, 0x8F, 0xBD, 0xBF], [0xED, 0xA0, 0x80], [0xE0, 0x80, 0x80], [0xF5], [0xF4],
            [0xF4, 0x90, 0x80, 0x80], [0xC0, 0x80], [0x80], [0xFF, 0x41], [0xF0, 0x9F, 0x99], Array(0x80...0xFF),
        ]
    )
    func roundTrip(_ bytes: [UInt8]) {
        let text = Self.string(bytes)
        #expect(FieldText.bytes(of: text) == bytes)
        #expect(!text.unicodeScalars.contains("\u{FFFD}"))
        if let known = String(validating: bytes, as: UTF8.self), !bytes.contains(0xF4) { #expect(text == known) }
        #expect(FieldText.readable(text) == bytes.withUnsafeBytes { FieldText.readable($0) } || bytes.contains(0xF4))
    }

    @Test("the same for any bytes")
    func anyBytes() {
        var generator = SeededGenerator(seed: 35)
        let pool: [UInt8] = [
            0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBD, 0xBE, 0xBF, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xFF,
        ]
        for _ in 0..<3000 {
            let bytes = (0..<8).map { _ in pool[Int(generator.next() % UInt64(pool.count))] }
            #expect(FieldText.bytes(of: Self.string(bytes)) == bytes)
        }
    }
}
