import HTTPTypes
import KHPHTTP2
import KHPProtocol
import KHPServer
import NIOCore
import NIOHTTP2
import Synchronization
import TestSupport
import Testing

@testable import KHPClient

@Suite("WebSockets of one client on one connection", .serialized)
struct SharingTests {
    private func client(
        _ record: ConnectionRecord = ConnectionRecord(),
        _ configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) throws -> WebSocketClient {
        try makeClient(.init(.required, sharesConnections: true), record, configure)
    }

    /// Answers with the port of the client's connection, and stays open.
    private var who: Endpoint {
        Endpoint("/who") { _ in
            .complete()
        } handler: { socket, request in
            try await socket.send("\(request.peer?.port ?? 0)")
            for try await message in socket.messages { try await socket.send(message) }
        }
    }

    private func port(of socket: WebSocket) async throws -> String {
        guard case .text(let port) = try await socket.receive() else { return "" }
        return port
    }

    /// Waits for what nothing tells.
    private func wait(_ isThere: () async throws -> Bool) async throws {
        for _ in 0..<(500 * Sanitizer.patience) {
            if try await isThere() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        Issue.record("it is not there")
    }

    @Test("connects at once and one after the other share one; each closes for itself")
    func sharing() async throws {
        try await withHTTP2Server {
            self.who
        } body: { url in
            let record = ConnectionRecord()
            let client = try self.client(record)
            let sockets = try await withThrowingTaskGroup(of: WebSocket.self) { group in
                for _ in 0..<10 { group.addTask { try await client.connect(to: url + "/who") } }
                return try await group.reduce(into: [WebSocket]()) { $0.append($1) }
            }
            var ports: Set<String> = []
            for socket in sockets { ports.insert(try await self.port(of: socket)) }
            for socket in sockets.dropFirst() { #expect(try await socket.close().clean) }
            let last = try #require(sockets.first)
            try await last.send("on")
            #expect(try await last.receive() == .text("on"))
            ports.insert(try await client.withConnection(to: url + "/who") { try await self.port(of: $0) })
            #expect(ports.count == 1)
            #expect(record.protocols == Array(repeating: "h2", count: 11))
            try await last.close()
            // Another client's are its own, and without the option each has its own.
            let other = try await self.client().withConnection(to: url + "/who") { try await self.port(of: $0) }
            #expect(!ports.contains(other))
        }
    }

    @Test("no more streams than the server takes are on one connection: one more is dialled")
    func bound() async throws {
        try await withHTTP2Server {
            $0.http2?.streamsPerConnection = 2
        } endpoints: {
            self.who
        } body: { url in
            let client = try self.client()
            var ports: [String] = []
            var sockets: [WebSocket] = []
            for _ in 0..<5 {
                let socket = try await client.connect(to: url + "/who")
                ports.append(try await self.port(of: socket))
                sockets.append(socket)
            }
            #expect(ports[0] == ports[1] && ports[2] == ports[3])
            #expect(Set(ports).count == 3)
            for socket in sockets { try await socket.close() }
        }
    }

    @Test("a refusal, a challenge and a redirect on a stream leave the connection to the others")
    func answers() async throws {
        try await withHTTP2Server {
            self.who
            Endpoint("/old") { _ in
                var response = HandshakeResponse(status: 302)
                response.headers[.location] = "/who"
                return response
            } handler: { _ in
            }
            Endpoint("/locked") { request in
                request.authorization == nil ? .challenge("Basic realm=r") : .complete()
            } handler: { socket, request in
                try await socket.send("\(request.peer?.port ?? 0)")
            }
        } body: { url in
            for policy in [ExtendedHandshakePolicy.off, .required] {
                let client = try self.client {
                    $0.extended.policy = policy
                    $0.authentication.challengeHandler = BasicChallengeHandler(user: "u", password: "p")
                }
                try await client.withConnection(to: url + "/who") { first in
                    let port = try await self.port(of: first)
                    for path in ["/old", "/locked"] {
                        let other = try await client.withConnection(to: url + path) { try await self.port(of: $0) }
                        #expect(other == port, "\(path)")
                    }
                    let error = await #expect(throws: WebSocketError.self) {
                        try await client.withConnection(to: url + "/none") { _ in }
                    }
                    #expect(error?.code == .openingRefused)
                    try await first.send("on")
                    #expect(try await first.receive() == .text("on"))
                }
            }
        }
    }

    @Test("a connect that is cancelled takes its stream with it, and nothing else")
    func cancelled() async throws {
        let (asked, hasAsked) = AsyncStream.makeStream(of: Void.self)
        let (left, hasLeft) = AsyncStream.makeStream(of: Void.self)
        try await withHTTP2Server {
            self.who
            Endpoint("/slow") { _ in
                hasAsked.yield()
                do { try await Task.sleep(for: .seconds(60)) } catch { hasLeft.yield() }
                return .complete()
            } handler: { _ in
            }
        } body: { url in
            // The first of a connection, and one beside others.
            for isFirst in [true, false] {
                let client = try self.client()
                let first = try await isFirst ? nil : client.connect(to: url + "/who")
                let slow = Task { try await client.withConnection(to: url + "/slow") { _ in } }
                for await _ in asked { break }
                slow.cancel()
                await #expect(throws: CancellationError.self) { try await slow.value }
                for await _ in left { break }
                if let first {
                    let port = try await self.port(of: first)
                    let next = try await client.withConnection(to: url + "/who") { try await self.port(of: $0) }
                    #expect(next == port)
                    try await first.close()
                } else {
                    try await client.withConnection(to: url + "/who") { _ in }
                }
            }
        }
    }

    @Test("a connection without WebSockets ends in a while, and with its client")
    func idle() async throws {
        let peers = Mutex<Set<String>>([])
        try await withHTTP2Server {
            self.who
        } body: { url in
            let client = try makeClient(.init(.required, sharesConnections: true)) {
                $0.http2.idleTime = .milliseconds(50)
            }
            try await self.wait {
                let port = try await client.withConnection(to: url + "/who") { try await self.port(of: $0) }
                let isAnother = peers.withLock { peers in
                    defer { peers.insert(port) }
                    return !peers.isEmpty && !peers.contains(port)
                }
                if !isAnother { try await Task.sleep(for: .milliseconds(100)) }
                return isAnother
            }
        }
        // The server waits for connections that do not end: its shutdown is quick.
        let began = NIODeadline.now()
        try await withHTTP2Server {
            $0.gracefulShutdownTimeout = .seconds(30)
        } endpoints: {
            self.who
        } body: { url in
            do {
                let client = try self.client()
                try await client.withConnection(to: url + "/who") { _ in }
            }
        }
        #expect(NIODeadline.now() - began < .seconds(15))
    }

    @Test("behind the server's GOAWAY new streams go elsewhere, and a stream that it refuses is asked for once more")
    func goAway() async throws {
        for isPolite in [true, false] {
            let server = LeavingServer(isPolite ? .answers : .refuses)
            try await server.run { url in
                let record = ConnectionRecord()
                let client = try self.client(record) { $0.extended.policy = .off }
                let first = try await client.connect(to: url)
                if isPolite { try await server.leave() }
                let second = try await client.connect(to: url)
                #expect(server.connections == 2)
                // The one that the server leaves goes on.
                try await first.send("on")
                #expect(try await first.receive() == .text("on"))
                _ = try? await second.close()
                _ = try? await first.close()
            }
        }
    }

    @Test("a connection that does not answer an opening in time takes no more, and others are asked (threat F18)")
    func silent() async throws {
        let server = LeavingServer(.keepsSilent)
        try await server.run { url in
            let client = try self.client {
                $0.extended.policy = .off
                $0.timeouts.opening = .milliseconds(300 * Sanitizer.patience)
            }
            let first = try await client.connect(to: url)
            // Not answered beside the first: asked for once more, on a connection of its own.
            let second = try await client.connect(to: url)
            #expect(server.connections == 2)
            // Nobody waits for the silent one any more.
            let third = try await client.connect(to: url)
            #expect(server.connections == 3)
            // Its open socket goes on.
            try await first.send("on")
            #expect(try await first.receive() == .text("on"))
            for socket in [first, second, third] { _ = try? await socket.close() }
        }
    }

    @Test("a lost stream is worth another connection, and a silent one where time is left")
    func worth() {
        let response = HandshakeResponse(status: 503)
        for (code, isLost, isSilent) in [
            (WebSocketError.Code.closedDuringHandshake, true, false), (.connectFailed, true, false),
            (.timeout, false, true), (.openingRefused, false, false), (.tlsFailed, false, false),
        ] {
            let error = WebSocketError(code, "")
            #expect(StreamUse.isWorthAnother(error, isInTime: true) == (isLost || isSilent), "\(code)")
            #expect(StreamUse.isWorthAnother(error, isInTime: false) == isLost, "\(code)")
            #expect(StreamUse.isSilence(error) == isSilent, "\(code)")
            let answered = WebSocketError(code, "", response: response)
            #expect(!StreamUse.isWorthAnother(answered, isInTime: true) && !StreamUse.isSilence(answered), "\(code)")
        }
    }

    @Test("a stream that the server has done nothing with is asked for once more, and over HTTP/1.1 where that will do")
    func remedies() {
        typealias Row = (StreamRefusal, required: Bool, shared: Bool, alone: Bool, StreamUse.Remedy?)
        let rows: [Row] = [
            (.wantsHTTP1, false, false, false, .withoutStreams), (.wantsHTTP1, false, true, false, .withoutStreams),
            (.wantsHTTP1, true, false, false, nil), (.wantsHTTP1, true, true, false, nil),
            (.unprocessed, false, false, false, .withoutStreams), (.unprocessed, false, true, false, .alone),
            (.unprocessed, false, false, true, .withoutStreams), (.unprocessed, true, false, false, .alone),
            (.unprocessed, true, true, false, .alone), (.unprocessed, true, false, true, nil),
        ]
        for (refusal, required, shared, alone, remedy) in rows {
            let found = StreamUse.remedy(for: refusal, isRequired: required, isOnShared: shared, isAlone: alone)
            #expect(found == remedy, "\(refusal) \(required) \(shared) \(alone)")
        }
    }

    @Test("another name, another address and another way never share a connection (threat F17)")
    func apart() async throws {
        let base = SharedPlace(authority: "a.example:443", proxy: nil, presentsCertificate: true)
        let proxies = try ["http://p:1", "http://joe:x@p:1", "http://joe:y@p:1", "socks5://p:1"].map { try Proxy($0) }
        let others =
            [
                SharedPlace(authority: "b.example:443", proxy: nil, presentsCertificate: true),
                SharedPlace(authority: "a.example:8443", proxy: nil, presentsCertificate: true),
                SharedPlace(authority: "a.example:443", proxy: nil, presentsCertificate: false),
            ] + proxies.map { SharedPlace(authority: "a.example:443", proxy: $0, presentsCertificate: true) }
        #expect(Set(others + [base]).count == others.count + 1)
        let address = Mutex("127.0.0.1")
        try await withHTTP2Server {
            $0.address = .hostname("0.0.0.0", port: 0)
        } endpoints: {
            self.who
        } body: { url in
            let client = try self.client {
                $0.lookUp = { _, port in [try SocketAddress(ipAddress: address.withLock { $0 }, port: port)] }
            }
            var ports: Set<String> = []
            try await client.withConnection(to: url + "/who") { first in
                ports.insert(try await self.port(of: first))
                // The same server, and a certificate that is good for both.
                let named = url.replacing("localhost", with: "127.0.0.1") + "/who"
                ports.insert(try await client.withConnection(to: named) { try await self.port(of: $0) })
                // The name means another address now.
                address.withLock { $0 = "127.0.0.2" }
                ports.insert(try await client.withConnection(to: url + "/who") { try await self.port(of: $0) })
            }
            #expect(ports.count == 3)
        }
    }

    @Test("a tunnel is shared, unless its proxy has asked for a login (threat F14)")
    func throughProxies() async throws {
        try await withHTTP2Server {
            self.who
        } body: { url in
            for login in [nil, "Basic " + Base64.encode("joe:canary".utf8)] {
                try await withProxy {
                    try await $0.serveConnect(credentials: login)
                } body: { port, log in
                    let proxy = try Proxy("http://joe:canary@localhost:\(port)")
                    let client = try self.client { $0.proxy = .proxy(proxy) }
                    let first = try await client.connect(to: url + "/who")
                    let second = try await client.connect(to: url + "/who")
                    #expect(log.connections == (login == nil ? 1 : 2))
                    _ = try await first.close()
                    _ = try await second.close()
                }
            }
        }
    }
}
