import CommandTestSupport
import Foundation
import KHPServer
import KHPTesting
import Testing

@testable import KHPCommand

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// Each secret that the command can be given, through each end of a connect, looked for in all that either side says:
/// JSON events, trace, ladder, warnings, errors, saved transcript, saved ladder, metrics. A few processes at a time.
extension EndToEndTests {
    private static let canary = "cNrY7qZ"

    /// A way to give the command a secret, and the path that asks for it.
    private struct Given: Sendable {
        var name: String
        var path = "/echo"
        var options: [String] = []
        /// Before the host in the URL.
        var information = ""
        var query = ""
        /// True where the secret is not one that the server compares.
        var isUnchecked = false
    }

    private static func given(netrc: URL) -> [Given] {
        let secret = "\(Self.canary)-secret"
        return [
            Given(name: "Basic", path: "/basic", options: ["--user", "joe:\(secret)"]),
            Given(name: "Digest", path: "/digest", options: ["--user", "joe:\(secret)"]),
            Given(name: "Bearer", path: "/bearer", options: ["--token", secret]),
            Given(name: "Token", path: "/token", options: ["--token", secret]),
            Given(name: "user information", path: "/basic", information: "joe:\(secret)@"),
            Given(name: "netrc", path: "/digest", options: ["--netrc", netrc.path]),
            Given(name: "query", query: "?x=1&access_token=\(secret)", isUnchecked: true),
            Given(
                name: "fields",
                options: [
                    "-H", "Authorization: Bearer \(secret)", "-H", "Cookie: session=\(secret)", "-H",
                    "X-Api-Key: \(secret)", "--extended-header", "X-Session-Token: \(secret)",
                ],
                isUnchecked: true
            ),
            Given(name: "subprotocol", options: ["--subprotocol", "bearer.\(secret)"], isUnchecked: true),
        ]
    }

    private static let spellings = SecretSpellings.of(canary)

    private static func expectNoSecret(in text: String, _ comment: String) {
        for spelling in Self.spellings where text.contains(spelling) {
            let line = text.split(separator: "\n").first { $0.contains(spelling) } ?? ""
            Issue.record("\(comment) shows \(spelling): \(line)")
        }
    }

    @Test("each secret at each end: nothing that the command says or saves has it")
    func secretMatrix() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let secret = "\(Self.canary)-secret"
        let key = DigestAlgorithm.sha256.key(user: "joe", realm: "khp", password: secret)
        let users = folder.appendingPathComponent("users")
        let hash = try UsersFile.Line.password(secret, user: "joe").text
        try Data("\(hash)\njoe:khp:SHA-256:\(key)\nrobot:\(secret)\n".utf8).write(to: users)
        let netrc = folder.appendingPathComponent("netrc")
        try Data("machine 127.0.0.1 login joe password \(secret)\n".utf8).write(to: netrc)
        let routes = ["basic", "digest", "bearer", "token"].flatMap {
            ["--route", "/\($0)=echo", "--auth", "/\($0)=\($0):khp"]
        }
        let common = ["--users", users.path, "--trace", "--json", "--metrics", "/metrics"] + routes
        let others = ["--route", "/echo=echo", "--route", "/no=status:403"]
        let (other, otherPipes) = try RunningCommand.start(["serve", "--port", "0"] + common + others)
        let otherPort = try #require(Self.port(otherPipes))
        let ways = ["echo", "basic", "digest", "bearer", "token"].flatMap {
            [
                "--route", "/same/\($0)=redirect:/\($0)", "--route",
                "/other/\($0)=redirect:ws://127.0.0.1:\(otherPort)/\($0)",
            ]
        }
        let (first, pipes) = try RunningCommand.start(["serve", "--port", "0"] + common + others + ways)
        let port = try #require(Self.port(pipes))

        let cells = Self.given(netrc: netrc).flatMap { given in
            ["", "/same", "/other", "/no", "unreachable", "wrong"].map { (given, $0) }
        }
        .filter { given, end in end != "wrong" || !given.isUnchecked }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, cell) in cells.enumerated() {
                if number >= 4 { try await group.next() }
                group.addTask { try await self.check(cell.0, cell.1, port, folder.appendingPathComponent("\(number)")) }
            }
            try await group.waitForAll()
        }
        for (process, pipes, name) in [(first, pipes, "the server"), (other, otherPipes, "the other server")] {
            process.terminate()
            let said = pipes.output.fileHandleForReading.readDataToEndOfFile()
            let errors = pipes.errors.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            let text = String(decoding: said + errors, as: UTF8.self)
            #expect(text.contains("GET /"))
            Self.expectNoSecret(in: text, name)
        }
    }

    private static func port(_ pipes: RunningCommand.Pipes) -> Int? {
        var line = Data()
        while let byte = try? pipes.output.fileHandleForReading.read(upToCount: 1), byte != Data([0x0A]) {
            line += byte
        }
        return (try? JSONSerialization.jsonObject(with: line) as? [String: Any])?["port"] as? Int
    }

    private func check(_ given: Given, _ end: String, _ port: Int, _ folder: URL) async throws {
        let comment = "\(given.name) at \(end.isEmpty ? "the first hop" : end)"
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let transcript = folder.appendingPathComponent("saved.khp")
        let ladder = folder.appendingPathComponent("saved.svg")
        let place = end == "unreachable" ? 1 : port
        let path =
            switch end {
            case "/same", "/other": end + given.path
            case "/no": "/no"
            // A password of another path: each asks for its own kind.
            case "wrong": given.options.first == "--token" ? "/basic" : "/bearer"
            default: given.path
            }
        let url = "ws://\(given.information)127.0.0.1:\(place)\(path)\(given.query)"
        let ended = try await RunningCommand.run(
            [
                "connect", "--json", "--trace", "--message", "hi", "--count", "1", "--timeout", "5",
                "--save-transcript", transcript.path, "--save-ladder", ladder.path,
            ] + given.options + [url]
        )
        let opens =
            end.isEmpty || end == "/same" || end == "/other" && (given.isUnchecked || given.name == "netrc")
        #expect((ended.status == 0) == opens, "\(comment): \(ended.status) \(ended.errors)")
        let saved = [transcript, ladder].map { (try? String(contentsOf: $0, encoding: .utf8)) ?? "" }
        Self.expectNoSecret(in: ended.output, "\(comment), events")
        Self.expectNoSecret(in: ended.errors, "\(comment), trace and errors")
        Self.expectNoSecret(in: saved[0], "\(comment), transcript")
        Self.expectNoSecret(in: saved[1], "\(comment), ladder")
        #expect(ended.output.contains("connecting") && ended.errors.count > 20, "\(comment)")
        if end.isEmpty {
            let metrics = try await Self.metrics(port)
            #expect(metrics.contains("khp_handshake_responses_total"), "\(metrics)")
            Self.expectNoSecret(in: metrics, "\(comment), metrics")
        }
    }

    private static func metrics(_ port: Int) async throws -> String {
        let url = try #require(URL(string: "http://127.0.0.1:\(port)/metrics"))
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try String(contentsOf: url, encoding: .utf8) })
            }
        }
    }
}
