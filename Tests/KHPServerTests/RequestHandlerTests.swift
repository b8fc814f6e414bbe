// A handler that sees the request: parameters of the path, query, headers, cookies, peer, principal, logger.

import HTTPTypes
import KHPClient
import KHPServer
import Logging
import NIOCore
import TestSupport
import Testing

@Suite("Handlers that see the request")
struct RequestHandlerTests {
    @Test("in both handshakes", arguments: [ExtendedHandshakePolicy.off, .required])
    func request(_ policy: ExtendedHandshakePolicy) async throws {
        try await withServer { configuration in
            // A handler that keeps metadata, unlike the one that logs nothing.
            configuration.logger = Logger(label: "test") { StreamLogHandler.standardError(label: $0) }
            configuration.logger?.logLevel = .critical
        } endpoints: {
            Endpoint("/rooms/all") { socket in try await socket.send("all") }
            Endpoint(
                "/rooms/{id}",
                options: .init(authentication: .init(realm: "desk", .basic { $1 == "welcome" ? Principal($0) : nil }))
            ) { socket, request in
                let id = try request.parameters.require("id", as: Int.self)
                #expect(request.layer == (policy == .off ? .opening : .extended))
                #expect(request.path == "/rooms/7")
                #expect(request.query["since"] == "a b")
                #expect(request.query["none"] == nil)
                #expect(request.headers[.userAgent] == "test")
                #expect(request.cookies["session"] == "4711")
                #expect(request.cookies["other"] == nil)
                #expect(request.peer?.ipAddress == "127.0.0.1")
                #expect(request.local?.ipAddress == "127.0.0.1")
                #expect(request.local?.port != request.peer?.port)
                #expect(request.principal == Principal("joe", realm: "desk"))
                #expect(request.logger[metadataKey: "khp.connection.id"] != nil)
                #expect(request.logger[metadataKey: "http.route"] == "/rooms/{id}")
                #expect(request.logger[metadataKey: "request-id"] == "r-17")
                try await socket.send("room \(id)")
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            configuration.headers[.userAgent] = "test"
            configuration.headers.append(HTTPField(name: try #require(HTTPField.Name("X-Request-Id")), value: "r-17"))
            configuration.headers[.cookie] = "a=b; session=4711"
            configuration.authentication.challengeHandler = LoginChallengeHandler(user: "joe", password: "welcome")
            let client = WebSocketClient(configuration: configuration)
            for (path, answer) in [("/rooms/7?since=a+b", "room 7"), ("/rooms/all", "all")] {
                try await client.withConnection(to: "ws://127.0.0.1:\(port)\(path)") { socket in
                    var messages = socket.messages.makeAsyncIterator()
                    let next = try await messages.next()
                    #expect(next == .text(answer))
                }
            }
        }
    }

    @Test("two endpoints that a request could go to are an error at start")
    func overlap() async throws {
        await #expect(throws: WebSocketError.self) {
            try await withServer {
                Endpoint("/a/{x}") { _, _ in }
                Endpoint("/{y}/b") { _, _ in }
            } body: { _ in
            }
        }
    }

    @Test("a request can be made for a test of a closure")
    func made() throws {
        let request = try HandshakeRequest(
            path: "/rooms/7",
            query: "a=1&a=2&b",
            headers: [.userAgent: "test", .cookie: "x=y"],
            parameters: ["id": "7"],
            principal: "joe"
        )
        #expect(request.path == "/rooms/7")
        #expect(request.query.values(of: "a") == ["1", "2"])
        #expect(request.query["b"] == "")
        #expect(request.headers[.userAgent] == "test")
        #expect(request.cookies["x"] == "y")
        #expect(request.parameters["id"] == "7")
        #expect(request.principal == "joe")
        for path in ["", "a b", "no-slash"] {
            #expect(throws: WebSocketError.self) { try HandshakeRequest(path: path) }
        }
    }
}
