import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct HeadFieldsTests {
    private let fields: HeadFields = {
        var fields = HeadFields()
        fields.append("Upgrade", "websocket")
        fields.append("Connection", "keep-alive,\tUPGRADE , x")
        fields.append("Sec-WebSocket-Protocol", "a, b,,")
        fields.append("sec-websocket-protocol", " ,c")
        fields.append("Authorization", "Basic c2VjcmV0")
        return fields
    }()

    @Test func lookUps() {
        #expect(self.fields.count == 5)
        #expect(self.fields.count(of: "SEC-WEBSOCKET-PROTOCOL") == 2)
        #expect(self.fields.list("Sec-WebSocket-Protocol") == ["a", "b", "c"])
        #expect(self.fields.all("Sec-WebSocket-Protocol") == ["a, b,,", " ,c"])
        #expect(self.fields.contains("upgrade"))
        #expect(!self.fields.contains("upgrad"))
        #expect(self.fields.value(of: "upgrade", equals: "websocket"))
        #expect(!self.fields.value(of: "upgrade", equals: "WebSocket"))
        #expect(self.fields.value(of: "upgrade", equalsIgnoringCase: "WebSocket"))
        #expect(!self.fields.value(of: "upgraded", equals: "websocket"))
    }

    @Test(arguments: [
        ("Connection", "upgrade", true), ("Connection", "keep-alive", true), ("Connection", "X", true),
        ("Connection", "keep", false), ("Connection", "alive", false), ("Connection", "", false),
        ("Sec-WebSocket-Protocol", "c", true), ("Missing", "x", false),
    ])
    func hasToken(name: String, token: String, expected: Bool) {
        #expect(self.fields.hasToken(token, in: name) == expected)
    }

    static let knownNames: [(KnownField, String)] = [
        (.host, "Host"), (.expect, "Expect"), (.origin, "Origin"), (.cookie, "Cookie"), (.upgrade, "Upgrade"),
        (.location, "Location"), (.connection, "Connection"), (.contentType, "Content-Type"),
        (.authorization, "Authorization"), (.contentLength, "Content-Length"),
        (.transferEncoding, "Transfer-Encoding"), (.key, "Sec-WebSocket-Key"), (.accept, "Sec-WebSocket-Accept"),
        (.version, "Sec-WebSocket-Version"), (.subprotocol, "Sec-WebSocket-Protocol"),
        (.extensions, "Sec-WebSocket-Extensions"), (.numberedKey, "Sec-WebSocket-Key1"),
        (.numberedKey, "Sec-WebSocket-Key2"),
    ]

    @Test(arguments: Self.knownNames)
    func knownFieldsAreToldApartInAnyCase(field: KnownField, name: String) throws {
        for spelling in [name, name.lowercased(), name.uppercased()] {
            for fields in try [Self.appended(spelling), Self.decoded(spelling)] {
                #expect(fields.contains(field))
                #expect(fields.first(field) == "value")
                #expect(fields.all(field) == ["value"])
            }
        }
    }

    /// Each byte of a name is changed, also to those that differ from it in nothing but the bit of the case.
    @Test(arguments: Self.knownNames)
    func namesThatAreAlmostKnownAreNot(field: KnownField, name: String) throws {
        let bytes = Array(name.utf8)
        for index in bytes.indices where field != .numberedKey || index < bytes.count - 1 {
            for other in [bytes[index] ^ 0x01, bytes[index] ^ 0x10, UInt8(ascii: "~"), UInt8(ascii: "^")] {
                var changed = bytes
                changed[index] = other
                let text = String(decoding: changed, as: UTF8.self)
                guard Token.isToken(text) else { continue }
                for fields in try [Self.appended(text), Self.decoded(text)] {
                    #expect(!fields.contains(field), "\(text)")
                    #expect(fields.first(field) == nil)
                }
            }
        }
    }

    private static func appended(_ name: String) -> HeadFields {
        var fields = HeadFields()
        fields.append("X-First", "1")
        fields.append(name, "value")
        return fields
    }

    private static func decoded(_ name: String) throws -> HeadFields {
        var input = ByteBuffer(string: "GET / HTTP/1.1\r\nX-First: 1\r\n\(name): value\r\n\r\n")
        var decoder = RequestHeadDecoder(limits: .opening)
        return try #require(try decoder.decode(&input)).fields
    }

    @Test(arguments: [
        ("upgrade", true), ("UPGRADE, h2c", true), (" ,websocket,\tUpgrade ", true), ("upgrades", false),
        ("keep-alive", false), ("", false),
    ])
    func knownFieldHasToken(value: String, expected: Bool) {
        var fields = HeadFields()
        fields.append("Connection", "x")
        fields.append("connection", value)
        #expect(fields.hasToken("upgrade", in: .connection) == expected)
    }

    @Test func writesWhatWasAppended() {
        var buffer = ByteBuffer()
        ResponseHead(status: 101, reason: "OK", fields: self.fields).write(into: &buffer)
        let text = String(buffer: buffer)
        #expect(text.hasPrefix("HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: keep-alive"))
        #expect(text.hasSuffix("Authorization: Basic c2VjcmV0\r\n\r\n"))
    }

    @Test func decodedFieldsEqualAppendedOnes() throws {
        var input = ByteBuffer(string: "GET / HTTP/1.1\r\nUpgrade:websocket \r\nA: b\r\n\r\n")
        var decoder = RequestHeadDecoder(limits: .opening)
        let head = try #require(try decoder.decode(&input))
        var expected = HeadFields()
        expected.append("Upgrade", "websocket")
        expected.append("A", "b")
        #expect(head.fields == expected)
        var more = head.fields
        more.append("C", "d")
        expected.append("C", "d")
        #expect(more == expected)
        var written = ByteBuffer()
        more.write(into: &written)
        #expect(String(buffer: written) == "Upgrade: websocket\r\nA: b\r\nC: d\r\n")
        expected.append("c", "d")
        #expect(more != expected)
    }

    @Test("fields that take memory of their own stay the same, and leave the buffer that they came in to others")
    func detaches() throws {
        var arrived = ByteBuffer(string: "GET / HTTP/1.1\r\nUpgrade:websocket \r\nA: b\r\n\r\n")
        var fields: HeadFields
        do {
            var input = arrived
            var decoder = RequestHeadDecoder(limits: .opening)
            fields = try #require(try decoder.decode(&input)).fields
        }
        let before = fields
        #expect(arrived.modifyIfUniquelyOwned { _ in true } == nil)
        fields.detach()
        #expect(fields == before)
        #expect(fields.first(.upgrade) == "websocket")
        fields.append("C", "d")
        #expect(fields.first("C") == "d")
    }

    @Test(arguments: [
        ("0", HeadFields.ContentLength.bytes(0)), ("42", .bytes(42)), ("", .invalid), ("-1", .invalid),
        ("+1", .invalid), ("1, 1", .invalid), ("0x10", .invalid), ("99999999999999999999", .invalid),
    ])
    func contentLength(value: String, expected: HeadFields.ContentLength) {
        var fields = HeadFields()
        #expect(fields.contentLength == .absent)
        fields.append("content-length", value)
        #expect(fields.contentLength == expected)
    }

    @Test func httpFieldsKeepOrderAndSpelling() {
        let http = self.fields.httpFields
        #expect(http.map(\.name.rawName).prefix(2) == ["Upgrade", "Connection"])
        #expect(http[values: HTTPField.Name("Sec-WebSocket-Protocol")!].count == 2)
        var back = HeadFields()
        back.append(contentsOf: http)
        #expect(back.count == 5)
    }

    @Test("Threats E18, G12: no description shows a credential")
    func secretsAreHidden() {
        let head = RequestHead(method: "GET", target: "/", fields: self.fields)
        var dumped = ""
        dump(head, to: &dumped)
        for text in ["\(head)", "\(self.fields)", String(reflecting: head), dumped] {
            #expect(!text.contains("c2VjcmV0"))
        }
        #expect("\(head)".contains("Authorization: •••\n"))
        #expect("\(head)".contains("Upgrade: websocket\n"))
    }
}
