import Foundation
import KHPTesting
import Testing

@testable import KHPCommand

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
