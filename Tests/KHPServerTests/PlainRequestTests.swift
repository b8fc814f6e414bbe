import HTTPTypes
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("Requests that are refused before any endpoint, or are no WebSocket requests")
struct PlainRequestTests {
    static let requests: [(request: String, status: Int, contains: String)] = [
        (openingRequest("/nowhere"), 404, "404 Not Found"),
        ("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 426, "Sec-WebSocket-Version: 13"),
        ("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, ""),
        ("POST /echo HTTP/1.1\r\nHost: a\r\n\r\n", 405, "Allow: GET"),
        (
            openingRequest("/echo").replacing("Version: 13", with: "Version: 99"), 426,
            "Sec-WebSocket-Version: 13"
        ),
        (openingRequest("/echo").replacing("Host: 127.0.0.1\r\n", with: ""), 400, ""),
        (openingRequest("/echo").replacing("dGhlIHNhbXBsZSBub25jZQ==", with: "short"), 400, ""),
        (openingRequest("/only-extended"), 400, ""),
        (openingRequest("/guarded", extra: "Origin: http://evil.example\r\n"), 403, ""),
        ("GET /echo HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400, ""),
        ("GET /echo HTTP/2.0\r\nHost: a\r\n\r\n", 505, ""),
        ("nonsense\r\n\r\n", 400, ""),
        ("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1\r\n", 414, ""),
    ]

    @Test("each gets one readable response, then the end of the stream (threat A4)", arguments: Self.requests)
    func refused(_ row: (request: String, status: Int, contains: String)) async throws {
        try await withServer {
            echo()
            Endpoint("/only-extended", options: .init(extendedHandshake: .required)) { (_: WebSocket) in }
            Endpoint("/guarded", options: .init(origins: .sameOrigin)) { (_: WebSocket) in }
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(row.request + "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = String(buffer: try await client.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 \(row.status) "), "\(answer)")
            #expect(answer.contains("Connection: close\r\n"))
            #expect(answer.contains("Content-Type: text/plain"))
            #expect(answer.contains(row.contains))
            #expect(answer.ranges(of: "Content-Length:").count == 1)
            #expect(answer.split(separator: "\r\n\r\n", maxSplits: 1).last?.isEmpty == false)
        }
    }

    @Test("an HTTP handler answers what is no WebSocket request")
    func handler() async throws {
        try await withServer {
            $0.respondToHTTP = { request in .text("you asked for \(request.path ?? "")\n") }
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = String(buffer: try await client.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(answer.hasSuffix("you asked for /healthz\n"))
        }
    }

    @Test("an HTTP handler is the simple form of an exchange: content is not read, and room may be short (threat A23)")
    func simpleForm() async throws {
        let rows: [(exchanges: Int, request: String, starts: String, ends: String)] = [
            (1, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n", "\r\n\r\n"),
            (1, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\nabc", "HTTP/1.1 200 ", "fine\n"),
            (1, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 ", "fine\n"),
            (0, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n", ""),
        ]
        for row in rows {
            try await withServer {
                $0.httpLimits.exchanges = row.exchanges
                $0.respondToHTTP = { _ in .text("fine\n") }
            } endpoints: {
                echo()
            } body: { port in
                let client = try await RawClient.connect(port)
                try await client.send(row.request)
                let answer = String(buffer: try await client.receiveAll())
                #expect(answer.hasPrefix(row.starts) && answer.hasSuffix(row.ends), "\(row.request): \(answer)")
            }
        }
    }

    @Test("an HTTP handler may leave a request to the server", arguments: [("/", 404), ("/echo", 426)])
    func left(path: String, status: Int) async throws {
        try await withServer {
            $0.respondToHTTP = { _ in nil }
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 \(status) "))
        }
    }

    @Test("frames glued to the opening request are delivered once, in order (threat A6)")
    func glued() async throws {
        try await withServer {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(Array(openingRequest("/echo").utf8) + maskedFrame(1, [0x68, 0x69]))
            let answer = try await client.receive {
                $0.readableBytesView.suffix(4).elementsEqual([0x81, 2, 0x68, 0x69])
            }
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
            try await client.close()
        }
    }

    @Test("a Host that is not allowed is refused (threat A14)")
    func host() async throws {
        try await withServer {
            $0.allowedHosts = ["good.example"]
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/echo"))
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 421 "))
        }
    }
}
