import Foundation
import KHPTesting
import Testing

@testable import khp

/// The command in every dialect, seen from outside; with the other tests that start processes, one after the other.
extension EndToEndTests {
    @Test(
        "connect and serve speak each dialect, and say so",
        arguments: ["rfc6455", "hixie-75", "hixie-76", "whatwg-2010"]
    )
    func speaks(_ dialect: String) async throws {
        let (_, status) = try await RunningCommand.serving(["--dialects", "rfc6455, \(dialect)"]) { port in
            let command = try await RunningCommand.run([
                "connect", "--json", "--dialect", dialect, "--message", "grüße", "--count", "1",
                "ws://127.0.0.1:\(port)/echo",
            ])
            #expect(command.status == 0, "\(command.errors)")
            #expect(command.event("open")?["dialect"] as? String == dialect)
            #expect(command.event("open")?["status"] as? Int == 101)
            #expect(command.event("message")?["text"] as? String == "grüße")
            #expect(command.event("close")?["clean"] as? Bool == true)
        }
        #expect(status == 0)
    }

    @Test("by default only rfc6455 is served, and nothing else is tried")
    func defaults() async throws {
        let (_, status) = try await RunningCommand.serving([]) { port in
            let url = "ws://127.0.0.1:\(port)/echo"
            let old = try await RunningCommand.run(["connect", "--dialect", "hixie-76", "--message", "x", url])
            #expect(old.status == 4)
            let fallen = try await RunningCommand.run([
                "connect", "--json", "--dialect", "hixie-76", "--fallback-dialect", "rfc6455", "--message", "x",
                "--count", "1", url,
            ])
            #expect(fallen.status == 0)
            #expect(fallen.event("open")?["dialect"] as? String == "rfc6455")
        }
        #expect(status == 0)
    }

    @Test("a saved conversation can be played again", arguments: ["hixie-75", "hixie-76", "whatwg-2010"])
    func saves(_ dialect: String) async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-saved-\(UUID().uuidString).khp")
        defer { try? FileManager.default.removeItem(at: file) }
        let (_, status) = try await RunningCommand.serving(["--dialects", dialect]) { port in
            let command = try await RunningCommand.run([
                "connect", "--dialect", dialect, "--save-transcript", file.path, "--message", "grüße", "--count", "1",
                "ws://127.0.0.1:\(port)/echo",
            ])
            #expect(command.status == 0, "\(command.errors)")
        }
        #expect(status == 0)
        // Against the server: the order of a request's fields is random, and so not what a player's client would say.
        var text = try String(contentsOf: file, encoding: .utf8)
        text = text.replacing("roles: client", with: "roles: server\nserver: /echo\nserver.expect: open")
        // That the server ends TCP behind both closing frames is no event.
        if dialect != "hixie-75" { text += "S eof\n" }
        let transcript = try Transcript(text, name: "saved")
        #expect(transcript.dialect.name == dialect)
        #expect(transcript.steps.count >= 6)
        try transcript.play(against: .server)
    }

    @Test("a dialect that there is not is a mistake of usage")
    func unknown() async throws {
        let serve = try await RunningCommand.run(["serve", "--dialects", "rfc6455,hixie-77"])
        #expect(serve.status == 2)
        #expect(serve.errors.contains("hixie-76"))
        let connect = try await RunningCommand.run(["connect", "--dialect", "old", "ws://127.0.0.1:1/"])
        #expect(connect.status == 2)
    }
}
