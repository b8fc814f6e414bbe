import CommandTestSupport
import HTTPTypes
import KHPClient
import KHPServer
import KHPTesting
import NIOCore
import Testing

@testable import KHPCommand

/// The observer's events as JSON objects with the contract's keys, and as steps of the ladder.
struct ReporterTests {
    private static let url = try? WebSocketURL("ws://127.0.0.1:4000/a?b=c")

    private func keys(_ event: ConnectionEvent) -> String? {
        Events.object(for: event, connection: nil, at: .milliseconds(1500))?.line
    }

    @Test("handshake events")
    func handshakes() throws {
        let url = try #require(Self.url)
        #expect(
            self.keys(.connecting(url: url, attempt: 2))
                == #"{"event":"connecting","t":1.5,"url":"ws://127.0.0.1:4000/a?b=c","attempt":2}"#
        )
        #expect(
            self.keys(.connected(peer: "1.2.3.4:5", tls: TLSInfo(version: "TLSv1.3", alpn: nil)))
                == #"{"event":"connected","t":1.5,"peer":"1.2.3.4:5","tls":{"version":"TLSv1.3"}}"#
        )
        #expect(self.keys(.connected(peer: "p", tls: nil)) == #"{"event":"connected","t":1.5,"peer":"p"}"#)
        #expect(
            self.keys(.openingResponse(head: "HTTP/1.1 101 X\r\n\r\n", status: 101))
                == #"{"event":"opening-response","t":1.5,"head":"HTTP/1.1 101 X\r\n\r\n","status":101}"#
        )
        #expect(
            self.keys(.extendedResponse(head: "h", status: 100, action: .sendBody, body: ByteBuffer()))
                == #"{"event":"extended-response","t":1.5,"head":"h","status":100,"action":"send-body"}"#
        )
        #expect(
            self.keys(.extendedResponse(head: "h", status: 403, action: .close, body: ByteBuffer(bytes: [0xFF])))
                == #"{"event":"extended-response","t":1.5,"head":"h","status":403,"action":"close","base64":"/w=="}"#
        )
        #expect(
            self.keys(.challenge(scheme: "Basic", realm: nil, layer: .opening, round: 1))
                == #"{"event":"challenge","t":1.5,"scheme":"Basic","layer":"opening","round":1}"#
        )
        #expect(
            self.keys(.redirect(from: url, to: url, status: 302, layer: .extended))
                == #"{"event":"redirect","t":1.5,"from":"ws://127.0.0.1:4000/a?b=c","to":"ws://127.0.0.1:4000/a?b=c","#
                + #""status":302,"layer":"extended"}"#
        )
        #expect(self.keys(.pong(roundTrip: .microseconds(250))) == #"{"event":"pong","t":1.5,"rtt":0.00025}"#)
    }

    @Test("messages and closes")
    func messages() {
        let at = Duration.seconds(2)
        #expect(
            Events.message(.text("é\n"), at: at).line
                == #"{"event":"message","t":2.0,"kind":"text","text":"é\n","bytes":3}"#
        )
        #expect(
            Events.message(.binary(ByteBuffer(bytes: [1, 2])), connection: 7, at: at).line
                == #"{"event":"message","t":2.0,"connection":7,"kind":"binary","base64":"AQI=","bytes":2}"#
        )
        let info = CloseInfo(code: nil, reason: "", clean: false, initiator: .peer)
        #expect(
            Events.close(info, at: at).line
                == #"{"event":"close","t":2.0,"clean":false,"by":"peer"}"#
        )
    }

    @Test("a server sees requests come in and responses go out")
    func roles() {
        let event = ConnectionEvent.extendedRequest(head: "GET /\u{7} HTTP/1.1\r\n\r\n")
        #expect(LadderStep.steps(of: event, role: .client, trace: false).first?.direction == .sent)
        let step = LadderStep.steps(of: event, role: .server, trace: false).first
        #expect(step?.direction == .received)
        #expect(step?.text == "GET /\\x07 HTTP/1.1")
    }

    @Test("each event counts in its series, and nowhere else")
    func series() throws {
        let error = WebSocketError(.timeout, "It took too long.")
        let summary = try ConnectionPipe().open().server
        let rows: [(ConnectionEvent, [String])] = [
            (.connected(peer: "p", tls: nil), ["khp_connections_total 1"]),
            (
                .openingResponse(head: "", status: 101),
                ["khp_handshake_responses_total{layer=\"opening\",status=\"101\"} 1"]
            ),
            (
                .extendedResponse(head: "", status: 401, action: .challenge, body: ByteBuffer()),
                ["khp_handshake_responses_total{layer=\"extended\",status=\"401\"} 1"]
            ),
            (.open(summary), ["khp_connections_open 1"]),
            (
                .closed(CloseInfo(code: .normalClosure, reason: "", clean: true, initiator: .peer)),
                ["khp_closes_total{code=\"1000\",by=\"peer\"} 1", "khp_connections_open -1"]
            ),
            (
                .closed(CloseInfo(code: nil, reason: "", clean: true, initiator: .local)),
                ["khp_closes_total{code=\"none\",by=\"local\"} 1", "khp_connections_open -1"]
            ),
            (.failed(error), ["khp_failures_total{code=\"timeout\"} 1"]),
            (.openingRequest(head: ""), []), (.extendedRequest(head: ""), []), (.violation(error), []),
            (.pong(roundTrip: .zero), []), (.reconnecting(attempt: 2, delay: .zero, cause: error), []),
        ]
        for (event, lines) in rows {
            let metrics = Metrics()
            metrics.observe(event)
            let counts = metrics.text.split(separator: "\n").map(String.init).filter {
                !$0.hasPrefix("#") && !$0.hasSuffix(" 0")
            }
            #expect(counts.sorted() == lines.sorted(), "\(event)")
        }
    }

    @Test("metrics count by label, in the exposition format")
    func metrics() {
        let metrics = Metrics()
        metrics.observe(.connected(peer: "p", tls: nil))
        metrics.observe(.openingResponse(head: "", status: 101))
        metrics.observe(.openingResponse(head: "", status: 404))
        metrics.observe(.openingResponse(head: "", status: 101))
        let text = metrics.text
        #expect(text.contains("# TYPE khp_connections_total counter\nkhp_connections_total 1\n"))
        #expect(text.contains("khp_handshake_responses_total{layer=\"opening\",status=\"101\"} 2\n"))
        #expect(text.contains("khp_handshake_responses_total{layer=\"opening\",status=\"404\"} 1\n"))
    }

    @Test("what is no WebSocket request: metrics at their path, elsewhere the server's own answer")
    func metricsHandler() async throws {
        let metrics = Metrics()
        let handler = metrics.handler(path: "/metrics")
        func status(_ method: HTTPRequest.Method, _ path: String) async -> Int? {
            await handler(HTTPRequest(method: method, scheme: nil, authority: nil, path: path))?.status
        }
        #expect(await status(.get, "/metrics?x") == 200)
        #expect(await status(.head, "/metrics") == 200)
        #expect(await status(.post, "/metrics") == 405)
        #expect(await status(.get, "/echo") == nil)
        #expect(await status(.post, "/none") == nil)
        // The server's own, with such a handler.
        try await withServer {
            $0.respondToHTTP = handler
        } endpoints: {
            Endpoint("/echo", messageHandler: { Echo() })
        } body: { port in
            for (request, status) in [
                ("GET /metrics", 200), ("POST /metrics", 405), ("GET /echo", 426), ("GET /none", 404),
            ] {
                let answer = try await offThread {
                    let socket = try BlockingSocket.connect(port)
                    defer { socket.close() }
                    try socket.send("\(request) HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    return try socket.receiveHead()
                }
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(request): \(answer)")
            }
        }
    }
}
