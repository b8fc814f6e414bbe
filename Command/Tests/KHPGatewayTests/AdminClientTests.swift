// A question to an admin address: names with several addresses, and answers that are whole or cut.

import CommandTestSupport
import Foundation
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import KHPGateway

@Suite("The client of an admin address", .timeLimit(.minutes(1)))
struct AdminClientTests {
    @Test("a name is asked at the address that answers, also where nobody listens at its first one")
    func addresses() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound { break }
                try await outbound.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
            }
        } body: { port in
            for addresses in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]] {
                var client = AdminClient(.host("gateway.test", port: port), limit: .seconds(5))
                client.names = HostNames { _, port in
                    try addresses.map { try SocketAddress(ipAddress: $0, port: port) }
                }
                let answer = try await client.ask("GET", "/readyz")
                #expect(answer.status == 200 && answer.body == "{}", "\(addresses)")
            }
        }
    }

    static let rows: [(text: String, status: Int, body: String)] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
        ("HTTP/1.1 200\r\ncontent-length:\t2 \r\n\r\n{}more", 200, "{}"),
        ("HTTP/1.0 503 Later\r\n\r\n{}", 503, "{}"),
        ("HTTP/1.1 204 Done\r\n\r\n", 204, ""),
        ("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\n{\r\n001;a=b\r\n}\r\n0\r\nA: b\r\n\r\n", 200, "{}"),
    ]

    @Test("an answer that is whole, with a length, in chunks or up to the end", arguments: Self.rows)
    func whole(_ row: (text: String, status: Int, body: String)) throws {
        let answer = try Self.answer(row.text)
        #expect(answer.status == row.status && answer.body == row.body)
    }

    @Test(
        "what is cut, or no answer of HTTP/1, is none",
        arguments: [
            "", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "SSH-2.0 200\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{       }more than the bound",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        ]
    )
    func cut(_ text: String) {
        #expect(throws: AdminClient.Failure.self) { try Self.answer(text) }
    }

    @Test("content of no length is whole where the connection ends in order, and nowhere else")
    func lost() throws {
        let text = "HTTP/1.1 200 OK\r\n\r\n{}"
        #expect(throws: AdminClient.Failure.self) { try Self.answer(text, endsWell: false) }
        let counted = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
        #expect(try Self.answer(counted, endsWell: false).body == "{}")
    }

    @Test("a connection that is lost before an answer tells why")
    func reset() {
        #expect(throws: IOError.self) { try Self.answer("", endsWell: false) }
    }

    @Test("a token that is no field value ends the question")
    func token() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        } body: { port in
            let client = AdminClient(.host("127.0.0.1", port: port), token: "a\r\nB: c")
            await #expect(throws: AdminClient.Failure.self) { try await client.ask("GET", "/readyz") }
        }
    }

    /// - Parameter endsWell: `false` for a connection that is reset behind the text.
    private static func answer(_ text: String, endsWell: Bool = true) throws -> AdminClient.Answer {
        let channel = EmbeddedChannel()
        defer { _ = try? channel.finish() }
        let handler = AdminAnswerHandler(most: 8)
        try channel.pipeline.syncOperations.addHTTPClientHandlers()
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "admin")).wait()
        let promise = channel.eventLoop.makePromise(of: AdminClient.Answer.self)
        handler.ask(HTTPRequestHead(version: .http1_1, method: .GET, uri: "/"), promise)
        _ = try? channel.writeInbound(ByteBuffer(string: text))
        if !endsWell { channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNRESET, reason: "read")) }
        _ = try? channel.finish()
        return try promise.futureResult.wait()
    }
}
