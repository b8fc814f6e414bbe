// Heads are written into memory that is measured beforehand: one byte too few, and the head stays without its end.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

/// The numbers go over several powers of two, where a buffer has no room to spare.
@Suite("A head of any length is written whole")
struct LongHeadTests {
    private static let name = HTTPField.Name("X-A")

    private func request(
        subprotocols: [String] = [],
        fields: HTTPFields = [:],
        authorization: String? = nil,
        query: String? = nil
    ) throws -> String {
        let url = try Sample.url("ws://example.com:8080/trades" + (query.map { "?" + $0 } ?? ""))
        let plan = ExtendedClientPlan(
            url: url,
            subprotocols: subprotocols,
            extraFields: fields,
            authorization: authorization,
            acceptValue: Sample.accept
        )
        var client = ExtendedClient(plan)
        return String(buffer: client.start(now: .uptimeNanoseconds(0)))
    }

    @Test("an extended request")
    func extendedRequest() throws {
        let name = try #require(Self.name)
        for count in 0..<700 {
            let subprotocols = (0..<count).map { "p\($0)" }
            let list = try self.request(subprotocols: subprotocols)
            #expect(list.hasSuffix("\r\n\r\n") && list.contains(subprotocols.joined(separator: ", ")))
            var fields = HTTPFields()
            for index in 0..<count / 4 { fields.append(HTTPField(name: name, value: "\(index)")) }
            let lines = try self.request(fields: fields)
            #expect(lines.hasSuffix("\r\n\r\n"))
            #expect(lines.split(separator: "\r\n").count { $0.hasPrefix("X-A: ") } == count / 4)
            let long = String(repeating: "x", count: count * 3)
            #expect(try self.request(authorization: "Basic \(long)").hasSuffix("Authorization: Basic \(long)\r\n\r\n"))
            #expect(try self.request(query: long).hasPrefix("GET /trades?\(long) HTTP/1.1\r\n"))
        }
    }

    @Test("a 101")
    func acceptance() throws {
        for count in 0..<200 {
            let extensions = (0..<count).map { NegotiatedExtension(name: "e\($0)", layer: .opening) }
            let acceptance = Acceptance(
                acceptValue: AcceptValue(Sample.accept),
                negotiated: Agreement(subprotocol: String(repeating: "s", count: count * 5), extensions: extensions),
                date: Sample.date,
                server: String(repeating: "k", count: count * 7)
            )
            var buffer = ByteBuffer()
            acceptance.write(into: &buffer)
            let text = String(buffer: buffer)
            #expect(text.hasSuffix("\r\nUpgrade: websocket\r\n\r\n"))
            #expect(text.split(separator: "\r\n").count { $0.hasPrefix("Sec-WebSocket-Extensions: e") } == count)
        }
    }
}
