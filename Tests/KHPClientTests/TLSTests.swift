import KHPClient
import KHPServer
import NIOSSL
import Synchronization
import TestSupport
import Testing

@Suite("TLS both ways (R-T1)")
struct TLSTests {
    private func server(_ certificate: String, _ key: String) throws -> TLSConfiguration {
        TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        )
    }

    private func outcome(
        _ url: String,
        _ configure: (inout TLSConfiguration) throws -> Void
    ) async throws -> WebSocketError? {
        var configuration = WebSocketClient.Configuration()
        try configure(&configuration.tls)
        do {
            try await WebSocketClient(configuration: configuration).withConnection(to: url) { socket in
                try await socket.send("over TLS")
                var messages = socket.messages.makeAsyncIterator()
                #expect(try await messages.next() == .text("over TLS"))
            }
            return nil
        } catch {
            return error as? WebSocketError
        }
    }

    @Test("behind both close frames a server waits for no close notification (RFC 8446 section 6.1)")
    func goodbye() async throws {
        let certificates = try Certificates.shared.get()
        let tls = try self.server(certificates.server, certificates.serverKey)
        let began = ContinuousClock.now
        try await withServer {
            $0.tls = tls
            $0.gracefulShutdownTimeout = .seconds(30)
        } endpoints: {
            echo()
        } body: { port in
            let known = try await self.outcome("wss://localhost:\(port)/echo") {
                $0.trustRoots = .file(certificates.authority)
            }
            #expect(known == nil)
        }
        // The drain waits until the connection has gone.
        #expect(ContinuousClock.now - began < .seconds(4))
    }

    @Test("an application's own look comes on top of the chain and the host, and never in their place")
    func pinned() async throws {
        struct Unpinned: Error {}
        let certificates = try Certificates.shared.get()
        let tls = try self.server(certificates.server, certificates.serverKey)
        let key = try NIOSSLCertificate.fromPEMFile(certificates.server)[0].extractPublicKey().toSPKIBytes()
        try await withServer {
            $0.tls = tls
        } endpoints: {
            echo()
        } body: { port in
            let seen = Mutex<[String]>([])
            func outcome(
                _ host: String,
                pin: [UInt8],
                _ configure: (inout TLSConfiguration) -> Void
            ) async -> WebSocketError? {
                var configuration = WebSocketClient.Configuration()
                configure(&configuration.tls)
                configuration.connectTo = .host("127.0.0.1", port: port)
                configuration.checkCertificate = { certificate, host in
                    seen.withLock { $0.append(host) }
                    guard try certificate.extractPublicKey().toSPKIBytes() == pin else { throw Unpinned() }
                }
                do {
                    try await WebSocketClient(configuration: configuration)
                        .withConnection(to: "wss://\(host):\(port)/echo") { _ in }
                    return nil
                } catch {
                    return error as? WebSocketError
                }
            }
            let trusted = { (tls: inout TLSConfiguration) in tls.trustRoots = .file(certificates.authority) }
            #expect(await outcome("localhost", pin: key, trusted) == nil)
            let other = await outcome("localhost", pin: [1], trusted)
            #expect(other?.code == .tlsFailed && other?.message.contains("Unpinned") == true, "\(other as Any)")
            #expect(seen.withLock { $0 } == ["localhost", "localhost"])
            // The right key does not mend a chain, or a name.
            #expect(await outcome("localhost", pin: key) { _ in }?.detail == .untrustedCertificate)
            #expect(await outcome("other.example", pin: key, trusted)?.detail == .wrongHost)
            #expect(seen.withLock { $0.count } == 2)
            let unverified = await outcome("localhost", pin: key) { $0.certificateVerification = .none }
            #expect(unverified?.code == .tlsFailed)
            let anyName = await outcome("other.example", pin: key) {
                trusted(&$0)
                $0.certificateVerification = .noHostnameVerification
            }
            #expect(anyName == nil)
        }
    }

    @Test("verification is on by default; custom roots pass; another host's certificate fails")
    func verification() async throws {
        let certificates = try Certificates.shared.get()
        let tls = try self.server(certificates.server, certificates.serverKey)
        try await withServer {
            $0.tls = tls
        } endpoints: {
            echo()
        } body: { port in
            let url = "wss://localhost:\(port)/echo"
            let unknown = try await self.outcome(url) { _ in }
            #expect(unknown?.code == .tlsFailed)
            #expect(unknown?.detail == .untrustedCertificate)
            let known = try await self.outcome(url) { $0.trustRoots = .file(certificates.authority) }
            #expect(known == nil)
            let address = try await self.outcome("wss://127.0.0.1:\(port)/echo") {
                $0.trustRoots = .file(certificates.authority)
            }
            #expect(address == nil)
            let unverified = try await self.outcome(url) { $0.certificateVerification = .none }
            #expect(unverified == nil)
        }
        let other = try self.server(certificates.otherHost, certificates.otherHostKey)
        try await withServer {
            $0.tls = other
        } endpoints: {
            echo()
        } body: { port in
            let error = try await self.outcome("wss://localhost:\(port)/echo") {
                $0.trustRoots = .file(certificates.authority)
            }
            #expect(error?.code == .tlsFailed)
            #expect(error?.detail == .wrongHost)
        }
    }

    @Test("a server can ask for a client certificate, and sees it")
    func clientCertificate() async throws {
        let certificates = try Certificates.shared.get()
        var tls = try self.server(certificates.server, certificates.serverKey)
        tls.certificateVerification = .noHostnameVerification
        tls.trustRoots = .file(certificates.authority)
        let seen = Mutex(false)
        let configured = tls
        try await withServer {
            $0.tls = configured
        } endpoints: {
            Endpoint("/echo") { request in
                seen.withLock { $0 = request.clientCertificate != nil }
                return .complete()
            } handler: { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            let url = "wss://localhost:\(port)/echo"
            let without = try await self.outcome(url) { $0.trustRoots = .file(certificates.authority) }
            #expect(without != nil)
            let with = try await self.outcome(url) {
                $0.trustRoots = .file(certificates.authority)
                $0.certificateChain = try NIOSSLCertificate.fromPEMFile(certificates.client).map { .certificate($0) }
                $0.privateKey = .privateKey(try NIOSSLPrivateKey(file: certificates.clientKey, format: .pem))
            }
            #expect(with == nil)
        }
        #expect(seen.withLock { $0 })
    }

    @Test("a plain server behind wss fails as TLS, and a TLS server behind ws as an invalid answer")
    func mismatch() async throws {
        let certificates = try Certificates.shared.get()
        let tls = try self.server(certificates.server, certificates.serverKey)
        try await withServer {
            echo()
        } body: { port in
            let error = try await self.outcome("wss://127.0.0.1:\(port)/echo") { _ in }
            #expect(error?.code == .tlsFailed)
        }
        try await withServer {
            $0.tls = tls
        } endpoints: {
            echo()
        } body: { port in
            let error = try await self.outcome("ws://127.0.0.1:\(port)/echo") { _ in }
            #expect(error?.code == .openingInvalid || error?.code == .closedDuringHandshake)
        }
    }
}
