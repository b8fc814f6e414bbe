// Errors that the application throws while a client waits for its response: the client learns nothing, the log all.

import HTTPTypes
import KHPClient
import KHPServer
import Logging
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Errors of the application's closures")
struct ThrownErrorTests {
    private struct Failure: Error, CustomStringConvertible {
        var description: String { "CANARY" }
    }

    /// The closure that throws.
    enum Closure: CaseIterable {
        case respond, processing, context, http
    }

    private static func endpoint(_ closure: Closure, _ error: any Error) -> Endpoint {
        if closure == .context {
            return Endpoint("/x", context: { _ in throw error }) { (_, _, _: Never) in }
        }
        return Endpoint("/x") { _ in
            guard closure == .processing else { throw error }
            return .processing { throw error }
        }
    }

    @Test(
        "a response is sent, any other error is a 500 and a line of the log",
        arguments: Closure.allCases,
        [ExtendedHandshakePolicy.required, .off]
    )
    func thrown(_ closure: Closure, _ policy: ExtendedHandshakePolicy) async throws {
        let rows: [(error: any Error, status: Int, isLogged: Bool)] = [
            (Failure(), 500, true), (WebSocketError(.invalidArgument, "CANARY"), 500, true),
            (CancellationError(), 500, true), (HandshakeResponse.refuse(409, "taken"), 409, false),
            (HandshakeResponse.redirect(to: "/y"), 302, false), (HandshakeResponse.complete(), 500, false),
            (HandshakeResponse.processing { .complete() }, 500, false),
        ]
        for row in rows {
            let log = CollectingLog()
            try await withServer {
                $0.logger = Logger(label: "test") { _ in log }
                $0.respondToHTTP = { _ in throw row.error }
            } endpoints: {
                Self.endpoint(closure, row.error)
            } body: { port in
                if closure == .http {
                    let client = try await RawClient.connect(port)
                    try await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    let answer = String(buffer: try await client.receiveAll())
                    #expect(answer.hasPrefix("HTTP/1.1 \(row.status) "), "\(answer)")
                    #expect(!answer.contains("CANARY"))
                    return
                }
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = policy
                configuration.redirects.policy = .never
                let client = WebSocketClient(configuration: configuration)
                let error = await #expect(throws: WebSocketError.self) {
                    try await client.connect(to: "ws://127.0.0.1:\(port)/x")
                }
                #expect(error?.response?.status == row.status)
                #expect(error?.response.map { String(buffer: $0.body).contains("CANARY") } == false)
            }
            #expect(log.text.contains("a closure of the application threw") == row.isLogged, "\(row): \(log.text)")
            #expect(log.text.contains("CANARY") == ("\(row.error)".contains("CANARY")))
        }
    }
}
