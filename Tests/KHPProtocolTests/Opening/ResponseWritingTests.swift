// The bytes of a server's answers other than 101, in the order that deployed clients were written against (D10).

import HTTPTypes
import NIOCore
import Testing

@testable import KHPProtocol

@Suite("What a refusal, a redirect and a completing answer with content look like (D10)")
struct ResponseWritingTests {
    private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

    private func lines(_ answer: HandshakeResponse, _ layer: HandshakeLayer = .extended, method: String = "GET")
        -> [String]
    {
        var buffer = ByteBuffer()
        answer.write(into: &buffer, layer: layer, date: Self.date, method: method)
        return String(buffer: buffer).split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
    }

    @Test("Content-Type, Date, the answer's own fields, Content-Length, a readable entity")
    func refusal() {
        #expect(
            self.lines(HandshakeResponse(status: 404, headers: [.retryAfter: "5"])) == [
                "HTTP/1.1 404 Not Found", "Content-Type: text/plain; charset=utf-8", "Date: \(Self.date)",
                "Retry-After: 5", "Content-Length: 80", "",
                "404 Not Found\nThe server has nothing at this path. Trying again later can help.\n",
            ]
        )
    }

    @Test("a Content-Type of the answer's own stands in the same place")
    func ownContentType() {
        let fields: HTTPFields = [.location: "/b", .contentType: "text/uri-list"]
        #expect(
            self.lines(HandshakeResponse(status: 300, headers: fields, body: ByteBuffer(string: "ws://b/"))) == [
                "HTTP/1.1 300 Multiple Choices", "Content-Type: text/uri-list", "Date: \(Self.date)",
                "Location: /b", "Content-Length: 7", "", "ws://b/",
            ]
        )
    }

    @Test("in the opening the connection ends with it; HEAD is answered without the content")
    func opening() {
        #expect(
            self.lines(HandshakeResponse(status: 405, headers: [.allow: "GET"]), .opening, method: "HEAD") == [
                "HTTP/1.1 405 Method Not Allowed", "Connection: close", "Content-Type: text/plain; charset=utf-8",
                "Date: \(Self.date)", "Allow: GET", "Content-Length: 103", "", "",
            ]
        )
    }

    @Test("answers that end with their head have neither content nor its fields; 1xx have no date")
    func withoutContent() {
        #expect(
            self.lines(HandshakeResponse(status: 204)) == ["HTTP/1.1 204 No Content", "Date: \(Self.date)", "", ""]
        )
        #expect(self.lines(HandshakeResponse(status: 100)) == ["HTTP/1.1 100 Continue", "", ""])
    }
}
