// Orders to the admin address whose parameters stand in a body of JSON, as 3.4 writes them, and backends by their addresses.

import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

extension GatewayTests {
    /// Asks with a body.
    private static func order(_ view: View, _ request: String, _ body: String) async throws -> (
        status: Int, body: String
    ) {
        try await view.admin(request, headers: "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    @Test("an order's parameters may stand in a body")
    func bodies() async throws {
        try await Self.withGateway { view in
            let first = try await WebSocketClient().connect(to: view.url("/echo"))
            let chosen = try await Self.order(
                view,
                "POST /sessions/close",
                #"{"filter":{"service":"echo"},"code":4000,"reason":"enough","over":0}"#
            )
            #expect(chosen == (200, "{\"closing\":1}\n"))
            let end = try await first.closed()
            #expect(end.code == WebSocketCloseCode(rawValue: 4000) && end.reason == "enough")
            let second = try await WebSocketClient().connect(to: view.url("/echo"))
            #expect(try await Self.order(view, "POST /sessions/close", #"{"all":true}"#).body == "{\"closing\":1}\n")
            #expect(try await second.closed().code == .policyViolation)
            let drain = try await Self.order(view, "POST /drain", #"{"over": 0}"#)
            #expect(drain == (200, "{\"draining\":true,\"closing\":0}\n"))
            #expect(try await Self.order(view, "DELETE /drain", "{}").status == 200)
        }
    }

    private static let wrongBodies = [
        ("POST /sessions/close?service=echo", #"{"code":4000}"#, "in the query or in a body"),
        ("POST /sessions/close", #"{"filter":{"principle":"joe"}}"#, "did you mean principal?"),
        ("POST /sessions/close", #"{"filter":{"service":"echo"},"service":"relay"}"#, "service stands there twice"),
        ("POST /sessions/close", #"{"filter":"echo"}"#, "filter is an object"),
        ("POST /sessions/close", #"{"filter":{}}"#, "name a service"),
        ("POST /sessions/close", #"{"all":false}"#, "all takes no value"),
        ("POST /sessions/close", #"{"service":["echo"]}"#, "is a text or a number"),
        ("POST /sessions/close", #"{"service":null}"#, "is a text or a number"),
        ("POST /sessions/close", "service=echo", "the body is no JSON"),
        ("POST /sessions/close", "[]", "the body is no object"),
        ("POST /sessions/close", #"{"service":"echo","service":"echo"}"#, "the body has the member"),
        ("POST /drain", #"{"over":"soon"}"#, "over is a number of seconds"),
        ("POST /drain", #"{"filter":{"service":"echo"}}"#, "it takes over"),
        ("POST /reload", #"{"force":1}"#, "it takes none"),
        ("GET /sessions", #"{"service":"echo"}"#, "a body is not read"),
    ]

    @Test("a body that says nothing clear changes nothing")
    func wrongBodies() async throws {
        try await Self.withGateway { view in
            let socket = try await WebSocketClient().connect(to: view.url("/echo"))
            for (request, body, words) in Self.wrongBodies {
                let answer = try await Self.order(view, request, body)
                #expect(answer.status == 400 && answer.body.contains(words), "\(request) \(body): \(answer)")
            }
            let long = try await Self.order(view, "POST /drain", "{" + String(repeating: " ", count: 70_000) + "}")
            #expect(long.status == 413)
            try await socket.send("still here")
            #expect(try await socket.receive() == .text("still here"))
            try await socket.close()
        }
    }

    @Test("a backend has its address as a name, where that is one backend of the pool")
    func backendAddresses() async throws {
        try await BareGateway.run(backend: 5672) {
            $0.pools[0].backends += [
                .init(scheme: .tls, host: "mq.example", port: 5671),
                .init(scheme: .tcp, host: "mq.example", port: 5671),
                .init(scheme: .unix, path: "/run/mq.sock"), .init(scheme: .ws, host: "h.example", port: 80, path: "/x"),
            ]
        } body: { gateway in
            let known = [
                "127.0.0.1:5672", "tcp:%2F%2F127.0.0.1:5672", "%2Frun%2Fmq.sock", "unix:%2Frun%2Fmq.sock",
                "h.example:80%2Fx", "h.example:80", "tls:%2F%2Fmq.example:5671",
            ]
            for name in known {
                let answer = await gateway.admin(.post, "/pools/p/backends/\(name)?action=drain")
                #expect(answer.status == 200, "\(name)")
            }
            #expect(gateway.lines.with("backend.override", #""backend":"tcp://127.0.0.1:5672""#).count == 2)
            let two = await gateway.admin(.post, "/pools/p/backends/mq.example:5671?action=drain")
            #expect(two.status == 400)
            #expect(String(buffer: two.body).contains("tls://mq.example:5671 and tcp://mq.example:5671"))
            #expect(await gateway.admin(.post, "/pools/p/backends/127.0.0.1?action=drain").status == 404)
        }
    }
}
