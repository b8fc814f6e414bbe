import HTTPTypes
import KHPProtocol
import KHPServer
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("What an application answers and nobody can send is a 500, and is logged as an error", .timeLimit(.minutes(1)))
struct AnswerFaultTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        var answer: @Sendable () -> HandshakeResponse
        /// The text that must not reach the wire.
        var poison = "X-Injected"

        init(_ name: String, _ answer: @escaping @Sendable () -> HandshakeResponse) {
            self.name = name
            self.answer = answer
        }

        var testDescription: String { self.name }
    }

    static let rows: [Row] = [
        Row("a subprotocol that was not offered") { .complete(subprotocol: "X-Injected") },
        Row("a subprotocol with a line break") { .complete(subprotocol: "amqp\r\nX-Injected: 1") },
        Row("x-kaazing-handshake as the application's") { .complete(subprotocol: "x-kaazing-handshake") },
        Row("an empty subprotocol") { .complete(subprotocol: "") },
        Row("a control character in a completing answer") { .complete(headers: Self.lenient("a\u{1}X-Injected")) },
        Row("a control character in a refusal") { .refuse(403, headers: Self.lenient("a\u{7F}X-Injected")) },
        Row("a control character in a 201") { .created("made", headers: Self.lenient("a\u{B}X-Injected")) },
        Row("a line break in a challenge") { .challenge("Basic realm=\"a\r\nX-Injected: 1\"") },
        Row("a challenge that is none") { .challenge("") },
        Row("a 401 without a challenge") { .refuse(401) },
        Row("a line break in a redirect") { .redirect(to: "/a\r\nX-Injected: 1") },
        Row("a blank in a redirect") { .redirect(to: "/a X-Injected") },
        Row("a redirect to nowhere") { .redirect(to: "") },
        Row("a line break in a choice") { .choices(["/a\r\nX-Injected: 1"]) },
        Row("a line break in a media type") { .created("made", contentType: "text/plain\r\nX-Injected: 1") },
        Row("status 0") { HandshakeResponse(status: 0) },
        Row("status 99") { HandshakeResponse(status: 99) },
        Row("status -1") { HandshakeResponse(status: -1) },
        Row("status 1000") { HandshakeResponse(status: 1000) },
        Row("status 65536") { .refuse(65536, "X-Injected") },
        Row("after a 202") { .processing { .complete(subprotocol: "X-Injected") } },
    ]

    static func lenient(_ value: String) -> HTTPFields {
        var fields = HTTPFields()
        if let name = HTTPField.Name("X-Own") {
            fields.append(HTTPField(name: name, lenientValue: Array(value.utf8)))
        }
        return fields
    }

    private func withFaultyServer(
        _ answer: @escaping @Sendable () -> HandshakeResponse,
        _ body: (Int) async throws -> Void
    ) async throws -> String {
        let log = Log()
        try await withServer {
            $0.logger = Logger(label: "test") { _ in log }
        } endpoints: {
            Endpoint("/x", options: .init(dialects: Dialect.all, subprotocols: ["stomp"]), respond: { _ in answer() }) {
                (_: WebSocket) in
            }
        } body: { port in
            try await body(port)
        }
        return log.lines.text.withLock { $0 }
    }

    @Test("at the opening", arguments: Self.rows)
    func opening(_ row: Row) async throws {
        let log = try await self.withFaultyServer(row.answer) { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/x", protocols: "amqp"))
            let answer = String(buffer: try await client.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 500 Internal Server Error\r\n"), "\(answer)")
            #expect(!answer.contains(row.poison))
        }
        #expect(log.contains("error"), "\(log)")
    }

    @Test("at the opening of an older dialect", arguments: Self.rows.prefix(4))
    func oldOpening(_ row: Row) async throws {
        let log = try await self.withFaultyServer(row.answer) { port in
            let client = try await RawClient.connect(port)
            try await client.send(
                "GET /x HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: a\r\nOrigin: http://a\r\n"
                    + "WebSocket-Protocol: amqp\r\n\r\n"
            )
            let answer = String(buffer: try await client.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 500 Internal Server Error\r\n"), "\(answer)")
            #expect(!answer.contains(row.poison))
        }
        #expect(log.contains("error"), "\(log)")
    }

    @Test("inside", arguments: Self.rows)
    func extended(_ row: Row) async throws {
        let log = try await self.withFaultyServer(row.answer) { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/x", protocols: "x-kaazing-handshake, amqp"))
            _ = try await client.receive { $0.readableBytesView.endOfHead != nil }
            try await client.send(maskedFrame(2, Array("GET /x HTTP/1.1\r\n\r\n".utf8)))
            let bytes = try await client.receive { $0.readableBytesView.suffix(4).starts(with: [0x88, 2]) }
            let answer = String(buffer: bytes)
            #expect(answer.contains("HTTP/1.1 500 Internal Server Error\r\n"), "\(answer)")
            #expect(!answer.contains(row.poison))
            try await client.close()
        }
        #expect(log.contains("error"), "\(log)")
    }

    @Test("of an HTTP handler", arguments: [0, 99, 100, 101, 199, 1000, -5])
    func handler(status: Int) async throws {
        let log = Log()
        try await withServer {
            $0.logger = Logger(label: "test") { _ in log }
            $0.respondToHTTP = { _ in .text("X-Injected", status: status) }
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = String(buffer: try await client.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 500 Internal Server Error\r\n"), "\(answer)")
            #expect(!answer.contains("X-Injected"))
        }
        #expect(log.lines.text.withLock { $0 }.contains("error"))
    }

    @Test("a 401 of an HTTP handler may be one without a challenge")
    func handlerWithoutChallenge() async throws {
        try await withServer {
            $0.respondToHTTP = { _ in .text("no", status: 401) }
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 401 "))
        }
    }

    @Test("what can be sent still is", arguments: [200, 404, 599, 600, 999])
    func usual(status: Int) async throws {
        let log = try await self.withFaultyServer({
            .refuse(status, "no", headers: Self.lenient("caf\u{E9}\ta"))
        }) { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/x"))
            let answer = String(buffer: try await client.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            #expect(answer.contains("\r\nX-Own: caf\u{E9}\ta\r\n"))
        }
        #expect(!log.contains("error"), "\(log)")
    }
}

/// Every line of a log, each with its level.
private struct Log: LogHandler {
    final class Lines: Sendable {
        let text = Mutex("")
    }

    let lines = Lines()
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        self.lines.text.withLock { $0 += "\(event.level) \(event.message) \(event.metadata ?? [:])\n" }
    }
}
