// The TLS of a server, taken as it is when a connection is accepted: certificates that change, certificates by host, keys
// with a passphrase.

import Foundation
import KHPClient
import KHPProtocol
import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import Testing

@testable import KHPServer

@Suite("The certificates of a server") struct ServerTLSTests {
    private static func withServer(
        _ tls: TLSConfiguration?,
        hosts: [String: WebSocketListener.TLSIdentity] = [:],
        _ body: (WebSocketServer, Int) async throws -> Void
    ) async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = .seconds(2)
        configuration.tls = tls
        configuration.tlsHosts = hosts
        let server = WebSocketServer(configuration: configuration) { echo() }
        let run = Task { try await server.run() }
        let result: Result<Void, any Error>
        do {
            let port = try await server.boundPort() ?? 0
            result = .success(try await body(server, port))
        } catch {
            result = .failure(error)
        }
        run.cancel()
        _ = try? await run.value
        try result.get()
    }

    private static func open(
        _ host: String,
        _ port: Int,
        trusting authority: CertificateAuthority
    ) async throws -> WebSocket {
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = try authority.roots()
        configuration.connectTo = .host("127.0.0.1", port: port)
        return try await WebSocketClient(configuration: configuration).connect(to: "wss://\(host):\(port)/echo")
    }

    private static func identity(_ issued: CertificateAuthority.Issued) throws -> WebSocketListener.TLSIdentity {
        WebSocketListener.TLSIdentity(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(issued.pem),
            privateKey: try NIOSSLPrivateKey(bytes: issued.keyPEM, format: .pem)
        )
    }

    @Test("new connections get new certificates, open sockets keep theirs, and wrong ones change nothing")
    func replaced() async throws {
        let old = try CertificateAuthority()
        let new = try CertificateAuthority()
        try await Self.withServer(try old.server("DNS:a.example")) { server, port in
            let socket = try await Self.open("a.example", port, trusting: old)
            await #expect(throws: WebSocketError.self) { try await Self.open("a.example", port, trusting: new) }
            var wrong = try new.server("DNS:a.example")
            wrong.privateKey = try old.issue("DNS:a.example").key
            #expect(throws: (any Error).self) { try server.replaceTLS(wrong) }
            #expect(throws: WebSocketError.self) {
                try server.replaceTLS(old.server("DNS:b.example"), hosts: ["*": Self.identity(old.issue(nil))])
            }
            try await Self.open("a.example", port, trusting: old).close()
            try server.replaceTLS(try new.server("DNS:a.example"))
            let next = try await Self.open("a.example", port, trusting: new)
            await #expect(throws: WebSocketError.self) { try await Self.open("a.example", port, trusting: old) }
            for socket in [socket, next] {
                try await socket.send("hello")
                #expect(try await socket.receive() == .text("hello"))
                try await socket.close()
            }
        }
        try await Self.withServer(nil) { server, _ in
            let error = #expect(throws: WebSocketError.self) { try server.replaceTLS(new.server("DNS:a.example")) }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test("a client gets the certificate of the host that it names")
    func byHost() async throws {
        let authority = try CertificateAuthority()
        let hosts = [
            "One.example": try Self.identity(authority.issue("DNS:one.example")),
            "*.two.example": try Self.identity(authority.issue("DNS:*.two.example")),
            "own.two.example": try Self.identity(authority.issue("DNS:own.two.example")),
        ]
        try await Self.withServer(try authority.server("DNS:else.example"), hosts: hosts) { server, port in
            for host in ["one.example", "a.two.example", "own.two.example", "else.example"] {
                try await Self.open(host, port, trusting: authority).close()
            }
            for host in ["a.one.example", "two.example", "a.b.two.example"] {
                let error = try await #require(throws: WebSocketError.self) {
                    try await Self.open(host, port, trusting: authority)
                }
                #expect(error.message.contains("not for \(host)."), "\(error)")
            }
            try server.replaceTLS(authority.server("DNS:one.example"))
            await #expect(throws: WebSocketError.self) {
                try await Self.open("own.two.example", port, trusting: authority)
            }
            try await Self.open("one.example", port, trusting: authority).close()
        }
    }

    @Test("hosts that are no names, twice there, without TLS beside them or with another's key are errors")
    func wrongHosts() throws {
        let authority = try CertificateAuthority()
        let tls = try authority.server("DNS:else.example")
        let identity = try Self.identity(authority.issue("DNS:one.example"))
        var mixed = identity
        mixed.privateKey = try Self.identity(CertificateAuthority().issue(nil)).privateKey
        let rows: [(TLSConfiguration?, [String: WebSocketListener.TLSIdentity])] = [
            (nil, ["a.example": identity]), (tls, ["": identity]), (tls, ["*": identity]), (tls, ["a..b": identity]),
            (tls, ["a.*.b": identity]), (tls, ["a.b.": identity]), (tls, ["A.b": identity, "a.b": identity]),
            (tls, ["one.example": mixed]),
        ]
        for (tls, hosts) in rows {
            var configuration = WebSocketListener.Configuration(address: .hostname("127.0.0.1", port: 0))
            configuration.tls = tls
            configuration.tlsHosts = hosts
            #expect(throws: (any Error).self, "\(hosts.keys)") { try ServerTLS(configuration) }
        }
    }

    @Test("a callback of the user's, as reloaders of certificates have, is asked for what no host of ours is")
    func callback() async throws {
        let authority = try CertificateAuthority()
        let reloaded = try authority.issue("DNS:late.example")
        let asked = Mutex<[String?]>([])
        var tls = try authority.server("DNS:else.example")
        tls.sslContextCallback = { hello, promise in
            asked.withLock { $0.append(hello.serverHostname) }
            var override = NIOSSLContextConfigurationOverride()
            override.certificateChain = reloaded.chain
            override.privateKey = reloaded.key
            promise.succeed(override)
        }
        let hosts = ["one.example": try Self.identity(authority.issue("DNS:one.example"))]
        for hosts in [[:], hosts] {
            try await Self.withServer(tls, hosts: hosts) { _, port in
                try await Self.open("late.example", port, trusting: authority).close()
                if !hosts.isEmpty { try await Self.open("one.example", port, trusting: authority).close() }
            }
        }
        #expect(asked.withLock { $0 } == ["late.example", "late.example"])
    }

    @Test("the name that TLS is asked for comes with a request, whatever its Host says")
    func serverName() async throws {
        let authority = try CertificateAuthority.shared.get()
        let tls = try authority.server("DNS:localhost")
        try await TestSupport.withServer {
            $0.tls = tls
            $0.listener.readsServerName = true
        } endpoints: {
            Endpoint("/x") { socket, request in try await socket.send(.text(request.serverName ?? "none")) }
        } body: { port in
            let client = try await RawClient.connect(port, trusting: try authority.roots())
            try await client.send(openingRequest("/x"))
            let answer = String(buffer: try await client.receive { String(buffer: $0).contains("localhost") })
            #expect(answer.hasPrefix("HTTP/1.1 101 "), "\(answer)")
            try await client.close()
            // An address is no name of a server (RFC 6066 section 3).
            var configuration = WebSocketClient.Configuration()
            configuration.tls.certificateVerification = .none
            let url = "wss://127.0.0.1:\(port)/x"
            let socket = try await WebSocketClient(configuration: configuration).connect(to: url)
            #expect(try await socket.receive() == .text("none"))
        }
    }

    @Test("a key with a passphrase")
    func passphrase() async throws {
        let authority = try CertificateAuthority()
        let issued = try authority.issue("DNS:a.example")
        let key = try Self.encrypted(issued.keyPEM, "a passphrase")
        #expect(String(decoding: key, as: UTF8.self).contains("ENCRYPTED"))
        let loaded = try NIOSSLPrivateKey(bytes: key, format: .pem) { setter in setter("a passphrase".utf8) }
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: issued.chain,
            privateKey: .privateKey(loaded)
        )
        try await Self.withServer(tls) { _, port in
            try await Self.open("a.example", port, trusting: authority).close()
        }
        #expect(throws: (any Error).self) {
            try NIOSSLPrivateKey(bytes: key, format: .pem) { setter in setter("another".utf8) }
        }
    }

    private static func encrypted(_ pem: [UInt8], _ passphrase: String) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl", "pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:\(passphrase)"]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(pem))
        try input.fileHandleForWriting.close()
        let key = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Array(key)
    }
}
