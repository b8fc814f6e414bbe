// Every refusal of our own explains itself, and says whether trying again can help (D39).

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite("The entity of a 4xx or 5xx (D39)")
struct ExplanationTests {
    private static func entity(_ answer: HandshakeResponse, method: String = "GET") -> [String] {
        var buffer = ByteBuffer()
        answer.write(into: &buffer, layer: .extended, date: Sample.date, method: method)
        guard let end = buffer.text.firstRange(of: "\r\n\r\n") else { return [] }
        // The word on trying again stands behind the sentence.
        return buffer.text[end.upperBound...].replacing(". Trying ", with: ".\nTrying ").split(separator: "\n")
            .map(String.init)
    }

    private static func isSentence(_ text: String) -> Bool {
        text.hasSuffix(".") && text.first?.isUppercase == true && text.count > 15 && text.count < 120
    }

    @Test("the code with its phrase, a sentence, and a word on trying again", arguments: 400...599)
    func everyCode(status: Int) {
        let lines = Self.entity(HandshakeResponse(status: status))
        #expect(lines.count == 3)
        #expect(lines.first?.hasPrefix("\(status) ") == true || lines.first == "\(status)")
        #expect(lines.dropFirst().allSatisfy(Self.isSentence), "\(lines)")
        #expect(lines.last?.contains("again") == true)
        #expect(Self.entity(HandshakeResponse(status: status), method: "HEAD").isEmpty)
    }

    @Test("what is over by itself, and what is not")
    func outlook() {
        for status in [408, 425, 429, 500, 502, 503, 504, 507] {
            #expect(Self.entity(HandshakeResponse(status: status)).last == "Trying again later can help.", "\(status)")
        }
        for status in [401, 407] {
            #expect(Self.entity(HandshakeResponse(status: status)).last == "Trying again with credentials can help.")
        }
        for status in [400, 403, 404, 405, 410, 413, 414, 417, 421, 426, 431, 501, 505] {
            #expect(
                Self.entity(HandshakeResponse(status: status)).last == "Trying the same again does not help.",
                "\(status)"
            )
        }
        // A time to wait says that waiting helps.
        let later = Self.entity(HandshakeResponse(status: 403, headers: [.retryAfter: "5"]))
        #expect(later.last == "Trying again later can help.")
    }

    @Test("an endpoint's own words stay as they are, and so does what is no error")
    func others() {
        #expect(
            Self.entity(HandshakeResponse(status: 404, body: ByteBuffer(string: "gone fishing"))) == ["gone fishing"]
        )
        #expect(Self.entity(HandshakeResponse(status: 404, body: ByteBuffer())) == [])
        #expect(Self.entity(HandshakeResponse(status: 302)) == ["302 Found"])
        #expect(Self.entity(HandshakeResponse(status: 202)) == ["202 Accepted"])
    }

    @Test("a refusal of the server itself says what is wrong in the middle")
    func refusal() {
        let refusal = Refusal(400, "There is no Host field.")
        #expect(
            Self.entity(refusal.response) == [
                "400 Bad Request", "There is no Host field.", "Trying the same again does not help.",
            ]
        )
    }
}
