import ArgumentParser
import CommandTestSupport
import Foundation
import KHPGateway
import KHPServer
import Testing

@testable import KHPCommand

/// `khp gateway`, as an operator types it.
struct GatewayCommandTests {
    /// A folder that is gone afterwards.
    private static func inFolder(_ body: (URL) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder)
    }

    private static let good = """
        version: 1
        listeners: {a: {listen: 127.0.0.1:0}}
        pools: {p: {backends: "tcp://127.0.0.1:1"}}
        services: {s: {path: /s, pool: p}}
        """

    @Test("--example prints a file that begins as one")
    func example() async throws {
        let ended = try await RunningCommand.run(["gateway", "--example"])
        #expect(ended.status == 0 && ended.errors.isEmpty)
        #expect(ended.output == GatewayConfiguration.example)
    }

    @Test("--check of a good configuration says so, and ends with 0")
    func good() async throws {
        try await Self.inFolder { folder in
            let file = folder.appendingPathComponent("gateway.yaml").path
            try Self.good.write(toFile: file, atomically: true, encoding: .utf8)
            let ended = try await RunningCommand.run(["gateway", "--config", file, "--check"])
            #expect(ended.status == 0 && ended.errors.isEmpty)
            // 10,000 sessions of two buffers of 64 KiB, and 32 KiB more.
            #expect(
                ended.output == """
                    \(file): 1 listener, 1 service, 1 pool, 0 realms: good
                    \(file): all sessions together buffer at most 1563 MiB

                    """
            )
            let printed = try await RunningCommand.run(["gateway", "--config", file, "--print-config"])
            #expect(printed.status == 0 && printed.errors.isEmpty)
            #expect(printed.output.contains("connectTimeout: 5s"))
        }
    }

    @Test("with --json each listener is an object of standard output, and the log stays on standard error")
    func json() async throws {
        try await Self.inFolder { folder in
            let file = folder.appendingPathComponent("gateway.yaml").path
            let socket = "/tmp/khp-\(UUID().uuidString.prefix(8)).sock"
            let text = """
                version: 1
                listeners: {a: {listen: 127.0.0.1:0}, b: {listen: "unix:\(socket)"}}
                services: {s: {path: /s, type: echo}}
                """
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let (process, pipes) = try RunningCommand.start(["gateway", "--config", file, "--json"])
            defer { process.terminate() }
            let objects = try (0..<2).map { _ in
                let line = Data(RunningCommand.firstLine(pipes.output).utf8)
                return try #require(try JSONSerialization.jsonObject(with: line) as? [String: Any])
            }
            #expect(objects.allSatisfy { $0["event"] as? String == "listening" && $0["tls"] as? Bool == false })
            #expect(objects.map { $0["listener"] as? String } == ["a", "b"])
            #expect(objects[0]["host"] as? String == "127.0.0.1" && objects[0]["port"] as? Int ?? 0 > 0)
            #expect(objects[1]["path"] as? String == socket)
            process.terminate()
            let rest = try await offThread { pipes.output.fileHandleForReading.readDataToEndOfFile() }
            process.waitUntilExit()
            #expect(rest.isEmpty && process.terminationStatus == 0)
        }
    }

    @Test("it runs, answers ctl, reloads by SIGHUP and drains by SIGTERM")
    func runs() async throws {
        try await Self.inFolder { folder in
            let file = folder.appendingPathComponent("gateway.yaml").path
            let socket = "/tmp/khp-\(UUID().uuidString.prefix(8)).sock"
            let text = """
                version: 1
                listeners: {a: {listen: 127.0.0.1:0}}
                admin: {listen: "unix:\(socket)"}
                services: {s: {path: /s, type: echo}}
                """
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let (process, pipes) = try RunningCommand.start(["gateway", "--config", file])
            defer { process.terminate() }
            let line = RunningCommand.firstLine(pipes.output)
            let words = line.split(separator: " ")
            #expect(words.count == 5 && words[0] == "listening:" && words[1] == "a")
            #expect(words.last == "unix:\(socket)")
            let url = String(words[2].dropLast()) + "/s"
            let echoed = try await RunningCommand.run(["connect", url, "--message", "hello", "--count", "1"])
            #expect(echoed.status == 0 && echoed.output == "hello\n")
            func ctl(_ arguments: String...) async throws -> RunningCommand.Ended {
                try await RunningCommand.run(["gateway", "ctl", "--admin", "unix:\(socket)"] + arguments)
            }
            #expect(try await ctl("ready").status == 0)
            #expect(try await ctl("status").output.contains(#""name":"s","path":"/s","kind":"echo""#))
            #expect(try await ctl("close", "0").status == 1)
            try (text + "\n  t: {path: /t, type: echo}".replacingOccurrences(of: "\n  t", with: "\nnonsense"))
                .write(toFile: file, atomically: true, encoding: .utf8)
            let failed = try await ctl("reload")
            #expect(failed.status == 1 && failed.output.contains("nonsense: unknown"))
            try text.replacingOccurrences(of: "{s:", with: "{t:").write(toFile: file, atomically: true, encoding: .utf8)
            // A program that rotates log files says so to a log that is none.
            #expect(kill(process.processIdentifier, SIGUSR1) == 0)
            #expect(kill(process.processIdentifier, SIGHUP) == 0)
            // The reload is asked for once more, and answers behind the one of the signal.
            #expect(try await ctl("reload").status == 0)
            #expect(try await ctl("status").output.contains(#""name":"t""#))
            process.terminate()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            let log = String(decoding: pipes.errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            for event in ["listening", "session.end", "log.reopen", "reload.failed", "reload.done", "drain.end"] {
                #expect(log.contains("\"event\":\"\(event)\""), "\(event) in \(log)")
            }
            #expect(!FileManager.default.fileExists(atPath: socket))
        }
    }

    @Test("--check of a wrong one tells every mistake with its place, and ends with 2")
    func wrong() async throws {
        try await Self.inFolder { folder in
            let file = folder.appendingPathComponent("gateway.yaml").path
            let text = Self.good + "\nlog: {level: loud}\nadmin: {listen: 0.0.0.0:1}\nrealm: {}"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let ended = try await RunningCommand.run(["gateway", "--config", file, "--check"])
            #expect(ended.status == 2 && ended.output.isEmpty)
            #expect(
                ended.errors == """
                    \(file):5:14: log.level: "loud" is none of trace, debug, info, notice, warning, error
                    \(file):6:17: admin.listen: 0.0.0.0:1 is reached by other hosts: that needs tls and token; \
                    unix:PATH and 127.0.0.1:PORT do not
                    \(file):7:1: realm: unknown; did you mean realms?
                    khp: \(file) has 3 errors

                    """
            )
        }
    }

    @Test("--check=connect dials the backends, and names those that are not well")
    func connect() async throws {
        try await Self.inFolder { folder in
            let file = folder.appendingPathComponent("gateway.yaml").path
            // Whatever accepts is well enough for a check without words.
            try await withServer {
                CommandTestSupport.echo()
            } body: { port in
                let good = Self.good.replacing("127.0.0.1:1\"", with: "127.0.0.1:\(port)\"")
                try good.write(toFile: file, atomically: true, encoding: .utf8)
                let ended = try await RunningCommand.run(["gateway", "--check=connect", "--config", file])
                #expect(ended.status == 0 && ended.errors.isEmpty, "\(ended)")
            }
            try Self.good.write(toFile: file, atomically: true, encoding: .utf8)
            let ended = try await RunningCommand.run(["gateway", "--config", file, "--check=connect"])
            #expect(ended.status == 2 && ended.output.isEmpty)
            #expect(
                ended.errors == """
                    \(file):3:23: pools.p.backends: tcp://127.0.0.1:1: the connection was refused
                    khp: \(file) has 1 error

                    """
            )
        }
    }

    @Test("warnings are told, and end with 2 where --strict is said")
    func strict() async throws {
        try await Self.inFolder { folder in
            let file = folder.appendingPathComponent("gateway.yaml").path
            let text = Self.good + "\nrealms: {r: {schemes: basic, users: users}}"
            try text.write(toFile: file, atomically: true, encoding: .utf8)
            let users = folder.appendingPathComponent("users").path
            let line = "joe:$2b$04$abcdefghijklmnopqrstuuN7NK0iG5tVxz5sAfvkxl7bLWtL0kKQK"
            try line.write(toFile: users, atomically: true, encoding: .utf8)
            let ended = try await RunningCommand.run(["gateway", "--config", file, "--check"])
            #expect(ended.status == 0 && ended.errors.contains("warning: realms.r: is asked by no service"))
            let strict = try await RunningCommand.run(["gateway", "--config", file, "--check", "--strict"])
            #expect(strict.status == 2 && strict.errors.contains("khp: \(file) has "))
        }
    }

    @Test("--check takes the two words that there are, or none")
    func depths() throws {
        for word in ["--check=conect", "--check=", "--check=FILES", "--check=true"] {
            #expect { try Khp.parse(["gateway", "--config", "f", word]) } throws: { error in
                Khp.message(for: error).contains("--check takes files or connect")
            }
        }
        for word in ["--check", "--check=files", "--check=connect"] {
            _ = try Khp.parse(["gateway", "--config", "f", word])
        }
    }

    @Test("a file without a name is no configuration")
    func unnamed() {
        for more in [[], ["--check"], ["--print-config"]] {
            #expect { try Khp.parse(["gateway", "--config", ""] + more) } throws: { error in
                Khp.message(for: error) == "--config FILE names the configuration"
            }
        }
    }

    @Test("a word that is no verb is told with those that there are, in one list")
    func verbs() {
        #expect { try Khp.parse(["gateway", "ctl", "--admin", "unix:/a", "bogus"]) } throws: { error in
            Khp.message(for: error).asSentence.hasSuffix(
                "one of the following: status, ready, reload, drain, undrain, sessions, close"
            )
        }
        #expect("Some:\n\n  - a\n  - b\nand so on".asSentence == "Some: a, b; and so on")
        #expect("- a\n- b".asSentence == "a, b")
    }

    @Test(
        "a mistake in what was typed ends with 2",
        arguments: [
            [], ["--check"], ["--check", "--example"], ["--config", "f"], ["--config", "f", "--example"],
            ["--config", "f", "--check=all"],
            ["--config", "/nowhere/gateway.yaml", "--check"], ["--example", "--strict"],
        ]
    )
    func usage(arguments: [String]) async throws {
        let ended = try await RunningCommand.run(["gateway"] + arguments)
        #expect(ended.status == 2 && ended.output.isEmpty && ended.errors.contains("khp: "))
    }
}
