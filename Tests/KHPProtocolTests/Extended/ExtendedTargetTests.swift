// The target of an extended request: a path, or the whole URI of the connection it comes over (D14, D36).

import KHPProtocol
import NIOCore
import Testing

@Suite("The target of the extended request (D36)")
struct ExtendedTargetTests {
    private static func action(_ target: String, on url: String, host: String) throws -> ExtendedServer.Action {
        var server = ExtendedServer(
            opening: try Sample.opening(replacing: ["Host": host]),
            acceptValue: AcceptValue(Sample.accept),
            server: Sample.server,
            url: try WebSocketURL(url),
            now: .at(0)
        )
        return server.receive(Sample.head("GET \(target) HTTP/1.1"), date: Sample.date, now: .at(1))
    }

    @Test(
        arguments: [
            ("/trades", nil), ("/trades?", ""), ("http://example.com:8080/trades", nil),
            ("http://example.com:8080/trades?a=b", "a=b"), ("ws://example.com:8080/trades?x", "x"),
            ("HTTP://EXAMPLE.com:8080/trades", nil),
        ] as [(String, String?)]
    )
    func ownURI(target: String, query: String?) throws {
        let action = try Self.action(target, on: "ws://example.com:8080/trades", host: "example.com:8080")
        guard case .request(let request) = action else {
            Issue.record("\(ServerStep(action))")
            return
        }
        #expect(request.path == "/trades")
        #expect(request.query == query)
    }

    @Test(arguments: [
        "http://other.example:8080/trades", "http://example.com:8081/trades", "http://example.com/trades",
        "https://example.com:8080/trades", "wss://example.com:8080/trades", "ftp://example.com:8080/trades",
        "http://user@example.com:8080/trades", "http:///trades", "http://example.com:8080/admin",
        "http://example.com:8080", "http://example.com:8080/trades#here", "/trades#here", "*", "trades",
        "example.com:8080", "http:/trades", "//example.com:8080/trades",
    ])
    func refused(target: String) throws {
        let action = try Self.action(target, on: "ws://example.com:8080/trades", host: "example.com:8080")
        #expect(ServerStep(action) == .refuse(status: 400, close: 1000))
    }

    @Test func defaultPortsAreAsGoodAsNone() throws {
        for (target, isOwn) in [
            ("https://example.com/trades", true), ("https://example.com:443/trades", true),
            ("wss://example.com/trades", true), ("http://example.com/trades", false),
            ("https://example.com:444/trades", false),
        ] {
            let action = try Self.action(target, on: "wss://example.com/trades", host: "example.com")
            #expect(ServerStep(action) == (isOwn ? .request : .refuse(status: 400, close: 1000)), "\(target)")
        }
    }
}
