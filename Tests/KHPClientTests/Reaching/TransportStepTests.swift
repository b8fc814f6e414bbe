// The steps by which a connect gets its connection, as instruments are told of them.

import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import Testing

@testable import KHPClient

/// Notes each step and its end.
private final class StepNotes: ClientInstrument, ConnectInstrument {
    private let notes = Mutex<[String]>([])
    private let open = Mutex(0)

    func connecting(to url: WebSocketURL) -> (any ConnectInstrument)? { self }

    func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo) {}

    func begins(_ step: TransportStep) -> (@Sendable (WebSocketError?) -> Void)? {
        self.open.withLock { $0 += 1 }
        return { failure in
            self.open.withLock { $0 -= 1 }
            self.notes.withLock { $0.append("\(step.kind) \(step.name): \(failure.map { "\($0.code)" } ?? "done")") }
        }
    }

    /// In the order of the ends.
    var ended: [String] { self.notes.withLock { $0 } }
    /// Steps that have begun and not ended.
    var running: Int { self.open.withLock { $0 } }
}

@Suite("The steps by which a connect gets its connection") struct TransportStepTests {
    private static func configuration(_ notes: StepNotes, _ addresses: [String]) -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.instruments = [notes]
        configuration.lookUp = { _, port in try addresses.map { try SocketAddress(ipAddress: $0, port: port) } }
        return configuration
    }

    @Test("a name, an address that refuses and one that does not; an address needs no name")
    func overTCP() async throws {
        try await withServer {
            echo()
        } body: { port in
            let notes = StepNotes()
            let client = WebSocketClient(configuration: Self.configuration(notes, ["127.0.0.2", "127.0.0.1"]))
            try await client.withConnection(to: "ws://gw.example.test:\(port)/echo") { _ in }
            #expect(
                notes.ended == [
                    "dns gw.example.test: done", "tcp 127.0.0.2:\(port): connect-failed", "tcp 127.0.0.1:\(port): done",
                ]
            )
            let numbers = StepNotes()
            let other = WebSocketClient(configuration: Self.configuration(numbers, []))
            try await other.withConnection(to: "ws://127.0.0.1:\(port)/echo") { _ in }
            #expect(numbers.ended == ["tcp 127.0.0.1:\(port): done"])
            #expect(notes.running == 0 && numbers.running == 0)
        }
    }

    @Test("a name that is not found ends its step, and nothing follows")
    func unknownName() async throws {
        struct NotFound: Error {}
        let notes = StepNotes()
        var configuration = Self.configuration(notes, [])
        configuration.lookUp = { _, _ in throw NotFound() }
        await #expect(throws: WebSocketError.self) {
            try await WebSocketClient(configuration: configuration).connect(to: "ws://gw.example.test/")
        }
        #expect(notes.ended == ["dns gw.example.test: connect-failed"])
    }

    @Test("TLS ends its step, with a certificate that is trusted and with one that is not", arguments: [true, false])
    func overTLS(isTrusted: Bool) async throws {
        let certificates = try Certificates.shared.get()
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
        try await withServer {
            $0.tls = tls
        } endpoints: {
            echo()
        } body: { port in
            let notes = StepNotes()
            var configuration = Self.configuration(notes, ["127.0.0.1"])
            if isTrusted { configuration.tls.trustRoots = .file(certificates.authority) }
            let client = WebSocketClient(configuration: configuration)
            _ = try? await client.withConnection(to: "wss://localhost:\(port)/echo") { _ in }
            let outcome = isTrusted ? "done" : "tls-failed"
            #expect(
                notes.ended == ["dns localhost: done", "tcp 127.0.0.1:\(port): done", "tls localhost: \(outcome)"]
            )
            #expect(notes.running == 0)
        }
    }
}
