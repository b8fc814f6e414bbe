// The choice among backends, their health, and a handshake whose backend is away.

import CommandTestSupport
import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

@Suite("Pools", .timeLimit(.minutes(1)))
struct PoolTests {
    // MARK: Choosing

    private static func candidates(_ weights: [Int], _ connections: [Int] = []) -> [Candidate] {
        weights.enumerated().map {
            Candidate(
                url: "b\($0.offset)",
                weight: $0.element,
                connections: $0.offset < connections.count ? connections[$0.offset] : 0
            )
        }
    }

    @Test("rounds give each its weight, and no burst to one")
    func rounds() {
        var balance = Balance(.roundRobin)
        let chosen = (0..<7).compactMap { _ in balance.choose(Self.candidates([5, 1, 1]), key: "") }
        #expect(chosen == [0, 0, 1, 0, 2, 0, 0])
    }

    @Test("the least connections count by weight, and equals take turns")
    func least() {
        var balance = Balance(.leastConnections)
        #expect(balance.choose(Self.candidates([1, 1], [3, 2]), key: "") == 1)
        #expect(balance.choose(Self.candidates([2, 1], [3, 2]), key: "") == 0)
        #expect((0..<4).compactMap { _ in balance.choose(Self.candidates([1, 1], [1, 1]), key: "") } == [0, 1, 0, 1])
        #expect(balance.choose([], key: "") == nil)
    }

    @Test("a hash keeps clients where they are when another backend goes, and follows weights")
    func hashes() {
        var balance = Balance(.sourceHash)
        let keys = (0..<3000).map { "10.0.\($0 / 250).\($0 % 250)" }
        let three = Self.candidates([1, 1, 2])
        let before = keys.map { balance.choose(three, key: $0) }
        let after = keys.map { balance.choose(Array(three.dropFirst()), key: $0).map { $0 + 1 } }
        for (one, other) in zip(before, after) where one != 0 { #expect(one == other) }
        let shares = (0..<3).map { place in before.count { $0 == place } }
        #expect(abs(shares[0] - 750) < 150)
        #expect(abs(shares[2] - 1500) < 200)
    }

    // MARK: Health

    private static func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    @Test("checks take a backend out after `fall` failures and bring it back after `rise` successes")
    func checks() {
        let rule = GatewayConfiguration.Check()
        var health = BackendHealth()
        var changes: [BackendHealth.Change] = []
        // Two failures are forgiven, three are not; one success is not enough.
        for failure in ["a", "b", nil, "a", "b", "c", "d", nil, "e", nil, nil, nil] as [String?] {
            if let change = health.checked(failure, rule, now: Self.at(1)) { changes.append(change) }
        }
        #expect(changes == [.down("c"), .up])
    }

    @Test("failures of clients' connections eject, longer each time, and a success between them forgives")
    func ejection() {
        let rule = GatewayConfiguration.Ejection()
        var health = BackendHealth()
        func fail(_ times: Int, at seconds: Int64, mayEject: Bool = true) -> BackendHealth.Change? {
            var change: BackendHealth.Change?
            for _ in 0..<times {
                change = health.failed(.connect, "no", rule, mayEject: mayEject, now: Self.at(seconds)) ?? change
            }
            return change
        }
        #expect(fail(4, at: 0) == nil)
        health.served(now: Self.at(0))
        #expect(fail(4, at: 0) == nil)
        #expect(fail(1, at: 0) == .ejected(.seconds(30), "no"))
        #expect(health.state(Self.at(29)) == .ejected)
        #expect(health.state(Self.at(30)) == .up)
        #expect(fail(5, at: 30, mayEject: false) == nil)
        #expect(fail(5, at: 30) == .ejected(.seconds(60), "no"))
        health.override = .enable
        #expect(health.isAvailable(Self.at(31)))
        health.override = .drain
        #expect(!health.isAvailable(Self.at(100)))
    }

    @Test("only failures in a row count: a connect ends those of connects, and use ends all")
    func inARow() {
        let rule = GatewayConfiguration.Ejection()
        var health = BackendHealth()
        func fail(_ kind: BackendHealth.Failure) -> BackendHealth.Change? {
            health.failed(kind, "no", rule, mayEject: true, now: Self.at(0))
        }
        for _ in 0..<4 { #expect(fail(.connect) == nil) }
        health.connected()
        for _ in 0..<4 { #expect(fail(.connect) == nil) }
        health.served(now: Self.at(0))
        // It takes each connection, and ends it at once.
        for _ in 0..<4 {
            health.connected()
            #expect(fail(.use) == nil)
        }
        #expect(fail(.use) == .ejected(.seconds(30), "no"))
    }

    @Test("an ejection is forgiven once the backend has been back for as long, and of use")
    func forgiven() {
        let rule = GatewayConfiguration.Ejection()
        var health = BackendHealth()
        func eject(at seconds: Int64) -> BackendHealth.Change? {
            (0..<5).compactMap { _ in
                health.failed(.connect, "no", rule, mayEject: true, now: Self.at(seconds))
            }.last
        }
        #expect(eject(at: 0) == .ejected(.seconds(30), "no"))
        health.served(now: Self.at(59))
        #expect(eject(at: 59) == .ejected(.seconds(60), "no"))
        // Back at 119.
        health.served(now: Self.at(180))
        #expect(eject(at: 181) == .ejected(.seconds(30), "no"))
        #expect(health.allEjections == 3)
    }

    @Test("two event loops that fail at once never leave out the last two together")
    func judging() async throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [.local(1), .local(2)]
        rules.eject?.failures = 1
        for _ in 0..<50 {
            let pool = try BackendPool(rules, tls: nil)
            await withTaskGroup(of: Void.self) { tasks in
                for member in pool.members { tasks.addTask { pool.failed(member, .connect, "no") } }
            }
            #expect(pool.isHealthy())
        }
    }

    @Test("one that takes nobody is no backend that others can be left out for")
    func weightless() throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [.local(1), .local(2)]
        rules.backends[1].weight = 0
        rules.eject?.failures = 1
        let pool = try BackendPool(rules, tls: nil)
        pool.failed(pool.members[0], .connect, "no")
        #expect(pool.members[0].snapshot.health.state(.now()) == .up)
    }

    @Test("the last backend is never ejected, nor more than the share that may be out")
    func lastOne() throws {
        for (count, expected) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
            var rules = GatewayConfiguration.Pool(name: "p")
            rules.backends = (1...count).map { .local($0) }
            let pool = try BackendPool(rules, tls: nil)
            for member in pool.members {
                for _ in 0..<10 { pool.failed(member, .connect, "no") }
            }
            #expect(pool.members.count { $0.snapshot.health.state(.now()) == .ejected } == expected)
        }
    }

