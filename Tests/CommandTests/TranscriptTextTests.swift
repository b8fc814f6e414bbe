import Foundation
import KHPProtocol
import KHPTesting
import Testing

@testable import khp

/// What `--save-transcript` writes reads as a transcript, and plays against the client that said it.
struct TranscriptTextTests {
    @Test("heads: constants in the place of what is random; a wrong accept value stays")
    func heads() {
        var text = TranscriptText()
        let request = "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        #expect(
            text.step(for: .openingRequest(head: request))
                == "C opening\n  GET / HTTP/1.1\n  Host: a\n  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n  \n"
        )
        func answer(_ accept: String) -> String {
            text.step(
                for: .openingResponse(head: "HTTP/1.1 101 X\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n", status: 101)
            )
        }
        let right = AcceptKey.accept(for: "AAAAAAAAAAAAAAAAAAAAAA==")
        #expect(
            answer(right) == "S opening\n  HTTP/1.1 101 X\n  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n  \n"
        )
        #expect(answer("wrong").contains("Sec-WebSocket-Accept: wrong\n"))
    }

}

extension EndToEndTests {
    @Test("a saved conversation plays at every split")
    func plays() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString).khp")
        defer { try? FileManager.default.removeItem(at: file) }
        let binary = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString).bin")
        defer { try? FileManager.default.removeItem(at: binary) }
        try Data("two\n\nlines\n".utf8).write(to: binary)
        _ = try await RunningCommand.serving([
            "--route", "/a=redirect:/b", "--route", "/b=echo", "--subprotocol", "amqp",
        ]) { port in
            let ended = try await RunningCommand.run([
                "connect", "--subprotocol", "amqp", "--extension", "x-a; level=1", "--save-transcript", file.path,
                "--message", "hello\nthere", "--binary", binary.path, "--count", "2", "ws://127.0.0.1:\(port)/a",
            ])
            #expect(ended.status == 0)
        }
        let transcript = try Transcript(String(contentsOf: file, encoding: .utf8), name: "saved")
        #expect(transcript.roles == [.client])
        #expect(transcript.steps.count > 10)
        try transcript.playAtEverySplit(against: .client)
    }
}
