import CommandTestSupport
import Foundation
import KHPServer
import Testing

@testable import KHPCommand

/// Words that are typed, and the text that is shown for them. With the other tests that start processes, one after the other.
extension EndToEndTests {
    @Test("khp URL connects; credentials in the URL count as --user, and are shown nowhere")
    func urlAlone() async throws {
        let users = FileManager.default.temporaryDirectory.appendingPathComponent("khp-users-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: users) }
        try Data((try UsersFile.Line.password("can@ary", user: "joe").text + "\n").utf8).write(to: users)
        let routes = ["--route", "/b=echo", "--auth", "/b=basic:desk", "--users", users.path]
        _ = try await RunningCommand.serving(routes) { port in
            let ended = try await RunningCommand.run(
                ["--json", "--trace", "--message", "hi", "ws://joe:can@ary@127.0.0.1:\(port)/b"]
            )
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(ended.event("message")?["text"] as? String == "hi")
            #expect(ended.event("open")?["url"] as? String == "ws://127.0.0.1:\(port)/b")
            #expect(ended.errors.contains("the credentials in the URL count as --user"))
            #expect(!(ended.output + ended.errors).contains("can@ary"))
            let other = try await RunningCommand.run(["ws://joe:can@ary@127.0.0.1:\(port)/b", "--user", "joe:no"])
            #expect(other.status == 8)
            #expect(other.errors.contains("do not count beside --user"))
        }
    }

    @Test("one file of users for several schemes on several paths, and for one scheme alone")
    func usersOfSeveralSchemes() async throws {
        let users = FileManager.default.temporaryDirectory.appendingPathComponent("khp-users-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: users) }
        let key = DigestAlgorithm.sha256.key(user: "joe", realm: "desk", password: "welcome")
        let lines = "\(try UsersFile.Line.password("welcome", user: "joe").text)\njoe:desk:SHA-256:\(key)\nbot:gold-1\n"
        try Data(lines.utf8).write(to: users)
        let schemes = [("basic", "Basic"), ("digest", "Digest"), ("token", "Token")]
        let routes = schemes.flatMap { ["--route", "/\($0.0)=echo", "--auth", "/\($0.0)=\($0.0):desk"] }
        let connect = ["connect", "--json", "--user", "joe:welcome", "--token", "gold-1", "--message", "hi"]
        _ = try await RunningCommand.serving(routes + ["--users", users.path]) { port in
            for (path, scheme) in schemes {
                let ended = try await RunningCommand.run(connect + ["ws://127.0.0.1:\(port)/\(path)"])
                #expect(ended.status == 0, "\(path): \(ended.errors)")
                #expect(ended.event("challenge")?["scheme"] as? String == scheme)
            }
        }
        // Lines of a kind that nobody asks for are no mistake.
        let alone = ["--route", "/a=echo", "--auth", "/a=basic", "--users", users.path]
        _ = try await RunningCommand.serving(alone) { port in
            let ended = try await RunningCommand.run(connect + ["ws://127.0.0.1:\(port)/a"])
            #expect(ended.status == 0, "\(ended.errors)")
        }
        try Data("joe:not hashed!\n".utf8).write(to: users)
        let wrong = try await RunningCommand.run(["serve", "--port", "0"] + alone)
        #expect(wrong.status == 2)
        #expect(wrong.errors.contains("no bcrypt or SHA-crypt hash") && !wrong.errors.contains("not hashed!"))
    }

    @Test("the whole entity of a refusal and the content of a 201 are shown, beside no events")
    func entitiesShown() async throws {
        try await withServer {
            Endpoint("/no", respond: { _ in .refuse(403, "no desk\nask there\n") })
            Endpoint("/new", respond: { _ in .created("the desk\nis yours\n") }, handler: { _ = try await $0.closed() })
        } body: { port in
            for options in [[], ["--json"]] {
                let refused = try await RunningCommand.run(["connect", "ws://127.0.0.1:\(port)/no"] + options)
                #expect(refused.status == 5)
                #expect(refused.errors.contains("403 Forbidden: \"no desk\"\n"))
                #expect(refused.errors.contains("\nno desk\nask there\n") == options.isEmpty)
                let created = try await RunningCommand.run(["connect", "ws://127.0.0.1:\(port)/new"] + options)
                #expect(created.status == 0)
                #expect(created.errors.hasSuffix("the desk\nis yours\n") == options.isEmpty, "\(created.errors)")
                #expect(!options.isEmpty || created.output.isEmpty)
            }
        }
    }

    @Test("serve says in plain words what address it cannot have", arguments: ["300.1.1.1", "nowhere.invalid", ""])
    func address(host: String) async throws {
        let ended = try await RunningCommand.run(["serve", "--port", "0", "--host", host])
        #expect(ended.status == (host.isEmpty ? 2 : 3))
        #expect(!ended.errors.contains("Error"), "\(ended.errors)")
        #expect(ended.errors.contains(host.isEmpty ? "--host" : "no name that can be resolved"), "\(ended.errors)")
    }

    @Test("--save-ladder draws what happened, by the name's end, for its owner alone; nothing else is drawn")
    func savedLadder() async throws {
        let folder = FileManager.default.temporaryDirectory
        _ = try await RunningCommand.serving(["--route", "/a=redirect:/echo?token=canary", "--route", "/echo=echo"]) {
            port in
            for suffix in ["svg", "html"] {
                let file = folder.appendingPathComponent("khp-\(UUID().uuidString).\(suffix)")
                defer { try? FileManager.default.removeItem(at: file) }
                let ended = try await RunningCommand.run([
                    "connect", "--message", "<hi>", "--count", "1", "--save-ladder", file.path,
                    "ws://127.0.0.1:\(port)/a",
                ])
                #expect(ended.status == 0, "\(ended.errors)")
                let text = try String(contentsOf: file, encoding: .utf8)
                #expect(text.contains(suffix == "svg" ? "<svg xmlns" : "<!doctype html>"))
                for part in ["GET /a HTTP/1.1", "302 Found", "/echo?token=•••", "&lt;hi&gt;", "closed with 1000 by us"]
                {
                    #expect(text.contains(part), "\(part)")
                }
                #expect(!text.contains("canary"))
                let mode = try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int
                #expect(mode == 0o600)
            }
        }
        for path in ["ladder.png", "/no/such/folder/ladder.svg"] {
            let wrong = try await RunningCommand.run(["connect", "--save-ladder", path, "ws://127.0.0.1:1/"])
            #expect(wrong.status == 2)
            #expect(wrong.errors.contains("--save-ladder"))
        }
    }
}
