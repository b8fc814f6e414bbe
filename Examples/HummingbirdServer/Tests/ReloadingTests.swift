// A server whose certificate is looked after by NIOCertificateReloading. Here, since the cryptography that this brings takes
// minutes to compile, as hummingbird does.

import Foundation
import KHPClient
import KHPServer
import KHPTesting
import NIOCertificateReloading
import NIOSSL
import Testing

/// The server's TLS, and the reloader to run beside the server.
private func reloadingTLS(
    from directory: String
) throws -> (TLSConfiguration, TimedCertificateReloader) {
    let reloader =
        try TimedCertificateReloader.makeReloaderValidatingSources(
            refreshInterval: .seconds(60),
            certificateSource: .init(
                location: .file(path: "\(directory)/server.pem"),
                format: .pem
            ),
            privateKeySource: .init(
                location: .file(path: "\(directory)/server.key"),
                format: .pem
            )
        )
    let tls = try TLSConfiguration.makeServerConfiguration(
        certificateReloader: reloader
    )
    return (tls, reloader)
}

@Suite("A certificate that NIOCertificateReloading looks after") struct ReloadingTests {
    @Test("new files are for connections from then on; open ones go on, and files that do not fit change nothing")
    func swappedFiles() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        func write(_ bytes: [UInt8], _ name: String) throws {
            try Data(bytes).write(to: directory.appendingPathComponent(name), options: .atomic)
        }
        func client(_ made: SelfSignedCertificate) throws -> WebSocketClient {
            var configuration = WebSocketClient.Configuration()
            configuration.tls.trustRoots = .certificates([try NIOSSLCertificate(bytes: made.certificate, format: .pem)])
            return WebSocketClient(configuration: configuration)
        }
        let old = try SelfSignedCertificate()
        let new = try SelfSignedCertificate()
        try write(old.certificate, "server.pem")
        try write(old.privateKey, "server.key")
        let (tls, reloader) = try reloadingTLS(from: directory.path)
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.tls = tls
        let server = WebSocketServer(configuration: configuration) {
            Endpoint("/echo") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let url = "wss://localhost:\(try await server.boundPort() ?? 0)/echo"
            let socket = try await client(old).connect(to: url)
            // A key that is another certificate's: the old pair stays.
            try write(new.privateKey, "server.key")
            #expect(throws: (any Error).self) { try reloader.reload() }
            try await client(old).connect(to: url).close()
            try write(new.certificate, "server.pem")
            // As the reloader does by itself, every minute.
            try reloader.reload()
            try await client(new).connect(to: url).close()
            await #expect(throws: WebSocketError.self) { try await client(old).connect(to: url) }
            try await socket.send("still here")
            #expect(try await socket.receive() == .text("still here"))
            try await socket.close()
            group.cancelAll()
        }
    }
}
