// Servers behind proxies of each kind, over real sockets: ws and wss, both handshakes (R-P1, R-C1, threats F13, F14).

import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

@Suite("Through proxies of each kind")
struct ProxyTunnelTests {
    enum Kind: String, CaseIterable {
        case http, https, socks5, socks5Login, socks4

        func url(_ port: Int) -> String {
            switch self {
            case .http, .https: "\(self.rawValue)://localhost:\(port)"
            case .socks5: "socks5://127.0.0.1:\(port)"
            case .socks5Login: "socks5h://joe:wel%3Acome@127.0.0.1:\(port)"
            case .socks4: "socks4a://joe@127.0.0.1:\(port)"
            }
        }

        func serve(_ client: inout ProxyClient) async throws {
            switch self {
            case .http, .https: try await client.serveConnect()
            case .socks5: try await client.serveSocks5()
            case .socks5Login: try await client.serveSocks5(login: "joe:wel:come")
            case .socks4: try await client.serveSocks4()
            }
        }

        /// The first bytes of a client.
        var first: [UInt8] {
            switch self {
            case .http, .https: Array("CONN".utf8)
            // RFC 1928 section 3: one method, or two; and the login or the request that follow.
            case .socks5: [5, 1, 0, 5]
            case .socks5Login: [5, 2, 0, 2]
            case .socks4: [4, 1]
            }
        }

        func asked(_ port: Int) -> String {
            switch self {
            case .http, .https: "CONNECT localhost:\(port) HTTP/1.1\r\nHost: localhost:\(port)\r\n\r\n"
            case .socks5, .socks5Login: "localhost"
            case .socks4: "joe@localhost"
            }
        }
    }

