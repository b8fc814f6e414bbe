// HTTP/2 beside what else stands on the way between a client and an endpoint: proxies on either side, taps, a shutdown in the
// middle of a handshake.

import KHPClient
import KHPHTTP2
import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import Synchronization
import TestSupport
import Testing

@Suite("HTTP/2 through proxies, behind balancers and in a shutdown", .serialized)
struct SeamTests {
    private func port(_ url: String) throws -> Int { try #require(Int(url.split(separator: ":").last ?? "")) }

    private static let addresses: [UInt8] = [203, 0, 113, 9, 127, 0, 0, 1, 0x12, 0x67, 0, 80]

    private static let signature: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    /// The second version, for TCP4.
    private static func second(_ length: UInt8) -> [UInt8] {
        Self.signature + [0x21, 0x11, 0, length] + Self.addresses
    }

    /// PP2_TYPE_SSL with a certificate that the proxy has verified, and PP2_SUBTYPE_SSL_CN: joe.
    private static let certificate: [UInt8] = [0x20, 0, 11, 0x07, 0, 0, 0, 0, 0x22, 0, 3, 0x6A, 0x6F, 0x65]

    /// Each with the common name in it.
    private static let headers: [([UInt8], String)] = [
        (Array("PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n".utf8), "-"),
        (second(12), "-"), (second(26) + certificate, "joe"),
    ]

    @Test("a PROXY header stands before TLS and HTTP/2, and names the client of each stream", arguments: headers)
    func proxyHeader(header: [UInt8], name: String) async throws {
        try await withHTTP2Server {
            $0.proxyProtocol = .required(from: ["127.0.0.1"])
            $0.limits.pendingHandshakesPerAddress = 2
        } endpoints: {
            Endpoint("/who") { _ in
                .complete()
            } handler: { socket, request in
                let name = request.proxiedCertificateName ?? "-"
                try await socket.send("\(request.client?.ipAddress ?? "") \(request.client?.port ?? 0) \(name)")
            }
        } body: { url in
            let port = try self.port(url)
            try await withProxy { client in
                try await client.tunnel(to: port, first: header)
            } body: { balancer, _ in
                let record = ConnectionRecord()
                let client = try makeClient(.required, record) { $0.connectTo = .host("127.0.0.1", port: balancer) }
                for _ in 0..<3 {
                    try await client.withConnection(to: url + "/who") { socket in
                        let named = try await socket.receive()
                        #expect(named == .text("203.0.113.9 4711 \(name)"))
                    }
                }
                #expect(record.protocols == ["h2", "h2", "h2"])
            }
            // Without one, nobody comes in.
            let error = await #expect(throws: WebSocketError.self) {
                try await makeClient(.required).withConnection(to: url + "/who") { _ in }
            }
            #expect(error != nil)
        }
    }

    @Test("a client gets through proxies of each kind, TLS to them included, and a tap sees the frames in clear")
    func throughProxies() async throws {
        let certificates = try Certificates.shared.get()
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
        try await withHTTP2Server {
            echo()
        } body: { url in
            for (kind, isTapped) in [("http", false), ("https", true), ("socks5", false)] {
                try await withProxy(tls: kind == "https" ? tls : nil) { client in
                    if kind == "socks5" { try await client.serveSocks5() } else { try await client.serveConnect() }
                } body: { proxy, log in
                    let record = ConnectionRecord()
                    let seen = Mutex("")
                    let proxy = try Proxy("\(kind)://localhost:\(proxy)")
                    let client = try makeClient(.required, record) {
                        $0.proxy = .proxy(proxy)
                        $0.proxyTLS.trustRoots = .file(certificates.authority)
                        if isTapped { $0.makeTap = { _ in Tap { text in seen.withLock { $0 += text } } } }
                    }
                    try await client.withConnection(to: url + "/echo") { socket in
                        for size in [7, 100_000] {
                            let message = WebSocketMessage.binary(ByteBuffer(repeating: 7, count: size))
                            try await socket.send(message)
                            #expect(try await socket.receive() == message)
                        }
                    }
                    #expect(record.protocols == ["h2"], "\(kind)")
                    #expect(log.connections == 1)
                    let bytes = seen.withLock { $0 }
                    #expect(bytes.contains("PRI * HTTP/2.0") == isTapped)
                }
            }
        }
    }

    @Test("a shutdown in the middle of an extended handshake says GOAWAY, and ends the handshake and the connection")
    func drainInHandshake() async throws {
        let (asked, hasAsked) = AsyncStream.makeStream(of: Void.self)
        let outcome = Mutex<Task<WebSocketError?, any Error>?>(nil)
        let began = NIODeadline.now()
        try await withHTTP2Server {
            $0.gracefulShutdownTimeout = .seconds(20)
        } endpoints: {
            Endpoint("/desk") { request in
                if request.layer == .extended {
                    hasAsked.yield()
                    try? await Task.sleep(for: .seconds(30))
                }
                return .complete()
            } handler: { _ in
            }
        } body: { url in
            let client = try makeClient(.required) { $0.extended.policy = .required }
            let task = Task<WebSocketError?, any Error> {
                do {
                    try await client.withConnection(to: url + "/desk") { _ in }
                    return nil
                } catch let error as WebSocketError {
                    return error
                }
            }
            outcome.withLock { $0 = task }
            for await _ in asked { break }
        }
        let ended = try await outcome.withLock { $0 }?.value
        let error = try #require(ended)
        #expect(error.closeCode == .goingAway, "\(error)")
        #expect(NIODeadline.now() - began < .seconds(10))
    }
}

private final class Tap: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let see: (String) -> Void

    init(_ see: @escaping (String) -> Void) { self.see = see }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.fireChannelRead(data) }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        self.see(String(buffer: self.unwrapOutboundIn(data)))
        context.write(data, promise: promise)
    }
}
