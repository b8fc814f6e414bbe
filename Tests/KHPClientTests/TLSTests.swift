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