    static func server(_ certificate: String, _ key: String) throws -> TLSConfiguration {
        TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        )
    }

    @Test("a proxy behind TLS that closes with its challenge is answered on a fresh connection")
    func challengedBehindTLS() async throws {
        let certificates = try Certificates.shared.get()
        let tls = try Self.server(certificates.server, certificates.serverKey)
        let basic = "Basic " + Base64.encode("joe:canary".utf8)
        try await withServer {
            echo()
        } body: { port in
            try await withProxy(tls: tls) { client in
                if client.number > 1 { return try await client.serveConnect(credentials: basic) }
                _ = try await client.readHead()
                try await client.write(
                    "HTTP/1.1 407 X\r\nConnection: close\r\nProxy-Authenticate: Basic realm=\"gate\"\r\n"
                        + "Content-Length: 0\r\n\r\n"
                )
            } body: { proxyPort, log in
                var configuration = WebSocketClient.Configuration()
                configuration.proxy = .proxy(try Proxy("https://joe:canary@localhost:\(proxyPort)"))
                configuration.proxyTLS.trustRoots = .file(certificates.authority)
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://name.invalid:\(port)/echo") { _ in }
                #expect(log.connections == 2)
                #expect(log.asked.map { $0.contains("Proxy-Authorization") } == [false, true])
            }
        }
    }

    @Test("ws and wss, extended and plain, with a large message", arguments: Kind.allCases, [false, true])
    func echoes(_ kind: Kind, _ isSecure: Bool) async throws {
        let certificates = try Certificates.shared.get()
        let tls = try Self.server(certificates.server, certificates.serverKey)
        let large = ByteBuffer(repeating: 0x5A, count: 1 << 20)
        try await withServer {
            if isSecure { $0.tls = tls }
        } endpoints: {
            echo()
        } body: { port in
            try await withProxy(tls: kind == .https ? tls : nil) {
                try await kind.serve(&$0)
            } body: { proxyPort, log in
                for extended in [ExtendedHandshakePolicy.required, .off] {
                    var configuration = WebSocketClient.Configuration()
                    configuration.extended.policy = extended
                    configuration.proxy = .proxy(try Proxy(kind.url(proxyPort)))
                    configuration.tls.trustRoots = .file(certificates.authority)
                    configuration.proxyTLS.trustRoots = .file(certificates.authority)
                    let events = Mutex<[ConnectionEvent]>([])
                    configuration.observe = { event, _ in events.withLock { $0.append(event) } }
                    let tapped = Tapped()
                    configuration.makeTap = { _ in Tap(tapped) }
                    let url = "\(isSecure ? "wss" : "ws")://localhost:\(port)/echo"
                    try await WebSocketClient(configuration: configuration).withConnection(to: url) { socket in
                        var messages = socket.messages.makeAsyncIterator()
                        for message in [WebSocketMessage.text("through"), .binary(large)] {
                            try await socket.send(message)
                            #expect(try await messages.next() == message)
                        }
                    }
                    // In clear, with any TLS on the way, and from the first byte to the proxy.
                    let (sent, received) = tapped.bytes.withLock { $0 }
                    #expect(Canary.contains(sent, "GET /echo HTTP/1.1\r\nHost: localhost:\(port)\r\n"))
                    #expect(Canary.contains(received, "HTTP/1.1 101 ") && Canary.contains(received, "through"))
                    #expect(received.readableBytes > large.readableBytes)
                    #expect(sent.getBytes(at: 0, length: kind.first.count) == kind.first)
                    for event in events.withLock({ $0 }) {
                        if case .connecting(_, _, let proxy) = event { #expect(proxy?.port == proxyPort) }
                        if case .connected(let peer, let tls) = event {
                            #expect(peer == "127.0.0.1:\(proxyPort)")
                            // TLS to the server, not TLS to the proxy.
                            #expect((tls != nil) == isSecure)
                        }
                    }
                }
                #expect(log.asked == [kind.asked(port), kind.asked(port)])
            }
        }
    }

    @Test("a name that only the proxy knows; an address as an address")
    func remoteNames() async throws {
        try await withServer {
            echo()
        } body: { port in
            for (kind, asked) in [(Kind.socks5, "name.invalid"), (.socks4, "joe@name.invalid")] {
                try await withProxy {
                    try await kind.serve(&$0)
                } body: { proxyPort, log in
                    var configuration = WebSocketClient.Configuration()
                    configuration.proxy = .proxy(try Proxy(kind.url(proxyPort)))
                    let client = WebSocketClient(configuration: configuration)
                    try await client.withConnection(to: "ws://name.invalid:\(port)/echo") { _ in }
                    try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { _ in }
                    #expect(log.asked == [asked, kind == .socks5 ? "[127, 0, 0, 1]" : "joe@[127, 0, 0, 1]"])
                }
            }
        }
    }

    @Test("each TLS verifies its own host, and the client's certificate is the server's alone (threat F13)")
    func identities() async throws {
        let certificates = try Certificates.shared.get()
        let server = try Self.server(certificates.server, certificates.serverKey)
        let other = try Self.server(certificates.otherHost, certificates.otherHostKey)
        var asking = server
        asking.certificateVerification = .noHostnameVerification
        asking.trustRoots = .file(certificates.authority)

        func outcome(
            origin: TLSConfiguration,
            proxy: TLSConfiguration,
            _ change: (inout WebSocketClient.Configuration) throws -> Void = { _ in }
        ) async throws -> WebSocketError? {
            try await withServer {
                $0.tls = origin
            } endpoints: {
                echo()
            } body: { port in
                try await withProxy(tls: proxy) {
                    try await $0.serveConnect()
                } body: { proxyPort, _ in
                    var configuration = WebSocketClient.Configuration()
                    configuration.proxy = .proxy(try Proxy("https://localhost:\(proxyPort)"))
                    configuration.tls.trustRoots = .file(certificates.authority)
                    configuration.tls.certificateChain = try NIOSSLCertificate.fromPEMFile(certificates.client)
                        .map { .certificate($0) }
                    configuration.tls.privateKey = .privateKey(
                        try NIOSSLPrivateKey(file: certificates.clientKey, format: .pem)
                    )
                    configuration.proxyTLS.trustRoots = .file(certificates.authority)
                    try change(&configuration)
                    let client = WebSocketClient(configuration: configuration)
                    do {
                        try await client.withConnection(to: "wss://localhost:\(port)/echo") { _ in }
                        return nil
                    } catch {
                        return error as? WebSocketError
                    }
                }
            }
        }

        #expect(try await outcome(origin: asking, proxy: server) == nil)
        let proxyName = try await outcome(origin: server, proxy: other)
        #expect(proxyName?.code == .tlsFailed && proxyName?.phase == .connect)
        #expect(proxyName?.message.contains("the proxy's certificate is for other.example, not for localhost") == true)
        let serverName = try await outcome(origin: other, proxy: server)
        #expect(serverName?.code == .tlsFailed && serverName?.phase == .tls)
        #expect(
            serverName?.message.contains("the server's certificate is for other.example, not for localhost") == true
        )
        let roots = try await outcome(origin: server, proxy: server) { $0.proxyTLS.trustRoots = .default }
        #expect(roots?.code == .tlsFailed && roots?.message.contains("the proxy's certificate") == true)
        // A proxy that asks for a client certificate does not get the one that is meant for servers.
        let certificate = try await outcome(origin: server, proxy: asking)
        #expect(certificate != nil)
        #expect(certificate?.phase == .connect)
    }

    @Test("through a proxy one connection in CONNECTING state for a host name (R-C1)")
    func connectingState() async throws {
        let open = Mutex((now: [String: Int](), most: 0, total: 0))
        let areBothHere = MultiThreadedEventLoopGroup.singleton.next().makePromise(of: Void.self)
        defer { areBothHere.succeed() }
        try await withServer {
            echo()
        } body: { port in
            try await withProxy { client in
                let head = try await client.readHead()
                let host = String(head.dropFirst(8).prefix { $0 != ":" })
                let total = open.withLock { open in
                    open.now[host, default: 0] += 1
                    open.most = max(open.most, open.now[host] ?? 0)
                    open.total = max(open.total, open.now.values.reduce(0, +))
                    return open.total
                }
                // Held until the other host is here too: they do not wait for each other.
                if total > 1 { areBothHere.succeed() }
                try await areBothHere.futureResult.get()
                open.withLock { $0.now[host]? -= 1 }
                try await client.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            } body: { proxyPort, log in
                var configuration = WebSocketClient.Configuration()
                configuration.proxy = .proxy(try Proxy("http://127.0.0.1:\(proxyPort)"))
                let client = WebSocketClient(configuration: configuration)
                await withTaskGroup(of: Void.self) { group in
                    for number in 0..<8 {
                        group.addTask {
                            _ = try? await client.connect(to: "ws://host\(number % 2).invalid:\(port)/echo")
                        }
                    }
                }
                #expect(log.connections == 8)
                #expect(open.withLock { $0.most } == 1)
                #expect(open.withLock { $0.total } == 2)
            }
        }
    }

    @Test("a redirect to another origin chooses its proxy anew")
    func redirects() async throws {
        try await withServer {
            echo("/b")
        } body: { other in
            try await withServer {
                Endpoint("/direct") { _ in .redirect(to: "ws://127.0.0.1:\(other)/b") }
                Endpoint("/through") { _ in .redirect(to: "ws://name.invalid:\(other)/b") }
            } body: { port in
                try await withProxy {
                    try await $0.serveConnect()
                } body: { proxyPort, log in
                    var configuration = WebSocketClient.Configuration()
                    configuration.proxy = .environment([
                        "http_proxy": "http://127.0.0.1:\(proxyPort)", "no_proxy": "127.0.0.1:\(other)",
                    ])
                    let client = WebSocketClient(configuration: configuration)
                    try await client.withConnection(to: "ws://first.invalid:\(port)/direct") {
                        #expect($0.negotiated.url.port == other)
                    }
                    #expect(log.connections == 1)
                    try await client.withConnection(to: "ws://first.invalid:\(port)/through") {
                        #expect($0.negotiated.url.host == "name.invalid")
                    }
                    #expect(log.connections == 3)
                    #expect(log.asked.last?.hasPrefix("CONNECT name.invalid:\(other) ") == true)
                }
            }
        }
    }
}

/// The bytes that a tap has seen.
private final class Tapped: Sendable {
    let bytes = Mutex<(sent: ByteBuffer, received: ByteBuffer)>((ByteBuffer(), ByteBuffer()))
}

/// Passes all on as it is, and keeps a copy.
private final class Tap: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let tapped: Tapped

    init(_ tapped: Tapped) {
        self.tapped = tapped
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = self.unwrapInboundIn(data)
        self.tapped.bytes.withLock { _ = $0.received.writeImmutableBuffer(bytes) }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = self.unwrapOutboundIn(data)
        self.tapped.bytes.withLock { _ = $0.sent.writeImmutableBuffer(bytes) }
        context.write(data, promise: promise)
    }
}
