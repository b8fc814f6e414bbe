// Files that `khp serve` reads again, and sockets that it is handed.

import ArgumentParser
import CommandTestSupport
import Foundation
import KHPClient
import KHPServer
import NIOSSL
import Testing

@testable import KHPCommand

@Suite("Files and sockets of khp serve", .serialized)
struct ServeReloadTests {
    private static func client(_ authority: CertificateAuthority, _ password: String) throws -> WebSocketClient {
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = try authority.roots()
        configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: password)
        return WebSocketClient(configuration: configuration)
    }

    @Test("SIGHUP reads certificate and users again; wrong files leave the old ones in force")
    func hangup() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        func path(_ name: String) -> String { directory.appendingPathComponent(name).path }
        func write(_ authority: CertificateAuthority, _ password: String) async throws {
            let issued = try authority.issue("DNS:localhost")
            try Data(issued.pem).write(to: URL(fileURLWithPath: path("s.pem")))
            try Data(issued.keyPEM).write(to: URL(fileURLWithPath: path("s.key")))
            let hashed = try await RunningCommand.run(["hash", "joe"], input: password + "\n")
            #expect(hashed.status == 0)
            try Data(hashed.output.utf8).write(to: URL(fileURLWithPath: path("users")))
        }
        let old = try CertificateAuthority()
        let new = try CertificateAuthority()
        try await write(old, "welcome")
        let (process, pipes) = try RunningCommand.start([
            "serve", "--port", "0", "--tls-cert", path("s.pem"), "--tls-key", path("s.key"), "--auth", "/echo=basic",
            "--users", path("users"),
        ])
        defer { process.terminate() }
        let listening = RunningCommand.firstLine(pipes.errors)
        let port = try #require(listening.split(separator: ":").last.flatMap { Int($0) })
        let url = "wss://localhost:\(port)/echo"
        let socket = try await Self.client(old, "welcome").connect(to: url)
        // A key that is another certificate's, and users that are none.
        try await write(new, "changed")
        try Data(old.issue("DNS:localhost").keyPEM).write(to: URL(fileURLWithPath: path("s.key")))
        kill(process.processIdentifier, SIGHUP)
        let wrong = RunningCommand.firstLine(pipes.errors)
        #expect(wrong.contains("stay in force"), "\(wrong)")
        try await Self.client(old, "welcome").connect(to: url).close()
        try await write(new, "changed")
        kill(process.processIdentifier, SIGHUP)
        let right = RunningCommand.firstLine(pipes.errors)
        #expect(right.contains("read the files again"), "\(right)")
        try await Self.client(new, "changed").connect(to: url).close()
        await #expect(throws: WebSocketError.self) { try await Self.client(old, "changed").connect(to: url) }
        await #expect(throws: WebSocketError.self) { try await Self.client(new, "welcome").connect(to: url) }
        try await socket.send("still here")
        #expect(try await socket.receive() == .text("still here"))
        try await socket.close()
    }

    @Test("--listen-fds takes the socket that systemd hands to this process, and no other")
    func listenFds() throws {
        var options = try ListenOptions.parse(["--listen-fds"])
        let rows: [([String: String], String?)] = [
            (["LISTEN_PID": "7", "LISTEN_FDS": "1"], nil), ([:], "no socket"),
            (["LISTEN_PID": "8", "LISTEN_FDS": "1"], "no socket"), (["LISTEN_PID": "7"], "no socket"),
            (["LISTEN_PID": "7", "LISTEN_FDS": "2"], "2 sockets"),
            (["LISTEN_PID": "7", "LISTEN_FDS": "x"], "x sockets"),
        ]
        for (environment, fault) in rows {
            do {
                let address = try options.address(environment, process: 7)
                #expect(fault == nil && address == .boundSocket(3))
            } catch let failure as CommandFailure {
                #expect(fault.map { failure.sentence.contains($0) } ?? false, "\(failure.sentence)")
            }
        }
        options.listenFds = false
        #expect(try options.address(rows[0].0, process: 7) == .hostname("127.0.0.1", port: 8080))
    }

    @Test("a socket that was bound and listened on before the command began is served")
    func handedOver() async throws {
        // The number of the process has to be known before it begins: a shell takes it over.
        let script = """
            import os, socket, sys
            listener = socket.socket()
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.environ["LISTEN_FDS"] = "1"
            os.execv(sys.argv[1], sys.argv[1:])
            """
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script, RunningCommand.executable.path, "serve", "--listen-fds"]
        let errors = Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let listening = RunningCommand.firstLine(errors)
        let port = try #require(listening.split(separator: ":").last.flatMap { Int($0) }, "\(listening)")
        let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
        try await socket.send("through a socket of somebody's")
        #expect(try await socket.receive() == .text("through a socket of somebody's"))
        try await socket.close()
        process.terminate()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}
