import Foundation
import HTTPTypes
import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import Testing

/// Something else is dialled than the URL names, and the URL goes on naming everything else.
@Suite("connectTo")
struct ConnectTargetTests {
    @Test("another host and port; a proxy is not used, and a redirect's host is not dialled either")
    func host() async throws {
        let authority = try CertificateAuthority.shared.get()
        let hosts = Mutex<[String?]>([])
        let tls = try authority.server("DNS:gw.example.test,DNS:next.example.test")
        try await withServer {
            $0.tls = tls
        } endpoints: {
            Endpoint("/") { request in
                hosts.withLock { $0.append(request.opening.authority) }
                return .redirect(to: "wss://next.example.test/echo")
            }
            Endpoint("/echo") { request in
                hosts.withLock { $0.append(request.opening.authority) }
                return .complete()
            } handler: { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = .off
            configuration.tls.trustRoots = try authority.roots()
            configuration.connectTo = .host("127.0.0.1", port: port)
            configuration.proxy = .proxy(try Proxy("http://127.0.0.1:1"))
            let client = WebSocketClient(configuration: configuration)
            try await client.withConnection(to: "wss://gw.example.test/") { socket in
                #expect(socket.negotiated.url.host == "next.example.test")
            }
            #expect(hosts.withLock { $0 } == ["gw.example.test", "next.example.test"])
            let wrong = try await #require(throws: WebSocketError.self) {
                try await client.connect(to: "wss://other.example.test/")
            }
            #expect(wrong.message.contains("not for other.example.test"), "\(wrong)")
        }
    }

    @Test("a Unix domain socket, with TLS for the URL's name over it", arguments: [false, true])
    func unixDomainSocket(isSecure: Bool) async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString.prefix(8))")
            .path
        let authority = try CertificateAuthority.shared.get()
        let tls = try authority.server("DNS:gw.example.test")
        try await withServer {
            $0.address = .unixDomainSocket(path: path)
            if isSecure { $0.tls = tls }
        } endpoints: {
            echo()
        } body: { _ in
            var configuration = WebSocketClient.Configuration()
            configuration.tls.trustRoots = try authority.roots()
            configuration.connectTo = .unixDomainSocket(path: path)
            let client = WebSocketClient(configuration: configuration)
            try await client.withConnection(to: "\(isSecure ? "wss" : "ws")://gw.example.test/echo") { socket in
                try await socket.send("through the file system")
                var messages = socket.messages.makeAsyncIterator()
                #expect(try await messages.next() == .text("through the file system"))
            }
        }
        try? FileManager.default.removeItem(atPath: path)
    }

    @Test("a virtual machine that does not answer is named, whether this system knows such sockets or not")
    func virtualMachine() async throws {
        var configuration = WebSocketClient.Configuration()
        configuration.connectTo = .virtualMachine(contextID: 3, port: 4_294_967_294)
        configuration.timeouts.connect = .milliseconds(500)
        let client = WebSocketClient(configuration: configuration)
        for url in ["ws://a.example/", "wss://a.example/"] {
            let error = try await #require(throws: WebSocketError.self) { try await client.connect(to: url) }
            #expect(error.code == .timeout || error.code == .connectFailed && error.detail == .otherPlace, "\(error)")
            #expect(error.message.hasPrefix("The server at vsock:3:4294967294 "), "\(error)")
            #expect(error.phase == .connect)
        }
    }

    @Test("a path where nobody listens, and one that is too long, are said as such")
    func unreachable() async throws {
        for (path, code) in [
            ("/nowhere/khp.sock", WebSocketError.Code.connectFailed),
            ("/" + String(repeating: "x", count: 300), .invalidArgument),
        ] {
            var configuration = WebSocketClient.Configuration()
            configuration.connectTo = .unixDomainSocket(path: path)
            let client = WebSocketClient(configuration: configuration)
            let error = try await #require(throws: WebSocketError.self) {
                try await client.connect(to: "ws://a.example/")
            }
            #expect(error.code == code, "\(error)")
            #expect(code == .invalidArgument || error.message.contains("at \(path) cannot be reached"), "\(error)")
        }
    }
}
