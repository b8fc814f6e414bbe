// RFC 9112 sections 3.2 and 6.3: a request that HTTP itself refuses is refused before its purpose counts.

import KHPProtocol
import NIOCore
import TestSupport
import Testing

@Suite("One check for all requests on the wire")
struct RequestCheckTests {
    /// The status with which the machine refuses a request, or none where it goes on.
    private static func status(_ text: String) -> Int? {
        var server = OpeningServer()
        var input = ByteBuffer(string: text)
        do {
            guard let head = try server.receiveHead(&input) else { return 0 }
            _ = try CheckedRequest(head)
            return nil
        } catch {
            return error.status
        }
    }

    @Test("with an upgrade and without", arguments: WireRequest.all)
    func table(_ row: WireRequest) {
        for asksForUpgrade in [false, true] {
            let status = Self.status(row.text(asksForUpgrade: asksForUpgrade))
            #expect(status == (row.isValid ? nil : 400), "\(asksForUpgrade ? "with" : "without") an upgrade")
        }
    }

    @Test("what only an upgrade may not have", arguments: WireRequest.plain)
    func plain(_ row: WireRequest) {
        #expect(Self.status(row.text(asksForUpgrade: false)) == nil)
    }

    /// HEAD is answered without content, whatever the fault.
    @Test func headGetsNoContent() throws {
        var server = OpeningServer()
        var input = ByteBuffer(string: "HEAD / HTTP/1.1\r\n\r\n")
        do {
            _ = try CheckedRequest(try #require(try server.receiveHead(&input)))
            Issue.record("taken")
        } catch let error as Refusal {
            var answer = ByteBuffer()
            error.write(into: &answer, date: Sample.date)
            #expect(answer.text.hasPrefix("HTTP/1.1 400 "))
            #expect(answer.text.hasSuffix("\r\n\r\n"))
        }
    }

    /// The drafts of version 8 name the page in either field: 08 to 10 in the one, 11 and 12 in the other.
    @Test(
        arguments: [
            (["Sec-WebSocket-Origin: http://a"], "http://a"), (["Origin: http://a"], "http://a"),
            (["Origin: http://a", "Sec-WebSocket-Origin: http://a"], "http://a"), ([], nil),
        ] as [([String], String?)]
    )
    func version8HasOneOrigin(lines: [String], origin: String?) throws {
        #expect(try Sample.opening(replacing: ["Sec-WebSocket-Version": "8"], adding: lines).origin == origin)
    }

    @Test(arguments: [
        ["Origin: http://a", "Sec-WebSocket-Origin: http://b"], ["Sec-WebSocket-Origin: http://a", "Origin: null"],
        ["Sec-WebSocket-Origin: http://a", "Sec-WebSocket-Origin: http://b"],
        ["Sec-WebSocket-Origin: http://a", "Sec-WebSocket-Origin: http://a"],
    ])
    func version8RefusesTwoOrigins(lines: [String]) {
        var server = OpeningServer()
        let text = Sample.openingLines(replacing: ["Sec-WebSocket-Version": "8"], adding: lines)
        var input = ByteBuffer(string: text)
        #expect { _ = try server.receive(&input) } throws: { ($0 as? Refusal)?.status == 400 }
    }

    @Test func version13HasOriginAlone() throws {
        let lines = ["Origin: http://a", "Sec-WebSocket-Origin: http://b"]
        #expect(try Sample.opening(adding: lines).origin == "http://a")
        #expect(try Sample.opening(adding: ["Sec-WebSocket-Origin: http://b"]).origin == nil)
    }
}
