import CommandTestSupport
import Foundation
import KHPClient
import KHPGateway
import KHPServer
import KHPTesting
import NIOCore
import Testing

@testable import KHPCommand

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
            // Absent where they do not apply.
            let hasCode = dialect == "rfc6455"
            #expect((command.event("close")?["code"] != nil) == hasCode)
            #expect((command.event("close")?["reason"] != nil) == hasCode)
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

    @Test("binary where the dialect has none is a mistake, told at once", arguments: ["whatwg-2010", "hixie-76"])
    func noBinary(_ dialect: String) async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-binary-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        try Data([0, 0xFF]).write(to: file)
        let (_, status) = try await RunningCommand.serving(["--dialects", dialect]) { port in
            for count in [[], ["--count", "1"]] {
                let began = ContinuousClock.now
                let command = try await RunningCommand.run(
                    ["connect", "--json", "--dialect", dialect, "--extended", "off", "--binary", file.path] + count
                        + ["ws://127.0.0.1:\(port)/echo"]
                )
                #expect(command.status == 2)
                #expect(command.event("error")?["code"] as? String == "invalid-argument")
                #expect(command.errors.contains("\(dialect) has no binary messages"))
                #expect(ContinuousClock.now - began < .seconds(10 * Sanitizer.patience))
            }
        }
        #expect(status == 0)
    }

    @Test("binary in a group passes by those whose dialect has none, and they stay")
    func roomWithoutBinary() async throws {
        let room = Room()
        try await withServer {
            Endpoint("/room", options: .init(dialects: [.rfc6455, .whatwg2010])) { try await room.broadcast($0) }
        } body: { port in
            let url = "ws://127.0.0.1:\(port)/room"
            var configuration = WebSocketClient.Configuration()
            configuration.dialect = .whatwg2010
            let old = try await WebSocketClient(configuration: configuration).connect(to: url)
            try await old.send("here")
            var seen = old.messages.makeAsyncIterator()
            #expect(try await seen.next() == .text("here"))
            let new = try await WebSocketClient().connect(to: url)
            try await new.send(WebSocketMessage.binary(ByteBuffer(bytes: [0, 0xFF])))
            try await new.send("text")
            #expect(try await seen.next() == .text("text"))
            try await new.close()
            try await old.close()
        }
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
