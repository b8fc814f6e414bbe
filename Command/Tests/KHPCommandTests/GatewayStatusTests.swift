import CommandTestSupport
import Foundation
import KHPServer
import Testing

@testable import KHPCommand

/// The exit statuses of `khp gateway`, which service managers act on.
@Suite(.timeLimit(.minutes(1)))
struct GatewayStatusTests {
    /// Runs a gateway of this configuration to its end.
    private static func run(_ text: String) async throws -> RunningCommand.Ended {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString).yaml")
        try text.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        return try await RunningCommand.run(["gateway", "--config", file.path])
    }

    /// Runs one that a test ends.
    /// - Returns: the exit status.
    private static func running(
        _ shutdown: String,
        _ body: (_ port: Int, _ process: Process, _ pipes: RunningCommand.Pipes) async throws -> Void
    ) async throws -> Int32 {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString).yaml")
        let text = """
            version: 1
            listeners: {a: {listen: 127.0.0.1:0}}
            services: {s: {path: /s, type: echo}}
            shutdown: \(shutdown)
            """
        try text.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let (process, pipes) = try RunningCommand.start(["gateway", "--config", file.path])
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        let line = RunningCommand.firstLine(pipes.output)
        let port = line.split(separator: ":").last.flatMap { Int($0.prefix { $0.isNumber }) } ?? 0
        try await body(port, process, pipes)
        try await offThread { process.waitUntilExit() }
        return process.terminationStatus
    }

    @Test("3 where a listener, or the admin address, cannot be bound; nothing is announced before")
    func bound() async throws {
        try await withServer {
            echo()
        } body: { port in
            let free = "listeners: {a: {listen: 127.0.0.1:0}}"
            for taken in [
                "listeners: {a: {listen: 127.0.0.1:\(port)}}", "\(free)\nadmin: {listen: 127.0.0.1:\(port)}",
            ] {
                let ended = try await Self.run(
                    """
                    version: 1
                    \(taken)
                    services: {s: {path: /s, type: echo}}
                    shutdown: {announce: 20s}
                    """
                )
                #expect(ended.status == 3)
                #expect(ended.output.isEmpty)
                #expect(
                    ended.errors.contains(": cannot listen on 127.0.0.1:\(port): the address is in use\n"),
                    "\(ended.errors)"
                )
                #expect(!ended.errors.contains("drain"), "\(ended.errors)")
            }
        }
    }

    @Test("1 where sessions were cut at the end of the drain, a second behind it at most")
    func cut() async throws {
        var client: BlockingSocket?
        var end = ContinuousClock.now
        let status = try await Self.running("{drain: 0s}") { port, process, _ in
            client = try await offThread {
                let socket = try BlockingSocket.connect(port)
                try socket.send(openingRequest("/s"))
                #expect(try socket.receiveHead().hasPrefix("HTTP/1.1 101"))
                return socket
            }
            end = .now
            // It answers no close.
            process.terminate()
        }
        #expect(status == 1)
        #expect(end.duration(to: .now) < .seconds(6))
        client?.close()
    }

    @Test("128 and the number of a second signal, which ends at once", arguments: [SIGINT, SIGTERM])
    func second(_ signal: Int32) async throws {
        let status = try await Self.running("{announce: 60s}") { _, process, pipes in
            kill(process.processIdentifier, signal)
            try await offThread {
                var log = RunningCommand.firstLine(pipes.errors)
                while !log.isEmpty, !log.contains("drain.start") { log = RunningCommand.firstLine(pipes.errors) }
                #expect(log.contains("drain.start"))
            }
            kill(process.processIdentifier, signal)
        }
        #expect(status == 128 + signal)
    }
}
