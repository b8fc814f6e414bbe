// Access to `khp serve` before anybody asks for credentials: hosts, clients of proxies, as many as there is room for.

import CommandTestSupport
import Foundation
import Testing

@testable import KHPCommand

@Suite("Hosts and proxies of khp serve", .serialized)
struct ServeAccessTests {
    private func status(_ port: Int, host: String, path: String = "/echo", extra: String = "") async throws -> String {
        try await offThread {
            let client = try BlockingSocket.connect(port)
            defer { client.close() }
            let request = openingRequest(path, extra: extra).replacing("Host: 127.0.0.1", with: "Host: \(host)")
            try client.send(request)
            return String(try client.receiveHead().prefix(12).suffix(3))
        }
    }

    @Test("--allowed-host: others get 421, ordinary requests too (D37)")
    func allowedHosts() async throws {
        let hosts = ["LocalHost", "[0:0::1]", "127.0.0.1:81", "example.com."]
        let arguments = hosts.flatMap { ["--allowed-host", $0] } + ["--metrics", "/metrics"]
        let (_, ended) = try await RunningCommand.serving(arguments) { port in
            for (host, expected) in [
                ("localhost", "101"), ("LOCALHOST:\(port)", "101"), ("localhost.", "101"), ("[::1]:9", "101"),
                ("[0:0:0:0:0:0:0:1]", "101"), ("127.0.0.1:81", "101"), ("example.com", "101"),
                ("example.com.:80", "101"),
                ("127.0.0.1", "421"), ("127.0.0.1:82", "421"), ("[::2]", "421"), ("example.org", "421"),
                ("sub.example.com", "421"), ("localhost.example.org", "421"), ("", "400"),
            ] {
                #expect(try await self.status(port, host: host) == expected, "\(host)")
            }
            let plain = try await offThread {
                try ["localhost", "rebound.example"].map { host in
                    let client = try BlockingSocket.connect(port)
                    try client.send("GET /metrics HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                    return String(try client.receiveHead().prefix(12).suffix(3))
                }
            }
            #expect(plain == ["200", "421"])
        }
        #expect(ended == 0)
    }

    @Test(
        "what makes no sense is a mistake of usage",
        arguments: [
            ["--allowed-host", "http://example.com"], ["--allowed-host", ""], ["--trusted-proxy", "proxy.example"],
            ["--trusted-proxy", "10.0.0.0/40"], ["--forwarding-field", "forwarded"],
            ["--trusted-proxy", "10.0.0.1", "--forwarding-field", "via"],
        ]
    )
    func usage(arguments: [String]) async throws {
        let serve = try await RunningCommand.run(["serve", "--port", "0"] + arguments)
        #expect(serve.status == 2)
        #expect(serve.errors.contains(arguments[0]) || serve.errors.contains("via"))
    }

    #if os(Linux)
        @Test("out of descriptors the listener waits, and serves again when there are some (threat H3)")
        func descriptors() async throws {
            let process = Process()
            let output = Pipe()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = [
                "-c", "ulimit -n 40; exec \"$0\" serve --port 0 --json --threads 1", RunningCommand.executable.path,
            ]
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.run()
            defer { process.terminate() }
            let port = try await offThread {
                var line: [UInt8] = []
                while let byte = try output.fileHandleForReading.read(upToCount: 1)?.first, byte != 0x0A {
                    line.append(byte)
                }
                let event = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
                return event?["port"] as? Int ?? 0
            }
            let id = process.processIdentifier
            let spent = try await offThread {
                // More than there are descriptors: the system accepts them, the server cannot.
                let clients = try (0..<60).map { _ in try BlockingSocket.connect(port) }
                // Nothing tells that it has run out of descriptors; then it must rest for a second, in which nothing happens.
                usleep(300_000)
                let before = try Self.ticks(id)
                usleep(1_000_000)
                let spent = try Self.ticks(id) - before
                for client in clients { client.close() }
                return spent
            }
            #expect(spent < 20, "of a hundred")
            #expect(try await self.status(port, host: "localhost") == "101")
        }

        /// The processor time of a process, in hundredths of a second.
        private static func ticks(_ process: Int32) throws -> Int {
            let text = try String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            guard fields.count > 13 else { return 0 }
            return (Int(fields[12]) ?? 0) + (Int(fields[13]) ?? 0)
        }
    #endif
}
