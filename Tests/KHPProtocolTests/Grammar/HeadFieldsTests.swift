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
        #expect(fields.hasToken(token, in: name) == expected)
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
