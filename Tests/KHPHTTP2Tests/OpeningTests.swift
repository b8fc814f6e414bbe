import HTTPTypes
import KHPClient
import KHPHTTP2
import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import Testing

/// A server of ours with TLS and HTTP/2 around `body`.
func withHTTP2Server(
    _ configure: (inout WebSocketServer.Configuration) -> Void = { _ in },
    @EndpointBuilder endpoints: () -> [Endpoint],
    body: (_ url: String) async throws -> Void
) async throws {
    let certificates = try Certificates.shared.get()
    let tls = TLSConfiguration.makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
        privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
    )
    try await withServer {
        $0.tls = tls
        $0.http2 = .init()
        configure(&$0)
    } endpoints: {
        endpoints()
    } body: { port in
        try await body("wss://localhost:\(port)")
    }
}

/// The events of a client's connections.
final class ConnectionRecord: Sendable {
    private let seen = Mutex<[ConnectionEvent]>([])

    var protocols: [String?] {
        self.seen.withLock { events in
            events.compactMap { event -> String?? in
                if case .connected(_, let tls) = event { .some(tls?.alpn) } else { nil }
            }
        }
    }

    func note(_ event: ConnectionEvent) { self.seen.withLock { $0.append(event) } }
}

func makeClient(
    _ http2: WebSocketClient.HTTP2,
    _ record: ConnectionRecord = ConnectionRecord(),
    _ configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
) throws -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.tls.trustRoots = .file(try Certificates.shared.get().authority)
    configuration.http2 = http2
    configuration.observe = { event, _ in record.note(event) }
    configure(&configuration)
    return WebSocketClient(configuration: configuration)
}

@Suite("A WebSocket over HTTP/2, from our client to our server (RFC 8441)", .serialized)
struct OpeningTests {
    @Test("messages go both ways, small and large, and both ends close in order")
    func echoes() async throws {
        let closed = Mutex<CloseInfo?>(nil)
        try await withHTTP2Server {
            Endpoint("/echo") { socket in
                for try await message in socket.messages { try await socket.send(message) }
                let info = try await socket.closed()
                closed.withLock { $0 = info }
            }
        } body: { url in
            let record = ConnectionRecord()
            let large = WebSocketMessage.binary(ByteBuffer(repeating: 7, count: 900_000))
            let info = try await makeClient(.required, record).withConnection(to: url + "/echo") { socket in
                var messages = socket.messages.makeAsyncIterator()
                for message in [.text("over a stream"), large, .text("and on")] {
                    try await socket.send(message)
                    #expect(try await messages.next() == message)
                }
                try await socket.close(code: .normalClosure, reason: "done")
                return try await socket.closed()
            }
            #expect(record.protocols == ["h2"])
            #expect(info.clean)
        }
        let info = try #require(closed.withLock { $0 })
        #expect(info.code == .normalClosure && info.reason == "done" && info.clean)
    }

    @Test("the extended handshake, subprotocols and extensions ride on it, and the application sees where from")
    func handshakes() async throws {
        let seen = Mutex<[String]>([])
        try await withHTTP2Server {
            Endpoint("/desk/{name}", options: .init(subprotocols: ["chat"], extensions: [PerMessageDeflate()])) {
                request in
                seen.withLock {
                    $0.append("\(request.layer) \(request.parameters["name"] ?? "") \(request.peer != nil)")
                }
                return .complete()
            } handler: { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { url in
            let client = try makeClient(.required) {
                $0.extended.policy = .required
                $0.extensions = [PerMessageDeflate()]
            }
            try await client.withConnection(to: url + "/desk/x?a=b", subprotocols: ["chat"]) { socket in
                #expect(socket.negotiated.subprotocol == "chat")
                #expect(socket.negotiated.extensions.map(\.name) == ["permessage-deflate"])
                #expect(socket.negotiated.status == 101)
                try await socket.send("compressed")
                var messages = socket.messages.makeAsyncIterator()
                #expect(try await messages.next() == .text("compressed"))
            }
        }
        #expect(seen.withLock { $0 } == ["extended x true"])
    }

    @Test("a redirect, a challenge and a refusal in the opening are as over HTTP/1.1")
    func answers() async throws {
        try await withHTTP2Server {
            echo()
            Endpoint("/old") { request in
                var response = HandshakeResponse(status: 302)
                response.headers[.location] = "/echo"
                return request.layer == .opening ? response : .complete()
            } handler: { _ in
            }
            Endpoint("/locked") { request in
                request.authorization == nil ? .challenge("Basic realm=r") : .complete()
            } handler: { socket in
                try await socket.send("in")
            }
            Endpoint("/closed") { _ in
                HandshakeResponse(status: 403, body: ByteBuffer(string: "no\n"))
            } handler: { _ in
            }
        } body: { url in
            for (path, message) in [("/old", "echo"), ("/locked", "in")] {
                let record = ConnectionRecord()
                let client = try makeClient(.required, record) {
                    $0.extended.policy = .off
                    $0.authentication.challengeHandler = BasicChallengeHandler(user: "u", password: "p")
                }
                try await client.withConnection(to: url + path) { socket in
                    if path == "/old" { try await socket.send("echo") }
                    var messages = socket.messages.makeAsyncIterator()
                    #expect(try await messages.next() == .text(message))
                }
                #expect(record.protocols == ["h2", "h2"])
            }
            let error = await #expect(throws: WebSocketError.self) {
                try await makeClient(.required) { $0.extended.policy = .off }.withConnection(to: url + "/closed") { _ in
                }
            }
            #expect(error?.code == .openingRefused)
            #expect(error?.response?.status == 403)
            #expect(error?.response?.body == ByteBuffer(string: "no\n"))
        }
    }

    @Test(
        "whoever does not ask for HTTP/2 gets HTTP/1.1 on the same port, and who needs it is told where there is none"
    )
    func choices() async throws {
        func outcome(_ http2: WebSocketClient.HTTP2, _ url: String) async throws -> ([String?], WebSocketError?) {
            let record = ConnectionRecord()
            do {
                try await makeClient(http2, record).withConnection(to: url) { socket in
                    try await socket.send("x")
                    var messages = socket.messages.makeAsyncIterator()
                    #expect(try await messages.next() == .text("x"))
                }
                return (record.protocols, nil)
            } catch let error as WebSocketError {
                return (record.protocols, error)
            }
        }
        try await withHTTP2Server {
            echo()
        } body: { url in
            #expect(try await outcome(.off, url + "/echo").0 == [nil])
            #expect(try await outcome(.preferred, url + "/echo").0 == ["h2"])
            let plain = try await outcome(.required, "ws" + url.dropFirst(3) + "/echo")
            #expect(plain.1?.code == .invalidArgument)
        }
        try await withHTTP2Server {
            $0.http2 = nil
        } endpoints: {
            echo()
        } body: { url in
            #expect(try await outcome(.preferred, url + "/echo").0 == ["http/1.1"])
            let refused = try await outcome(.required, url + "/echo")
            #expect(refused.0 == [] && refused.1 != nil)
        }
    }
}
