// Several Location fields in one answer (D32).

import HTTPTypes
import NIOCore
import Testing

@testable import KHPProtocol

struct LocationTests {
    private static func follow(_ locations: [String], status: Int = 302) throws -> RedirectStep? {
        var text = "HTTP/1.1 \(status) Found\r\n"
        for location in locations { text += "Location: \(location)\r\n" }
        var buffer = ByteBuffer(string: text + "\r\n")
        var decoder = ResponseHeadDecoder(limits: .opening)
        let response = HandshakeResponse(head: try #require(try decoder.decode(&buffer)))
        let url = try WebSocketURL("ws://h/a?x=1")
        var attempt = ConnectAttempt(
            ClientPlan(url: url),
            redirects: RedirectTracker(from: url, follows308: true),
            authenticator: Authenticator()
        )
        return try attempt.follow(
            HopOutcome(kind: status == 300 ? .choose : .redirect, layer: .extended, response: response)
        )
    }

    @Test(
        "D32: equal after resolution they are one",
        arguments: [["/b", "/b"], ["/b", "ws://h/b", "http://H:80/c/../b"], ["b", "/b"]],
        [300, 301, 302, 303, 307, 308]
    )
    func equal(_ locations: [String], _ status: Int) throws {
        #expect(try Self.follow(locations, status: status)?.to.description == "ws://h/b")
    }

    @Test(
        "D32: different ones cannot be followed",
        arguments: [["/b", "/c"], ["/b", "/b", "ws://other/b"], ["/b", "ftp://h/"], ["/b", ""]],
        [301, 302, 303, 307, 308]
    )
    func different(_ locations: [String], _ status: Int) throws {
        let error = #expect(throws: WebSocketError.self) { try Self.follow(locations, status: status) }
        #expect(error?.code == .redirectRefused)
        #expect(error?.response?.status == status)
    }

    @Test(
        "a scheme may hold digits and three marks, and is no path then (RFC 3986 section 3.1, threat F9)",
        arguments: ["a-b://h/", "a+b://h/", "a.b://h/", "a1://h/", "A-1.+b:x", "mailto:x"]
    )
    func schemes(_ location: String) {
        let error = #expect(throws: WebSocketError.self) { try Self.follow([location]) }
        #expect(error?.code == .redirectRefused)
    }

    @Test(
        "what begins with no letter, or has another mark before its colon, is a path",
        arguments: [("1a:x", "/1a:x"), ("a_b:x", "/a_b:x"), ("-a:x", "/-a:x"), ("./a-b:x", "/a-b:x")]
    )
    func colons(_ location: String, _ resource: String) throws {
        #expect(try Self.follow([location])?.to.resource == resource)
    }

    @Test("those of a 300 are choices", arguments: [["/b", "/c"], ["ftp://h/", "/b"]])
    func choices(_ locations: [String]) throws {
        #expect(try Self.follow(locations, status: 300)?.to.description == "ws://h/b")
    }
}
