import CommandTestSupport
import Foundation
import KHPProtocol
import KHPServer
import Testing

@testable import KHPCommand

/// The command's trust, and the addresses that it dials.
struct ReachingTests {
    private static func directory() throws -> URL {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        return url
    }

    @Test("SSL_CERT_FILE and SSL_CERT_DIR are trusted in place of the system's authorities; --cacert goes before them")
    func environment() async throws {
        let directory = try Self.directory()
        defer { try? FileManager.default.removeItem(at: directory) }
        let (authority, stranger) = (try CertificateAuthority(), try CertificateAuthority(named: "stranger"))
        let (right, wrong) = (directory.appendingPathComponent("a.pem"), directory.appendingPathComponent("b.pem"))
        try Data(try authority.pem()).write(to: right)
        try Data(try stranger.pem()).write(to: wrong)
        let (hashed, empty) = (directory.appendingPathComponent("hashed"), directory.appendingPathComponent("empty"))
        for folder in [hashed, empty] {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        }
        try FileManager.default.copyItem(at: right, to: hashed.appendingPathComponent("0a1b2c3d.0"))
        try FileManager.default.copyItem(at: wrong, to: hashed.appendingPathComponent("not-looked-at.pem"))
        let tls = try authority.server("IP:127.0.0.1")
        let rows: [(environment: [String: String], arguments: [String], status: Int32, words: String)] = [
            (["SSL_CERT_FILE": right.path], [], 0, ""),
            (["SSL_CERT_FILE": wrong.path], [], 3, "could not be verified"),
            (["SSL_CERT_FILE": wrong.path], ["--cacert", right.path], 0, ""),
            (["SSL_CERT_FILE": right.path], ["--cacert", wrong.path], 3, "could not be verified"),
            (["SSL_CERT_DIR": hashed.path], [], 0, ""),
            (["SSL_CERT_DIR": "\(empty.path):\(hashed.path)"], [], 0, ""),
            (["SSL_CERT_FILE": wrong.path, "SSL_CERT_DIR": hashed.path], [], 0, ""),
            (["SSL_CERT_DIR": empty.path], [], 2, "SSL_CERT_DIR"),
            (["SSL_CERT_FILE": "/nowhere/x.pem"], [], 2, "SSL_CERT_FILE"),
            (["SSL_CERT_FILE": ""], [], 3, "could not be verified"),
        ]
        try await withServer {
            $0.tls = tls
        } endpoints: {
            echo()
        } body: { port in
            for row in rows {
                let ended = try await RunningCommand.run(
                    ["connect", "--message", "hello", "--count", "1"] + row.arguments + [
                        "wss://127.0.0.1:\(port)/echo"
                    ],
                    environment: ["SSL_CERT_FILE": "", "SSL_CERT_DIR": ""].merging(row.environment) { $1 }
                )
                #expect(ended.status == row.status, "\(row): \(ended.errors)")
                #expect(row.words.isEmpty || ended.errors.contains(row.words), "\(row): \(ended.errors)")
            }
        }
    }

    @Test("a variable that names what has gone does not matter where no TLS is spoken")
    func unneeded() async throws {
        try await withServer {
            echo()
        } body: { port in
            let ended = try await RunningCommand.run(
                ["connect", "--message", "hello", "--count", "1", "ws://127.0.0.1:\(port)/echo"],
                environment: ["SSL_CERT_FILE": "/nowhere/x.pem", "SSL_CERT_DIR": "/nowhere"]
            )
            #expect(ended.status == 0, "\(ended.errors)")
        }
    }

    @Test("--connect-to and --unix-socket dial that, and the URL names the host")
    func targets() async throws {
        let directory = try Self.directory()
        defer { try? FileManager.default.removeItem(at: directory) }
        let socket = directory.appendingPathComponent("s").path
        try await withServer {
            $0.allowedHosts = ["gw.example.test"]
        } endpoints: {
            echo()
        } body: { port in
            let ended = try await RunningCommand.run([
                "connect", "--connect-to", "127.0.0.1:\(port)", "--message", "hello", "--count", "1",
                "ws://gw.example.test/echo",
            ])
            #expect(ended.status == 0 && ended.output == "hello\n", "\(ended.errors)")
        }
        try await withServer {
            $0.allowedHosts = ["gw.example.test"]
            $0.address = .unixDomainSocket(path: socket)
        } endpoints: {
            echo()
        } body: { _ in
            let ended = try await RunningCommand.run([
                "connect", "--unix-socket", socket, "--message", "hello", "--count", "1", "ws://gw.example.test/echo",
            ])
            #expect(ended.status == 0 && ended.output == "hello\n", "\(ended.errors)")
        }
        let nobody = try await RunningCommand.run(["connect", "--unix-socket", "/nowhere/s", "ws://gw.example.test/"])
        #expect(nobody.status == 3 && nobody.errors.contains("/nowhere/s cannot be reached"), "\(nobody.errors)")
        #expect(!nobody.errors.contains("listening at gw"), "\(nobody.errors)")
        let machine = try await RunningCommand.run([
            "connect", "--connect-to", "vsock:3:4294967294", "--timeout", "1", "ws://gw.example.test/",
        ])
        #expect(machine.status != 0 && machine.errors.contains("vsock:3:4294967294"), "\(machine.errors)")
        for wrong in [
            ["--connect-to", "127.0.0.1"], ["--connect-to", "::1:80"], ["--connect-to", "a:0"],
            ["--connect-to", "a:1", "--unix-socket", "/x"], ["--unix-socket", "/x", "--pcap", "/tmp/khp-never.pcap"],
            ["--connect-to", "vsock:"], ["--connect-to", "vsock:2"], ["--connect-to", "vsock:2:"],
            ["--connect-to", "vsock:2:80:1"], ["--connect-to", "vsock:a:80"], ["--connect-to", "vsock:-1:80"],
            ["--connect-to", "vsock:2:4294967296"], ["--connect-to", "vsock:4294967295:80"],
            ["--connect-to", "vsock:2:80", "--unix-socket", "/x"],
            ["--connect-to", "vsock:2:80", "--pcap", "/tmp/khp-never.pcap"],
        ] {
            let ended = try await RunningCommand.run(["connect"] + wrong + ["ws://a.example/"])
            #expect(ended.status == 2, "\(wrong): \(ended.errors)")
        }
    }
}
