import CommandTestSupport
import Foundation
import Testing

@testable import KHPCommand

/// The command over HTTP/2, seen from outside; with the other tests that start processes, one after the other.
extension EndToEndTests {
    @Test("serve offers HTTP/2 with TLS, connect takes it where it is told to, and both say so")
    func overHTTP2() async throws {
        let certificates = try Certificates.shared.get()
        let options = ["--tls-cert", certificates.server, "--tls-key", certificates.serverKey]
        let (_, status) = try await RunningCommand.serving(options) { port in
            for (choice, name) in [("off", nil), ("preferred", "h2"), ("required", "h2")] as [(String, String?)] {
                let command = try await RunningCommand.run([
                    "connect", "--json", "--http2", choice, "--cacert", certificates.authority, "--message", "grüße",
                    "--count", "1", "wss://localhost:\(port)/echo",
                ])
                #expect(command.status == 0, "\(command.errors)")
                let tls = command.event("connected")?["tls"] as? [String: Any]
                #expect(tls?["alpn"] as? String == name)
                #expect(command.event("message")?["text"] as? String == "grüße")
                #expect(command.event("close")?["clean"] as? Bool == true)
            }
        }
        #expect(status == 0)
        let plain = try await RunningCommand.run(["connect", "--http2", "required", "ws://127.0.0.1:1/"])
        #expect(plain.status == 2)
        let unknown = try await RunningCommand.run(["connect", "--http2", "3", "wss://127.0.0.1:1/"])
        #expect(unknown.status == 2)
    }
}
