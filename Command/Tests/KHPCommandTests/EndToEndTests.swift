import ArgumentParser
import Foundation
import KHPGateway
import KHPServer
import KHPTesting
import Testing

@testable import KHPCommand

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
        try Data((try UsersFile.Line.password("welcome", user: "joe").text + "\n").utf8).write(to: users)
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

    @Test("serve asks for digest, basic and token; connect answers; credentials nowhere")
    func schemes() async throws {
        let users = FileManager.default.temporaryDirectory.appendingPathComponent("khp-users-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: users) }
        let keys = [DigestAlgorithm.sha256, .md5].map { algorithm in
            let key = algorithm.key(user: "joe", realm: "the: desk", password: "welcome")
            return "joe:the: desk:\(algorithm.rawValue):\(key)\n"
        }
        let lines = keys.joined() + "\(try UsersFile.Line.password("welcome", user: "joe").text)\nrobot:mF_9.B5f\n"
        try Data(lines.utf8).write(to: users)
        let options = [
            "--route", "/a=echo", "--route", "/t=echo", "--auth", "/a=basic", "--auth", "/a=digest:the: desk", "--auth",
            "/t=token", "--users", users.path, "--application", "--session-lifetime", "1",
        ]
        let (_, status) = try await RunningCommand.serving(options) { port in
            for options in [["--extended", "required"], ["--extended", "off"]] {
                for (path, scheme, credentials) in [
                    ("a", "Digest", ["--user", "joe:welcome"]), ("t", "Token", ["--token", "mF_9.B5f"]),
                ] {
                    let ended = try await RunningCommand.run(
                        ["connect", "--json", "--trace", "--message", "hi"] + options + credentials
                            + ["ws://127.0.0.1:\(port)/\(path)"]
                    )
                    #expect(ended.status == 0, "\(ended.output)\(ended.errors)")
                    #expect(ended.event("challenge")?["scheme"] as? String == scheme)
                    #expect(ended.event("message")?["text"] as? String == "hi")
                    for secret in ["welcome", "mF_9", "response=", "rspauth"] {
                        #expect(!ended.output.contains(secret) && !ended.errors.contains(secret), "\(secret)")
                    }
                }
            }
            let url = "ws://127.0.0.1:\(port)/a"
            let over = try await RunningCommand.run(
                ["connect", "--json", "--user", "joe:welcome", "--message", "hi", "--count", "2", url]
            )
            #expect(over.event("close")?["code"] as? Int == 1008)
            #expect(over.status == 1)
        }
        #expect(status == 0)
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
                #expect(run.errors.contains("asked for, not agreed on: x-unknown\n"))
                let insisting = try await RunningCommand.run([
                    "connect", "--compress", "--extension", "x-unknown", "--require-extension", "x-unknown",
                    "--require-extension", "permessage-deflate", "--extended", extended, "--json", url,
                ])
                #expect(insisting.status == (extended == "off" ? 4 : 5))
                #expect(insisting.event("error")?["code"] as? String == "extension-required")
                #expect(insisting.errors.contains("did not agree on x-unknown, which"))
            }
        }
        #expect(status == 0)
    }

    @Test("--extension: what cannot be meant is said, with the way out")
    func extensionArguments() async throws {
        let url = "ws://127.0.0.1:1/"
        for (command, argument, words) in [
            ("connect", "permessage-deflate; level=9", "\"level=9\": it takes"),
            ("serve", "permessage-deflate; server_max_window_bits=7", "from 8 to 15"),
            ("connect", ";;", "NAME; PARAM=VALUE"),
            ("serve", "x-kaazing-idle-timeout", "timeout=MILLISECONDS"),
            ("connect", "x-kaazing-ping-pong; 01010102", "it takes none"),
        ] {
            let run = try await RunningCommand.run(
                [command, "--extension", argument] + (command == "connect" ? [url] : ["--port", "0"])
            )
            #expect(run.status == 2)
            #expect(run.errors.contains("--extension") && run.errors.contains(words), "\(run.errors)")
        }
        let alone = try await RunningCommand.run(["connect", "--require-extension", "x-a", url])
        #expect(alone.status == 2)
        #expect(alone.errors.contains("--require-extension x-a needs"))
    }

    @Test("what ends a connection by its size is said, also when it was compressed")
    func compressionBomb() async throws {
        let (_, status) = try await RunningCommand.serving(["--compress", "--max-message-size", "1000"]) { port in
            let url = "ws://127.0.0.1:\(port)/echo"
            let text = String(repeating: "a", count: 100_000)
            let run = try await RunningCommand.run(["connect", "--compress", "--message", text, url, "--count", "1"])
            #expect(run.status == 1)
            #expect(run.errors.contains("1009 (message larger than 1000 bytes) by the peer"))
        }
        #expect(status == 0)
    }

    @Test("--extensions-at and --compress-at: agreed on there, with those who complete the extended handshake as well")
    func extensionPlaces() async throws {
        let cases: [(options: [String], known: String, compression: String)] = [
            ([], "extended", "extended"), (["--extensions-at", "opening"], "opening", "opening"),
            (["--compress-at", "opening"], "extended", "opening"),
        ]
        for (options, known, compression) in cases {
            let served = ["--compress", "--extension", "x-known"] + options
            let (_, status) = try await RunningCommand.serving(served) { port in
                let text = String(repeating: "tick ", count: 100)
                let run = try await RunningCommand.run([
                    "connect", "--compress", "--extension", "x-known", "--extended", "required", "--json", "-v",
                    "--message", text, "--count", "1", "ws://127.0.0.1:\(port)/echo",
                ])
                #expect(run.status == 0)
                let open = try #require(run.event("open")?["extensions"] as? [[String: Any]])
                let layers = Dictionary(
                    uniqueKeysWithValues: open.map { ($0["name"] as? String, $0["layer"] as? String) }
                )
                #expect(layers == ["x-known": known, "permessage-deflate": compression])
                #expect(run.event("message")?["text"] as? String == text)
                #expect(run.errors.contains("compression: sent 500 bytes in "))
            }
            #expect(status == 0)
        }
        for wrong in [["--compress-at", "home"], ["--extensions-at", "extended", "--extended", "off"]] {
            #expect(try await RunningCommand.run(["serve", "--port", "0"] + wrong).status == 2)
            #expect(try await RunningCommand.run(["connect", "ws://127.0.0.1:1/"] + wrong).status == 2)
        }
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
                (["--dialect", "hixie-77", base], 2), (["-H", "Host: x", base], 2),
                (["-H", "Bearer canary", base], 2), (["--extended", "off", "--extended-method", "POST", base], 2),
                (["--message", "x", "\(base)/echo"], 0),
            ]
            for (arguments, status) in cases {
                let ended = try await RunningCommand.run(["connect", "--json"] + arguments)
                #expect(ended.status == status, "\(arguments): \(ended.errors)")
                let sentences = ended.errors.split(separator: "\n").filter { $0.hasPrefix("khp: ") }
                #expect(sentences.count == (status == 0 ? 0 : 1), "\(arguments): \(ended.errors)")
                #expect(ended.event("error")?["exit"] as? Int == (status == 0 ? nil : Int(status)))
                #expect(!(ended.output + ended.errors).contains("canary"))
            }
        }
    }

    @Test("redirect options, choices, and the way to an error")
    func redirects() async throws {
        let routes = [
            "--route", "/echo=echo", "--route", "/choices=choices:ftp://h/,/echo", "--route", "/308=redirect:308:/echo",
            "--route", "/far=redirect:/no?token=canary", "--route", "/no=status:403:not here",
        ]
        _ = try await RunningCommand.serving(routes) { port in
            let base = "ws://127.0.0.1:\(port)"
            for extended in ["required", "off"] {
                let connect = ["connect", "--json", "--extended", extended, "--message", "x"]
                let chosen = try await RunningCommand.run(connect + ["\(base)/choices"])
                #expect(chosen.status == 0, "\(chosen.errors)")
                #expect(chosen.event("redirect")?["status"] as? Int == 300)
                #expect(try await RunningCommand.run(connect + ["\(base)/308"]).status == (extended == "off" ? 4 : 5))
                #expect(try await RunningCommand.run(connect + ["--follow-308", "\(base)/308"]).status == 0)
                #expect(
                    try await RunningCommand.run(connect + ["--max-redirects", "0", "\(base)/choices"]).status == 6
                )
                let failed = try await RunningCommand.run(connect + ["\(base)/far"])
                let trail = failed.event("error")?["trail"] as? [[String: Any]]
                #expect(trail?.count == 1)
                #expect(trail?.first?["from"] as? String == "\(base)/far")
                #expect(trail?.first?["to"] as? String == "\(base)/no?token=•••")
                #expect(trail?.first?["status"] as? Int == 302)
                #expect(failed.errors.contains("after 302 from \(base)/far to \(base)/no?token=•••"))
                #expect(!failed.errors.contains("canary"))
            }
        }
    }

    @Test("--reconnect: again after a server that went away, with rising attempts, until it is there")
    func reconnect() async throws {
        let command = ["--reconnect", "--timeout", "5", "--count", "1", "--message", "x"]
        let (process, pipes) = try RunningCommand.start(["connect", "--json"] + command + ["ws://127.0.0.1:1/"])
        var line: [UInt8] = []
        var attempts: [Int] = []
        while attempts.count < 3, let byte = try pipes.output.fileHandleForReading.read(upToCount: 1)?.first {
            guard byte == 0x0A else {
                line.append(byte)
                continue
            }
            let object = (try? JSONSerialization.jsonObject(with: Data(line))) as? [String: Any]
            if object?["event"] as? String == "connecting" { attempts.append(object?["attempt"] as? Int ?? 0) }
            line = []
        }
        #expect(attempts == [1, 2, 3])
        process.interrupt()
        process.waitUntilExit()
        #expect(process.terminationStatus == 130)
        let notes = String(decoding: pipes.errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(notes.contains("connecting again in"))
        // Credentials that were refused once are not asked for again.
        _ = try await RunningCommand.serving(["--route", "/no=status:403"]) { port in
            let refused = try await RunningCommand.run(["connect"] + command + ["ws://127.0.0.1:\(port)/no"])
            #expect(refused.status == 5)
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

    @Test("the Kaazing legacy exchange: a balancer, both sides' traces, a transcript that plays again (D7)")
    func kaazingLegacy() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString).khp")
        defer { try? FileManager.default.removeItem(at: file) }
        let routes = ["--route", "/old=redirect:/echo", "--route", "/echo=echo"]
        _ = try await RunningCommand.serving(routes) { port in
            let url = "ws://127.0.0.1:\(port)/old"
            let ended = try await RunningCommand.run([
                "connect", "--kaazing-legacy", "--json", "--trace", "--save-transcript", file.path, "--message", "hi",
                url,
            ])
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(ended.event("open")?["redirects"] as? Int == 1)
            #expect(ended.event("message")?["text"] as? String == "hi")
            #expect(ended.errors.contains("balancer R ws://127.0.0.1:\(port)/echo?.kl=Y"))
            #expect(ended.errors.contains("end-of-response"))
            let saved = try Transcript(String(contentsOf: file, encoding: .utf8), name: "saved")
            try saved.play(against: .client)
            let wrong = try await RunningCommand.run(["connect", "--kaazing-legacy", "--extended", "off", url])
            #expect(wrong.status == 2)
        }
        // Without it a client that asks waits for a balancer message that does not come.
        _ = try await RunningCommand.serving(["--kaazing-legacy", "off"]) { port in
            let url = "ws://127.0.0.1:\(port)/echo"
            let late = try await RunningCommand.run(["connect", "--kaazing-legacy", "--timeout", "0.5", url])
            #expect(late.status == 7)
            #expect(try await RunningCommand.run(["connect", "--message", "hi", url]).status == 0)
        }
    }

    @Test("hash reads a password from a pipe; its line verifies")
    func hash() async throws {
        let ended = try await RunningCommand.run(["hash", "joe", "--algorithm", "sha256"], input: "welcome\n")
        #expect(ended.status == 0)
        let users = FileManager.default.temporaryDirectory.appendingPathComponent("khp-users-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: users) }
        try Data(ended.output.utf8).write(to: users)
        let routes = ["--route", "/a=echo", "--auth", "/a=basic", "--users", users.path]
        _ = try await RunningCommand.serving(routes) { port in
            for (password, status) in [("welcome", 0), ("wrong", 8)] as [(String, Int32)] {
                let url = "ws://joe:\(password)@127.0.0.1:\(port)/a"
                let connected = try await RunningCommand.run(["connect", "--message", "hi", url])
                #expect(connected.status == status, "\(connected.errors)")
            }
        }
        #expect(try await RunningCommand.run(["hash", "j:oe"], input: "x\n").status == 2)
    }

    @Test("hash makes keys for digest, and tokens; no two tokens are alike")
    func digestLines() async throws {
        for (name, algorithm) in [(nil, DigestAlgorithm.sha256), ("md5", .md5), ("SHA-512-256", .sha512_256)] {
            let options = name.map { ["--algorithm", $0] } ?? []
            let made = try await RunningCommand.run(
                ["hash", "--digest", "the: desk", "joe"] + options,
                input: "wélcome\n"
            )
            #expect(made.status == 0)
            let users = try UsersFile(made.output, name: "users")
            #expect(
                users.digestKey(user: "joe", realm: "the: desk", algorithm: algorithm)
                    == algorithm.key(user: "joe", realm: "the: desk", password: "wélcome")
            )
        }
        let first = try await RunningCommand.run(["hash", "--token", "robot"])
        #expect(try UsersFile(first.output, name: "users", allowsTokens: true).hasTokens)
        #expect(try await RunningCommand.run(["hash", "--token", "robot"]).output != first.output)
        for options in [
            ["--token", "--digest", "a"], ["--digest", "a", "--algorithm", "sha512"], ["--algorithm", "MD5"],
        ] {
            #expect(try await RunningCommand.run(["hash", "joe"] + options, input: "x\n").status == 2, "\(options)")
        }
    }

    @Test("serve: what --auth cannot do without is a mistake in what was typed")
    func accessMistakes() async throws {
        let users = FileManager.default.temporaryDirectory.appendingPathComponent("khp-users-\(UUID().uuidString)")
        let key = FileManager.default.temporaryDirectory.appendingPathComponent("khp-key-\(UUID().uuidString)")
        defer {
            try? FileManager.default.removeItem(at: users)
            try? FileManager.default.removeItem(at: key)
        }
        let md5 = DigestAlgorithm.md5.key(user: "joe", realm: "desk", password: "welcome")
        let sha256 = DigestAlgorithm.sha256.key(user: "ann", realm: "other", password: "welcome")
        let mixed = DigestAlgorithm.md5.key(user: "joe", realm: "other", password: "welcome")
        let lines = "joe:desk:\(md5)\nann:other:SHA-256:\(sha256)\njoe:other:\(mixed)\n"
        try Data(lines.utf8).write(to: users)
        try Data("short\n".utf8).write(to: key)
        let file = ["--users", users.path]
        let cases: [(arguments: [String], says: String)] = [
            (["--auth", "/echo=digest:desk"], "--users"), (["--auth", "/echo=basic:desk"] + file, "name:hash"),
            (["--auth", "/echo=token"] + file, "name:token"), (["--auth", "/echo=bearer"] + file, "name:token"),
            (["--auth", "/echo=digest:none"] + file, "realm `none`"),
            (["--auth", "/echo=digest:other"] + file, "in common"),
            (["--auth", "/no=digest:desk"] + file, "no --route"),
            (["--auth", "/echo=digest:desk", "--auth", "/echo=digest"] + file, "twice"),
            (["--auth", "/echo=digest:desk", "--auth", "/echo=token:other"] + file, "two realms"),
            (["--auth", "/echo=ntlm"] + file, "no scheme"), (["--application"], "--auth"),
            (["--session-lifetime", "3"], "--auth"), (["--nonce-key", key.path], "--auth"), (file, "--auth"),
            (["--challenge-at", "opening"], "--auth"),
            (["--auth", "/echo=digest:desk", "--nonce-key", key.path] + file, "16 bytes"),
            (["--auth", "/echo=digest:desk", "--session-lifetime", "0"] + file, "more than 0"),
        ]
        for (arguments, says) in cases {
            let ended = try await RunningCommand.run(["serve", "--port", "0"] + arguments)
            #expect(ended.status == 2, "\(arguments): \(ended.errors)")
            #expect(ended.errors.contains(says), "\(arguments): \(ended.errors)")
            for secret in [md5, sha256, mixed] { #expect(!ended.errors.contains(secret)) }
        }
    }

    @Test(
        "the version, and help at every level",
        arguments: [
            ["--version"], ["--help"], ["connect", "--help"], ["serve", "--help"], ["demo", "--help"],
            ["gateway", "--help"], ["hash", "--help"],
        ]
    )
    func help(arguments: [String]) async throws {
        let ended = try await RunningCommand.run(arguments)
        #expect(ended.status == 0)
        #expect(ended.output.contains(arguments == ["--version"] ? Release.version : "EXAMPLE"))
    }

    @Test("what is laid out by lines in the help stays on its lines at 80 columns: examples can be copied")
    func examples() async throws {
        let commands: [(String, any ParsableCommand.Type)] = [
            ("demo", DemoCommand.self), ("connect", ConnectCommand.self), ("serve", ServeCommand.self),
            ("gateway", GatewayCommand.self), ("hash", HashCommand.self),
        ]
        for (name, command) in commands {
            let help = try await RunningCommand.run([name, "--help"], environment: ["COLUMNS": "80"])
            let shown = Set(help.output.split(separator: "\n"))
            let lines = command.configuration.discussion.split(separator: "\n").filter { $0.hasPrefix("  ") }
            #expect(!lines.isEmpty)
            for line in lines { #expect(shown.contains(line), "\(line)") }
        }
    }
}
