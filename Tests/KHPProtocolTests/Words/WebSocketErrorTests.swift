import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct WebSocketErrorTests {
    @Test func codesHaveNamesOfTheirOwn() {
        #expect(Set(WebSocketError.Code.all.map(\.description)).count == WebSocketError.Code.all.count)
        #expect(WebSocketError.Code.all.count == 27)
        for code in WebSocketError.Code.all {
            #expect(WebSocketError.Code(name: code.description) == code)
            #expect(Token.isToken(code.description))
        }
        #expect(WebSocketError.Code(name: "nonsense") == nil)
    }

    @Test("Threat G12: no credential in any text of an error")
    func showsNoSecrets() throws {
        let response = HandshakeResponse(
            status: 403,
            reason: "Forbidden",
            headers: [.setCookie: "session=CANARY"],
            body: ByteBuffer(string: "CANARY")
        )
        let error = WebSocketError(
            .extendedRefused,
            "The server refused.",
            url: try WebSocketURL("wss://h/path?token=CANARY"),
            response: response,
            closeCode: .normalClosure,
            phase: .extended
        )
        var dumped = ""
        dump(error, to: &dumped)
        dump(response, to: &dumped)
        for text in ["\(error)", String(reflecting: error), "\(response)", dumped] {
            #expect(!text.contains("CANARY"))
        }
        #expect(
            "\(error)" == "extended-refused: The server refused. (during extended, at wss://h/path?token=•••, "
                + "status 403 Forbidden, close code 1000)"
        )
        #expect("\(WebSocketError(.closed, "It is closed."))" == "closed: It is closed.")
    }

    @Test("Threat B11: which close codes may be sent")
    func closeCodes() {
        for code in UInt16.min...UInt16.max {
            let expected = (1000...1003).contains(code) || (1007...1014).contains(code) || (3000...4999).contains(code)
            #expect(WebSocketCloseCode(rawValue: code).isValidOnWire == expected)
        }
    }
}
