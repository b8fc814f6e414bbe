import Foundation
import Testing

@testable import khp

/// The built command against itself: what the contract says, seen from outside. One after the other, because a process
/// started meanwhile would inherit the pipes of the others.
@Suite(.serialized)
struct EndToEndTests {
    @Test("the demo passes, within its time")
    func demo() async throws {
        let began = ContinuousClock.now
        let demo = try await RunningCommand.run(["demo"])
        #expect(demo.status == 0)
        #expect(
            demo.output.split(separator: "\n").last?.hasPrefix("demo: all ") == true,
            "\(demo.output)\(demo.errors)"
        )
        #expect(ContinuousClock.now - began < .seconds(5))
    }

    @Test("redirect, challenge, open: the events in order, and credentials nowhere")
    func journey() async throws {
        let users = FileManager.default.temporaryDirectory.appendingPathComponent("khp-users-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: users) }
        try Data("joe:\(try PasswordHash.make("welcome", algorithm: .bcrypt))\n".utf8).write(to: users)
        let routes = [
            "--route", "/a=redirect:/b", "--route", "/b=echo", "--auth", "/b=basic:desk", "--users", users.path,
        ]
        let (_, status) = try await RunningCommand.serving(routes) { port in
            let url = "ws://127.0.0.1:\(port)/a"
            let good = try await RunningCommand.run([
                "connect", "--json", "--trace", "--message", "hi", "--user", "joe:welcome", url,
            ])
            #expect(good.status == 0)
            #expect(
                good.names == [
                    "connecting", "connected", "opening-request", "opening-response", "extended-request",
                    "extended-response", "redirect", "connecting", "connected", "opening-request", "opening-response",
                    "extended-request", "extended-response", "challenge", "extended-request", "extended-response",
                    "open", "sent", "message", "close",
                ]
            )
            #expect(good.event("open")?["redirects"] as? Int == 1)
            #expect(good.event("open")?["challenges"] as? Int == 1)
            #expect(good.event("message")?["text"] as? String == "hi")
            // Basic am9lOndlbGNvbWU= is joe:welcome.
            for secret in ["welcome", "am9lOndlbGNvbWU"] {
                #expect(!good.output.contains(secret))
                #expect(!good.errors.contains(secret))
            }
            #expect(good.output.contains("Authorization: Basic •••"))

            let wrong = try await RunningCommand.run(["connect", "--json", "--user", "joe:wrong", url])
            #expect(wrong.status == 8)
            #expect(wrong.event("error")?["exit"] as? Int == 8)
            let none = try await RunningCommand.run(["connect", url])
            #expect(none.status == 8)
            let asked = try await RunningCommand.run(
                ["connect", "--user", "joe", "--message", "env", url],
                environment: ["KHP_PASSWORD": "welcome"]
            )
            #expect(asked.status == 0)
            #expect(asked.output == "env\n")
        }
        #expect(status == 0, "SIGTERM drains")
    }

    @Test("--compress: negotiated, applied, and its savings shown; unknown extensions are offered and reported")
    func compression() async throws {
        let served = ["--compress", "--extension", "x-kaazing-idle-timeout; timeout=60000", "--extension", "x-known"]
        let (_, status) = try await RunningCommand.serving(served) { port in
            let url = "ws://127.0.0.1:\(port)/echo"
            let text = String(repeating: "tick ", count: 100)
            for (extended, layer) in [("required", "extended"), ("off", "opening")] {
                let run = try await RunningCommand.run([
                    "connect", "--compress", "--extension", "x-unknown; level=1", "--extension", "x-known",
                    "--extension", "x-kaazing-idle-timeout", "--extended", extended, "--json", "--trace", "--message",
                    text, "--count", "1", url,
                ])
                #expect(run.status == 0)
                let open = try #require(run.event("open")?["extensions"] as? [[String: Any]])
                #expect(
                    open.map { $0["name"] as? String } == ["x-known", "x-kaazing-idle-timeout", "permessage-deflate"]
                )
                #expect(open.allSatisfy { $0["layer"] as? String == layer })
                #expect(run.event("message")?["text"] as? String == text)
                #expect(run.event("message")?["bytes"] as? Int == 500)
                #expect(run.output.contains("x-unknown; level=1"))
                #expect(run.errors.contains("text 500 bytes in "))
                #expect(run.errors.contains("compression: sent 500 bytes in "))
            }
            let wrong = try await RunningCommand.run(["connect", "--extension", "permessage-deflate; level=9", url])
            #expect(wrong.status == 2)
            #expect(wrong.errors.contains("level=9"))
        }
        #expect(status == 0)
    }

    @Test("each kind of failure has its status and one sentence")
    func failures() async throws {
        let routes = [
            "--route", "/echo=echo", "--route", "/l1=redirect:/l2", "--route", "/l2=redirect:/l1",
            "--route", "/no=status:403:not here", "--route", "/wait=status:202", "--route", "/p=redirect:307:/echo",
        ]
        _ = try await RunningCommand.serving(routes) { port in
            let base = "ws://127.0.0.1:\(port)"
            let cases: [(arguments: [String], status: Int32)] = [
                (["\(base)/none"], 4), (["\(base)/no"], 5), (["--extended", "off", "\(base)/no"], 4),
                (["\(base)/l1"], 6), (["--redirect-policy", "never", "\(base)/l1"], 6),
                (["--extended-method", "POST", "\(base)/p"], 5), (["--wait", "0.2", "\(base)/wait"], 7),
                (["--count", "1", "--timeout", "0.3", "\(base)/echo"], 7), (["ws://127.0.0.1:1/"], 3),
                (["wss://127.0.0.1:\(port)/"], 3), (["ws://a/#b"], 2), (["--count", "0", base], 2),
                (["--dialect", "rfc6455", base], 2), (["-H", "Host: x", base], 2),
                (["--message", "x", "\(base)/echo"], 0),
            ]
            for (arguments, status) in cases {
                let ended = try await RunningCommand.run(["connect", "--json"] + arguments)
                #expect(ended.status == status, "\(arguments): \(ended.errors)")
                let sentences = ended.errors.split(separator: "\n").filter { $0.hasPrefix("khp: ") }
                #expect(sentences.count == (status == 0 ? 0 : 1), "\(arguments): \(ended.errors)")
                #expect(ended.event("error")?["exit"] as? Int == (status == 0 ? nil : Int(status)))
            }
        }
    }

    @Test("lines in, lines out: every echo before the end")
    func lines() async throws {
        let input = (1...2000).map { "line \($0) é\n" }.joined()
        // Nobody reads the server's events here: that must stop neither the messages nor the end.
        let (_, status) = try await RunningCommand.serving([]) { port in
            let ended = try await RunningCommand.run(["connect", "ws://127.0.0.1:\(port)/echo"], input: input)
            #expect(ended.status == 0)
            #expect(ended.output == input)
        }
        #expect(status == 0)
    }

    @Test("hash reads a password from a pipe; its line verifies")
    func hash() async throws {
        let ended = try await RunningCommand.run(["hash", "joe", "--algorithm", "sha256"], input: "welcome\n")
        #expect(ended.status == 0)
        #expect(try UsersFile(ended.output, name: "users").verify(user: "joe", password: "welcome"))
        #expect(try await RunningCommand.run(["hash", "j:oe"], input: "x\n").status == 2)
    }

    @Test(
        "the version, and help at every level",
        arguments: [
            ["--version"], ["--help"], ["connect", "--help"], ["serve", "--help"], ["demo", "--help"],
            ["hash", "--help"],
        ]
    )
    func help(arguments: [String]) async throws {
        let ended = try await RunningCommand.run(arguments)
        #expect(ended.status == 0)
        #expect(ended.output.contains(arguments == ["--version"] ? "0.1.0" : "EXAMPLE"))
    }
}
