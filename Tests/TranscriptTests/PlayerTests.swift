// The player itself: it reads the script, and reports a connection that does something else.

import Foundation
import KHPProtocol
import KHPTesting
import NIOCore
import Testing

@Suite struct PlayerTests {
    private static func text(_ name: String) throws -> String {
        let url = Performance.folder.appending(path: "\(name).khp")
        return try String(contentsOf: url, encoding: .utf8)
    }

    /// A change to a transcript after which our own stack no longer fits it.
    struct Change: Sendable, CustomTestStringConvertible {
        var name: String
        var role: Role
        var old: String
        var new: String
        var testDescription: String { "\(self.name) \(self.role.rawValue): \(self.old) → \(self.new)" }
    }

    @Test(
        "what does not fit is told",
        arguments: [
            Change(name: "complete", role: .client, old: "C binary\n  GET", new: "C text\n  GET"),
            Change(
                name: "complete",
                role: .client,
                old: "Upgrade: websocket\n  Connection",
                new: "Upgrade: WebSocket\n  Connection"
            ),
            Change(name: "complete", role: .server, old: "Server: swift-khp", new: "Server: other"),
            Change(name: "complete", role: .client, old: "client.expect: open", new: "client.expect: error timeout"),
            Change(name: "complete", role: .client, old: "status=101", new: "status=204"),
            Change(name: "complete", role: .server, old: "server.expect: open", new: "server.expect: closed 1000"),
            Change(name: "silent-client", role: .server, old: "~ 5s\nS close", new: "~ 4s\nS close"),
            Change(name: "silent-client", role: .server, old: "~ 5s\nC ping", new: "~ 11s\nC ping"),
            Change(
                name: "refusal-with-entity",
                role: .client,
                old: "  The desk opens at nine.\n  \n",
                new: "  The desk opens at  six.\n  \n"
            ),
            Change(name: "refusal-with-entity", role: .server, old: "refused 403", new: "refused 404"),
            Change(
                name: "redirect-302-absolute",
                role: .client,
                old: "C connect ws://other.example/moved",
                new: "C connect ws://third.example/"
            ),
            Change(name: "redirect-302-absolute", role: .client, old: "redirects=1", new: "redirects=2"),
            Change(name: "challenge-then-complete", role: .client, old: "challenges=1", new: "challenges=0"),
            Change(name: "echo-and-close", role: .client, old: "C close 1000\n", new: ""),
            Change(name: "echo-and-close", role: .server, old: "S eof", new: ""),
            Change(name: "echo-and-close", role: .client, old: "C text\n  ==\n  hello", new: "C ping 70"),
            Change(
                name: "subprotocol-in-extended",
                role: .client,
                old: "open status=101 subprotocol=amqp",
                new: "open subprotocol=stomp"
            ),
        ]
    )
    func changed(_ change: Change) throws {
        let text = try Self.text(change.name)
        #expect(text.contains(change.old))
        let changed = text.split(separator: change.old, maxSplits: 1, omittingEmptySubsequences: false)
            .joined(separator: change.new)
        let transcript = try Transcript(changed, name: change.name)
        #expect(throws: TranscriptError.self) { try transcript.play(against: change.role) }
        let original = try Transcript(text, name: change.name)
        try original.play(against: change.role)
    }

    @Test(
        "what cannot be read names its line",
        arguments: [
            ("title: a\n\nC dance\n", 3), ("no colon\n", 1), ("\n~ soon\n", 2), ("\nX opening\n", 2),
            ("\n~ 1e50s\n", 2), ("\n~ infs\n", 2), ("\n~ nans\n", 2), ("\n~ -1s\n", 2),
            ("\nC close now\n", 2),
            ("\nC ping 7\n", 2), ("\n  payload\n", 2), ("\nC connect nowhere\n", 2),
        ]
    )
    func unreadable(_ text: String, _ line: Int) {
        #expect {
            _ = try Transcript(text, name: "a")
        } throws: { error in
            (error as? TranscriptError)?.line == line
        }
    }

    @Test("payloads: lines end in CR LF, an entity's are joined by LF")
    func payloads() throws {
        let transcript = try Transcript("\nS binary\n  a\n  \n  ==\n  b\n  \nC text\n  ==\n  c\nS text\n", name: "a")
        let payloads = transcript.steps.compactMap { step -> String? in
            if case .does(_, .message(_, let payload)) = step.action { String(buffer: payload) } else { nil }
        }
        #expect(payloads == ["a\r\n\r\nb\n", "c", ""])
    }
}
