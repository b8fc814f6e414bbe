// A drain that is spread over a time, where connections carry streams: clients are told at its beginning to go elsewhere.

import KHPHTTP2
import KHPServer
import NIOCore
import NIOHTTP2
import NIOSSL
import TestSupport
import Testing

@Suite("A drain over a time, of connections of HTTP/2") struct SpreadDrainOverStreamsTests {
    private static func withMount(_ body: (WebSocketMount, _ port: Int) async throws -> Void) async throws {
        let certificates = try Certificates.shared.get()
        var configuration = WebSocketMount.Configuration()
        configuration.http2 = .init()
        let mount = try WebSocketMount(configuration: configuration) { echo() }
        var listening = WebSocketListener.Configuration(address: .hostname("127.0.0.1", port: 0))
        listening.tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
        let listener = WebSocketListener(configuration: listening, mount: mount)
        let port = try await listener.listen().port ?? 0
        let result: Result<Void, any Error>
        do { result = .success(try await body(mount, port)) } catch { result = .failure(error) }
        await listener.close()
        await mount.drain()
        try result.get()
    }

    /// A text frame with one letter, masked with zeros.
    private static let letter = ByteBuffer(bytes: [0x81, 0x81, 0, 0, 0, 0, 0x61])

    @Test(
        "GOAWAY is said at its beginning, unused connections go, and sockets are closed one by one",
        .timeLimit(.minutes(1))
    )
    func spread() async throws {
        try await Self.withMount { mount, port in
            try await StreamPeer.connected(to: port) { used in
                await used.awaitSettings()
                let streams = [try await used.open("/echo"), try await used.open("/echo")]
                for stream in streams { #expect(await stream.answer(count: 0).status == "200") }
                try await StreamPeer.connected(to: port) { unused in
                    await unused.awaitSettings()
                    _ = await (try unused.get("/none")).answer()
                    async let drained: Void = mount.drain(over: .seconds(3600))
                    var goAways = 0
                    for await frame in unused.frames {
                        if case .goAway(_, .noError, _) = frame.payload { goAways += 1 }
                    }
                    #expect(goAways == 1)
                    goAways = 0
                    for await frame in used.frames {
                        guard case .goAway(_, .noError, _) = frame.payload else { continue }
                        goAways += 1
                        break
                    }
                    #expect(goAways == 1)
                    // One of the sockets has half an hour left.
                    var first: [UInt8?] = []
                    for stream in streams {
                        try? await stream.send(Self.letter)
                        first.append(Array(buffer: await stream.answer(count: 3).content).first)
                    }
                    #expect(first.contains(0x81), "\(first)")
                    try? await used.channel.close()
                    await drained
                    #expect(mount.connections == 0)
                }
            }
        }
    }
}
