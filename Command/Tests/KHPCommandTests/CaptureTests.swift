import CommandTestSupport
import Foundation
import KHPProtocol
import KHPServer
import NIOSSL
import Testing

@testable import KHPCommand

/// `khp connect --pcap`: the bytes above TLS of every connection, in a file that other tools read.
@Suite(.serialized)
struct CaptureTests {
    private func inFile<R>(_ body: (String) async throws -> R) async throws -> R {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString).pcap").path
        defer { try? FileManager.default.removeItem(atPath: file) }
        return try await body(file)
    }

    private static func tls() throws -> TLSConfiguration {
        let certificates = try Certificates.shared.get()
        return .makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
    }

    /// One connection: what either side said, from its first packet to its last.
    private func expect(
        _ streams: ArraySlice<PcapFile.Stream>,
        at port: Int,
        _ request: [String],
        _ response: [String]
    ) throws {
        let first = try #require(streams.first)
        let second = try #require(streams.dropFirst().first)
        #expect(first.target == "127.0.0.1:\(port)" && second.source == first.target && second.target == first.source)
        #expect(first.begins && first.ends && second.begins && second.ends, "\(streams)")
        for text in request { #expect(first.text.contains(text), "\(text) in \(first.text)") }
        for text in response { #expect(second.text.contains(text), "\(text) in \(second.text)") }
    }

    @Test("ws and wss: both heads, both close frames, in clear; for its owner alone", arguments: [false, true])
    func inClear(isSecure: Bool) async throws {
        try await withServer {
            if isSecure { $0.tls = try? Self.tls() }
        } endpoints: {
            echo()
        } body: { port in
            try await self.inFile { file in
                // A file that is there already is replaced, and closed to others.
                _ = FileManager.default.createFile(
                    atPath: file,
                    contents: Data(repeating: 1, count: 9),
                    attributes: [.posixPermissions: 0o644]
                )
                let message = String(repeating: "0123456789", count: 10_000)
                let ended = try await RunningCommand.run([
                    "connect", "--pcap", file, "--insecure", "--message", message, "--count", "1",
                    "\(isSecure ? "wss" : "ws")://127.0.0.1:\(port)/echo?token=seen",
                ])
                #expect(ended.status == 0, "\(ended.errors)")
                let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? Int
                #expect(mode == 0o600)
                let streams = try PcapFile(path: file).streams()
                #expect(streams.count == 2)
                try self.expect(
                    streams[...],
                    at: port,
                    ["GET /echo?token=seen HTTP/1.1\r\n", "Sec-WebSocket-Protocol: x-kaazing-handshake"],
                    ["HTTP/1.1 101 ", message]
                )
                // RFC 6455 section 5.5.1: 1000 in a close frame of either side is the last that is said.
                #expect(streams.last?.bytes.suffix(4) == [0x88, 0x02, 0x03, 0xE8])
                #expect(streams.first?.bytes.suffix(8).prefix(2) == [0x88, 0x82])
            }
        }
    }

    @Test("a redirect from ws to wss: one connection after the other, the second in clear as well")
    func redirect() async throws {
        try await withServer {
            $0.tls = try? Self.tls()
        } endpoints: {
            echo()
        } body: { securePort in
            try await withServer {
                Endpoint("/old", respond: { _ in .redirect(to: "wss://127.0.0.1:\(securePort)/echo") })
            } body: { port in
                try await self.inFile { file in
                    let ended = try await RunningCommand.run([
                        "connect", "--pcap", file, "--insecure", "--message", "hello", "--count", "1",
                        "ws://127.0.0.1:\(port)/old",
                    ])
                    #expect(ended.status == 0, "\(ended.errors)")
                    let streams = try PcapFile(path: file).streams()
                    #expect(streams.count == 4)
                    try self.expect(streams.prefix(2), at: port, ["GET /old "], ["HTTP/1.1 302 Found", "/echo"])
                    try self.expect(streams.suffix(2), at: securePort, ["GET /echo "], ["HTTP/1.1 101 ", "hello"])
                }
            }
        }
    }

    @Test("through a proxy: the tunnel being asked for, then what goes through it, in clear", arguments: [false, true])
    func throughProxy(isSecure: Bool) async throws {
        try await withServer {
            if isSecure { $0.tls = try? Self.tls() }
        } endpoints: {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect()
            } body: { proxyPort, _ in
                try await self.inFile { file in
                    let ended = try await RunningCommand.run([
                        "connect", "--pcap", file, "--insecure", "--proxy", "http://127.0.0.1:\(proxyPort)",
                        "--message", "hello", "--count", "1", "\(isSecure ? "wss" : "ws")://127.0.0.1:\(port)/echo",
                    ])
                    #expect(ended.status == 0, "\(ended.errors)")
                    let streams = try PcapFile(path: file).streams()
                    #expect(streams.count == 2)
                    try self.expect(
                        streams[...],
                        at: proxyPort,
                        ["CONNECT 127.0.0.1:\(port) HTTP/1.1\r\n", "GET /echo HTTP/1.1\r\n"],
                        ["HTTP/1.1 200 ", "HTTP/1.1 101 ", "hello"]
                    )
                    #expect(streams.first?.text.hasPrefix("CONNECT ") == true)
                }
            }
        }
    }

    @Test("an interrupt loses nothing: the close frames and the end are there")
    func interrupt() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await self.inFile { file in
                let (process, pipes) = try RunningCommand.start([
                    "connect", "--pcap", file, "--json", "ws://127.0.0.1:\(port)/echo",
                ])
                var seen: [UInt8] = []
                while !String(decoding: seen, as: UTF8.self).contains("\"open\""),
                    let byte = try pipes.output.fileHandleForReading.read(upToCount: 1)?.first
                {
                    seen.append(byte)
                }
                process.interrupt()
                // One that does not end would hold up all that follows.
                let watchdog = DispatchWorkItem { kill(process.processIdentifier, SIGKILL) }
                DispatchQueue.global().asyncAfter(deadline: .now() + 20, execute: watchdog)
                process.waitUntilExit()
                watchdog.cancel()
                #expect(process.terminationReason == .exit && process.terminationStatus == 0)
                let streams = try PcapFile(path: file).streams()
                try self.expect(streams[...], at: port, ["GET /echo "], ["HTTP/1.1 101 "])
                // 1001, "going away".
                #expect(streams.last?.bytes.suffix(4) == [0x88, 0x02, 0x03, 0xE9])
            }
        }
    }

    @Test("a connect that fails leaves what there was; a server that is not there leaves an empty capture")
    func failures() async throws {
        try await withServer {
            Endpoint("/no", respond: { _ in .refuse(403) })
        } body: { port in
            try await self.inFile { file in
                let refused = try await RunningCommand.run([
                    "connect", "--pcap", file, "--extended", "off", "ws://127.0.0.1:\(port)/no",
                ])
                #expect(refused.status == 4)
                try self.expect(PcapFile(path: file).streams()[...], at: port, ["GET /no "], ["HTTP/1.1 403 "])
            }
        }
        try await self.inFile { file in
            let none = try await RunningCommand.run(["connect", "--pcap", file, "ws://127.0.0.1:1/"])
            #expect(none.status == 3)
            #expect(try PcapFile(path: file).packets.isEmpty)
        }
    }

    @Test("a file that cannot be written is a mistake in what was typed: nothing is connected to")
    func unwritable() async throws {
        let ended = try await RunningCommand.run([
            "connect", "--json", "--pcap", "/nowhere/at/all.pcap", "ws://127.0.0.1:1/",
        ])
        #expect(ended.status == 2)
        #expect(ended.errors.contains("--pcap") && ended.errors.contains("/nowhere/at/all.pcap"))
        #expect(ended.names == ["error"])
    }

    @Test("a disk that is full ends the capture and not the conversation, and shows in the status")
    func fullDisk() async throws {
        try await withServer {
            echo()
        } body: { port in
            let ended = try await RunningCommand.run([
                "connect", "--pcap", "/dev/full", "--message", "hello", "--count", "1", "ws://127.0.0.1:\(port)/echo",
            ])
            #expect(ended.status == 74)
            #expect(ended.output == "hello\n")
            #expect(ended.errors.contains("warning: the capture in `/dev/full` ends here"))
        }
    }
}
