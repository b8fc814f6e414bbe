import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("Every answer of `respond`, in both handshakes (D24)")
struct HandshakeResponseTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        var answer: @Sendable () -> HandshakeResponse
        var status: Int
        var opens: Bool
        var testDescription: String { self.name }
    }

    static let rows = [
        Row(name: "complete", answer: { .complete() }, status: 101, opens: true),
        Row(name: "created", answer: { .created("made here") }, status: 201, opens: true),
        Row(name: "no content", answer: { .noContent }, status: 204, opens: true),
        Row(name: "reset content", answer: { .resetContent }, status: 205, opens: true),
        Row(name: "processing", answer: { .processing { .complete() } }, status: 101, opens: true),
        Row(name: "processing, refused", answer: { .processing { .refuse(503) } }, status: 503, opens: false),
        Row(name: "refuse", answer: { .refuse(404, "nothing here") }, status: 404, opens: false),
        Row(name: "teapot", answer: { .refuse(418) }, status: 418, opens: false),
    ]

    @Test("as the extended response", arguments: Self.rows)
    func extended(_ row: Row) async throws {
        try await self.check(row, .required)
    }

    @Test("as the opening response", arguments: Self.rows)
    func opening(_ row: Row) async throws {
        try await self.check(row, .off)
    }

    private func check(_ row: Row, _ policy: ExtendedHandshakePolicy) async throws {
        try await withServer {
            Endpoint("/x", respond: { _ in row.answer() }) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            let client = WebSocketClient(configuration: configuration)
            do {
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/x") { socket in
                    #expect(row.opens)
                    #expect(socket.negotiated.status == (policy == .off ? nil : row.status))
                    if row.status == 201, policy == .required {
                        #expect(socket.negotiated.response.map { String(buffer: $0.body) } == "made here")
                    }
                    try await socket.send("hello")
                    var messages = socket.messages.makeAsyncIterator()
                    #expect(try await messages.next() == .text("hello"))
                }
            } catch let error as WebSocketError {
                #expect(!row.opens, "\(error)")
                #expect(error.response?.status == row.status)
                #expect(error.code == (policy == .off ? .openingRefused : .extendedRefused))
                if row.name == "refuse" { #expect(error.response.map { String(buffer: $0.body) } == "nothing here") }
            }
        }
    }

    @Test("respond sees both requests, their queries, fields, body and subprotocols")
    func request() async throws {
        try await withServer {
            Endpoint("/x", options: .init(subprotocols: ["b"])) { request in
                #expect(request.path == "/x")
                #expect(request.query.text == "q=1")
                #expect(request.layer == .extended)
                #expect(request.opening.headerFields[.userAgent] == "test")
                #expect(request.extended?.method == .post)
                #expect(request.extended?.headerFields[.accept] == "x/y")
                #expect(request.body.map { String(buffer: $0) } == "the body")
                #expect(request.subprotocols == ["a", "b"])
                #expect(request.peer?.ipAddress == "127.0.0.1")
                return .complete()
            } handler: { _ in
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.headers[.userAgent] = "test"
            configuration.extended.headers[.accept] = "x/y"
            configuration.extended.method = "POST"
            configuration.extended.body = ByteBuffer(string: "the body")
            let client = WebSocketClient(configuration: configuration)
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/x?q=1", subprotocols: ["a", "b"]) { socket in
                #expect(socket.negotiated.subprotocol == "b")
            }
        }
    }

    @Test("a 300 offers choices that a client follows")
    func choices() async throws {
        try await withServer {
            Endpoint("/x") { _ in .choices(["/nowhere/../echo", "/other"]) }
            echo()
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/x") { socket in
                #expect(socket.negotiated.url.path == "/echo")
                #expect(socket.negotiated.redirects.map(\.status) == [300])
            }
        }
    }
}