    @Test("backups serve only while nobody else can, a weight of 0 never, and a bound counts")
    func choice() throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = (1...3).map { .local($0) }
        rules.backends[1].isBackup = true
        rules.backends[2].weight = 0
        rules.connections = 2
        let pool = try BackendPool(rules, tls: nil)
        let call = BackendCall(on: MultiThreadedEventLoopGroup.singleton.any())
        #expect(pool.choose(call, except: [], now: .now()) === pool.members[0])
        pool.members[0].withState { $0.connections = 2 }
        #expect(pool.choose(call, except: [], now: .now()) === pool.members[1])
        pool.members[1].withState { $0.health.override = .disable }
        #expect(pool.choose(call, except: [], now: .now()) == nil)
    }

    // MARK: Handshakes

    /// A port at which nobody listens.
    static func freePort() async throws -> Int {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close()
        return port
    }

    @Test(
        "a backend that is away is a status of the handshake in which the client takes part",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func statuses(_ policy: ExtendedHandshakePolicy) async throws {
        let refused = GatewayConfiguration.Backend.local(try await Self.freePort())
        try await BlockingSocket.withoutRoom { fullPort in
            let full = GatewayConfiguration.Backend(scheme: .tcp, host: BlockingSocket.fullAddress, port: fullPort)
            for (backends, status) in [([refused], 502), ([full], 504), ([], 503)] {
                try await withService(backends: backends) { pool in
                    pool.connectTimeout = .milliseconds(300)
                } body: { view in
                    var configuration = WebSocketClient.Configuration()
                    configuration.extended.policy = policy
                    do {
                        _ = try await WebSocketClient(configuration: configuration).connect(to: view.url)
                        Issue.record("the socket opened")
                    } catch let error as WebSocketError {
                        #expect(error.code == (policy == .off ? .openingRefused : .extendedRefused))
                        #expect(error.response?.status == status)
                        #expect(error.response?.headers[.retryAfter] != nil)
                        let body = error.response.map { String(buffer: $0.body) } ?? ""
                        #expect(body.hasPrefix("The service behind this gateway cannot be reached now."))
                    }
                    #expect(view.service.gate.sessions == 0)
                    #expect(view.pool.members.allSatisfy { $0.snapshot.connections == 0 })
                }
            }
        }
    }

    @Test("the next backend is tried, unnoticed by the client, and places are given back")
    func next() async throws {
        let dead = GatewayConfiguration.Backend.local(try await Self.freePort())
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound { try await outbound.write(bytes) }
            }
        } body: { port in
            try await withService(backends: [dead, .local(port)]) { pool in
                pool.balance = .roundRobin
            } body: { view in
                for _ in 0..<4 {
                    let socket = try await WebSocketClient().connect(to: view.url)
                    try await socket.send("hello")
                    #expect(try await socket.receive() == .binary(ByteBuffer(string: "hello")))
                    #expect(view.pool.members[1].snapshot.connections == 1)
                    try await socket.close()
                    _ = await view.ends.next()
                }
                #expect(view.pool.members[0].snapshot.connects["refused"] == 2)
                #expect(view.pool.members[1].snapshot.connects["ok"] == 4)
            }
        }
    }

    @Test(
        "bounds of a service are answered with their status",
        arguments: [
            (ServiceGate.Limit.sessions, 503), (.perAddress, 429), (.acceptRate, 429),
        ]
    )
    func bounds(_ limit: ServiceGate.Limit, _ status: Int) async throws {
        try await withService(backends: [], kind: .echo, pool: { _ in }) { rules in
            switch limit {
            case .sessions: rules.limits.sessions = 1
            case .perAddress: rules.limits.perAddress = 1
            case .perPrincipal: rules.limits.perPrincipal = 1
            case .acceptRate: rules.limits.acceptRate = Rate(count: 1, seconds: 3600)
            }
        } body: { view in
            let first = try await WebSocketClient().connect(to: view.url)
            do {
                _ = try await WebSocketClient().connect(to: view.url)
                Issue.record("the socket opened")
            } catch let error as WebSocketError {
                #expect(error.response?.status == status)
                #expect(error.response?.headers[.retryAfter] != nil)
            }
            #expect(view.service.gate.hits == [limit: 1])
            try await first.close()
            _ = await view.ends.next()
        }
    }

    @Test("an active check connects, says its words and compares the answer's beginning")
    func activeCheck() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound where String(buffer: bytes) == "PING\n" {
                    try await outbound.write(ByteBuffer(string: "+PO"))
                    try await outbound.write(ByteBuffer(string: "NG\n"))
                }
            }
        } body: { port in
            let dead = GatewayConfiguration.Backend.local(try await Self.freePort())
            var rules = GatewayConfiguration.Pool(name: "p")
            rules.backends = [.local(port), dead]
            let pool = try BackendPool(rules, tls: nil)
            let checks = BackendChecks(pool: pool, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
            var check = GatewayConfiguration.Check()
            check.timeout = .milliseconds(300)
            #expect(await checks.check(pool.members[0], check) == nil)
            #expect(await checks.check(pool.members[1], check)?.kind == .refused)
            check.send = Array("PING\n".utf8)
            check.expect = Array("+PONG".utf8)
            #expect(await checks.check(pool.members[0], check) == nil)
            check.expect = Array("-ERR".utf8)
            #expect(await checks.check(pool.members[0], check)?.kind == .handshake)
            check.send = []
            #expect(await checks.check(pool.members[0], check)?.kind == .timeout)
        }
    }

    // MARK: The PROXY header

    private static func hex(_ buffer: ByteBuffer) -> String {
        buffer.readableBytesView.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// As HAProxy 2.6.12 writes it for the same client.
    @Test("version 2 is as HAProxy writes it, checksum included")
    func proxyV2() throws {
        var header = ProxyHeader(
            source: try SocketAddress(ipAddress: "127.0.0.1", port: 0xDE54),
            destination: try SocketAddress(ipAddress: "127.0.0.1", port: 0x4E23)
        )
        header.authority = "gw.example.com"
        header.uniqueID = ""
        header.certificateName = "joe"
        header.usesTLS = true
        header.tlsVersion = "TLSv1.3"
        let written = Self.hex(header.v2)
        #expect(written.hasPrefix("0d0a0d0a000d0a515549540a2111"))
        #expect(written.contains("7f0000017f000001de544e23030004"))
        #expect(written.contains("02000e67772e6578616d706c652e636f6d"))
        #expect(written.hasSuffix("2000150700000000210007544c5376312e332200036a6f65"))
        // The header as it came from HAProxy, with its own checksum in place.
        let haproxy =
            "0d0a0d0a000d0a515549540a211100587f0000017f000001de544e23030004724fda0102000e67772e6578616d706c652e636f6d05000020002e0700000000210007544c5376312e332200036a6f65230016544c535f4145535f3235365f47434d5f534841333834"
        var bytes = stride(from: 0, to: haproxy.count, by: 2).compactMap { place in
            let start = haproxy.index(haproxy.startIndex, offsetBy: place)
            return UInt8(haproxy[start..<haproxy.index(start, offsetBy: 2)], radix: 16)
        }
        bytes.replaceSubrange(31..<35, with: [0, 0, 0, 0])
        #expect(ProxyHeader.crc32c(bytes) == 0x724F_DA01)
    }

    @Test("version 1 is one line, and mixed families are both IPv6")
    func proxyV1() throws {
        let four = try SocketAddress(ipAddress: "192.0.2.7", port: 4711)
        let other = try SocketAddress(ipAddress: "127.0.0.1", port: 1883)
        let six = try SocketAddress(ipAddress: "2001:db8::7", port: 4711)
        #expect(
            String(buffer: ProxyHeader(source: four, destination: other).v1)
                == "PROXY TCP4 192.0.2.7 127.0.0.1 4711 1883\r\n"
        )
        #expect(
            String(buffer: ProxyHeader(source: six, destination: other).v1).hasPrefix(
                "PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 4711"
            )
        )
    }

    @Test("a backend that reads headers always gets one, and none with half of the addresses")
    func proxyHeaderOfUnix() throws {
        let client = try SocketAddress(ipAddress: "192.0.2.7", port: 4711)
        let listener = try SocketAddress(ipAddress: "198.51.100.1", port: 8443)
        let own = try SocketAddress(unixDomainSocketPath: "")
        let backend = try SocketAddress(unixDomainSocketPath: "/run/b")
        var call = BackendCall(on: MultiThreadedEventLoopGroup.singleton.any())
        func text(_ own: SocketAddress?, _ backend: SocketAddress?) -> String? {
            call.header(.v1, from: own, to: backend).map { String(buffer: $0) }
        }
        // A check, and a client that has come by a Unix domain socket.
        for (own, backend) in [(own, backend), (nil, nil), (client, nil), (nil, client)]
            as [(SocketAddress?, SocketAddress?)]
        {
            #expect(text(own, backend) == "PROXY UNKNOWN\r\n")
            call.session = "s"
            let header = Self.hex(try #require(call.header(.v2, from: own, to: backend)))
            // PROXY, no family, and what else there is to say at once: the checksum, the session.
            #expect(header.hasPrefix("0d0a0d0a000d0a515549540a2100000b030004"), "\(header)")
            #expect(header.hasSuffix("05000173"))
        }
        call.client = client
        call.listener = listener
        #expect(text(own, backend) == "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8443\r\n")
        #expect(text(nil, nil) == "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8443\r\n")
        #expect(call.header(.off, from: own, to: backend) == nil)
    }

    @Test(
        "a check names the gateway, nobody, or sends no header, as its rule says",
        arguments: [
            (
                GatewayConfiguration.Check.ProxyHeader.own, "PROXY TCP4 127.0.0.1 127.0.0.1 ",
                "0d0a0d0a000d0a515549540a2111"
            ),
            (.local, "PROXY UNKNOWN\r\nPING", "0d0a0d0a000d0a515549540a20000000" + "50494e47"),
            (.off, "PING", "50494e47"),
        ]
    )
    func checkedHeader(_ header: GatewayConfiguration.Check.ProxyHeader, _ v1: String, _ v2: String) async throws {
        for version in [GatewayConfiguration.Pool.ProxyHeader.v1, .v2] {
            let (served, _) = try await BlockingSocket.serving { socket in
                var bytes: [UInt8] = []
                while bytes.suffix(4) != Array("PING".utf8)[...] { bytes += try socket.receive() }
                try socket.send("+")
                return bytes
            } body: { port in
                var rules = GatewayConfiguration.Pool(name: "p")
                rules.backends = [.local(port)]
                rules.proxyHeader = version
                var check = GatewayConfiguration.Check()
                check.send = Array("PING".utf8)
                check.expect = Array("+".utf8)
                check.proxyHeader = header
                let pool = try BackendPool(rules, tls: nil)
                let checks = BackendChecks(pool: pool, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
                #expect(await checks.check(pool.members[0], check) == nil)
            }
            let isText = version == .v1
            #expect(
                isText
                    ? String(decoding: served, as: UTF8.self).hasPrefix(v1)
                    : Self.hex(ByteBuffer(bytes: served)).hasPrefix(v2)
            )
        }
    }

    @Test(
        "a backend behind a Unix domain socket gets the header first, too",
        arguments: [GatewayConfiguration.Pool.ProxyHeader.v1, .v2]
    )
    func headerFirstOnUnix(_ version: GatewayConfiguration.Pool.ProxyHeader) async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(
            "khp-\(UInt32.random(in: 0 ... .max)).sock"
        ).path
        let backend = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { $0.pipeline.addHandler(EchoBytes()) }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        defer { backend.close(promise: nil) }
        try await withService(backends: [.init(scheme: .unix, path: path)]) { pool in
            pool.proxyHeader = version
        } body: { view in
            let socket = try await WebSocketClient().connect(to: view.url)
            try await socket.send("PROXY TCP4 203.0.113.1 203.0.113.1 1 1\r\n")
            var bytes = ByteBuffer()
            for try await case .binary(var piece) in socket.messages {
                bytes.writeBuffer(&piece)
                if bytes.readableBytesView.firstRange(of: Array("203.0.113.1 1 1\r\n".utf8)) != nil { break }
            }
            let isText = version == .v1
            let header = Array(bytes.readableBytesView)
            let line = String(decoding: header, as: UTF8.self)
            #expect(
                isText
                    ? line.hasPrefix("PROXY TCP4 127.0.0.1 127.0.0.1 ")
                    : Self.hex(bytes).hasPrefix("0d0a0d0a000d0a515549540a2111")
            )
            #expect(!isText || line.contains(" \(view.port)\r\n"), "\(line)")
            try await socket.close()
            _ = await view.ends.next()
        }
    }

    @Test("the header comes first, in one piece, and names the client")
    func headerFirst() async throws {
        let (served, _) = try await BlockingSocket.serving { socket in
            let first = try socket.receive()
            return (first, first + socket.receiveAll().bytes)
        } body: { port in
            try await withService(backends: [.local(port)]) { pool in
                pool.proxyHeader = .v1
            } body: { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                try await socket.send("hello")
                try await socket.close()
                _ = await view.ends.next()
            }
        }
        let line = String(decoding: served.0, as: UTF8.self)
        #expect(line.hasPrefix("PROXY TCP4 127.0.0.1 127.0.0.1 "))
        #expect(line.contains("\r\n"))
        #expect(String(decoding: served.1, as: UTF8.self).hasSuffix("\r\nhello"))
    }
}

/// Sends back what comes.
private final class EchoBytes: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
}
