// Listeners over a reload: a reload takes what a start takes, whatever listened where before.

import CommandTestSupport
import Foundation
import KHPClient
import KHPHTTP2
import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

@testable import KHPGateway

@Suite("A reload of listeners", .timeLimit(.minutes(1)))
struct ListenerReloadTests {
    /// A listener, with the letters `p` and `q` for two free ports.
    struct Place: Sendable {
        var name: String
        var host: String
        var port: Character

        init(_ text: String) {
            let parts = text.split(separator: " ")
            self.name = String(parts[0])
            self.host = String(parts[1])
            self.port = parts[2].first ?? "p"
        }
    }

    private static func materials(
        _ places: [String],
        _ ports: [Character: Int],
        _ hash: String,
        change: (inout GatewayConfiguration) -> Void = { _ in }
    ) -> GatewayMaterials {
        var configuration = BareGateway.configuration()
        configuration.listeners = places.map { text in
            let place = Place(text)
            return .init(name: place.name, listen: .host(place.host, port: ports[place.port] ?? 0))
        }
        change(&configuration)
        return GatewayMaterials(configuration, hash: hash)
    }

    private static func echoes(_ socket: WebSocket) async throws -> Bool {
        try await socket.send("hello")
        return try await socket.receive() == .text("hello")
    }

    private static func connect(_ port: Int?) async throws -> WebSocket {
        try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port ?? 0)/echo")
    }

    @Test(
        "takes what a start takes: other names, ports and addresses, and sessions go on",
        arguments: [
            (["a 127.0.0.1 p"], ["b 127.0.0.1 p"]),
            (["a 127.0.0.1 p", "b 127.0.0.1 q"], ["a 127.0.0.1 q", "b 127.0.0.1 p"]),
            (["a 127.0.0.1 p"], ["a 0.0.0.0 p"]), (["a 0.0.0.0 p"], ["a 127.0.0.1 p"]),
            (["a 127.0.0.1 p"], ["a 127.0.0.1 q", "b 0.0.0.0 p"]),
            (["a 0.0.0.0 p", "b 127.0.0.1 q"], ["b 127.0.0.1 p"]),
        ] as [([String], [String])]
    )
    func taken(_ before: [String], _ after: [String]) async throws {
        let ports: [Character: Int] = ["p": try await PoolTests.freePort(), "q": try await PoolTests.freePort()]
        try await BareGateway.run(Self.materials(before, ports, "1")) { gateway in
            let old = try await Self.connect(ports["p"])
            _ = try await gateway.gateway.reload(Self.materials(after, ports, "2"))
            #expect(try await Self.echoes(old))
            for port in "pq" {
                guard after.contains(where: { Place($0).port == port }) else {
                    await #expect(throws: WebSocketError.self) { _ = try await Self.connect(ports[port]) }
                    continue
                }
                let new = try await Self.connect(ports[port])
                #expect(try await Self.echoes(new))
                try await new.close()
            }
            // And back again.
            _ = try await gateway.gateway.reload(Self.materials(before, ports, "3"))
            let again = try await Self.connect(ports["p"])
            #expect(try await Self.echoes(again))
            try await again.close()
            try await old.close()
        }
    }

    @Test("where it fails, all listen that did before", arguments: [["a 0.0.0.0 p"], ["b 127.0.0.1 p"]])
    func failed(_ after: [String]) async throws {
        try await withServer {
            echo()
        } body: { other in
            let ports: [Character: Int] = ["p": try await PoolTests.freePort(), "q": other]
            try await BareGateway.run(Self.materials(["a 127.0.0.1 p"], ports, "1")) { gateway in
                let old = try await Self.connect(ports["p"])
                await #expect(throws: Gateway.Failure.self) {
                    try await gateway.gateway.reload(Self.materials(after + ["c 127.0.0.1 q"], ports, "2"))
                }
                let new = try await Self.connect(ports["p"])
                for socket in [old, new] {
                    #expect(try await Self.echoes(socket))
                    try await socket.close()
                }
                let status = await gateway.gateway.status()
                #expect(status.listeners.map(\.name) == ["a"])
            }
        }
    }

    @Test(
        "where it fails behind a listener that was made anew, nobody is turned away, and a later reload listens again"
    )
    func undone() async throws {
        try await withServer {
            echo()
        } body: { other in
            let ports: [Character: Int] = ["p": try await PoolTests.freePort(), "q": other]
            try await BareGateway.run(Self.materials(["a 127.0.0.1 p"], ports, "1")) { gateway in
                let port = ports["p"] ?? 0
                // The queue of the socket counts: whoever is in it is taken in later.
                let knocks = Task { try await Self.knock(port) }
                for hash in 2..<12 {
                    await #expect(throws: Gateway.Failure.self) {
                        // The first has to be made anew at its socket. The other meets another program, or the first.
                        try await gateway.gateway.reload(
                            Self.materials(["a 127.0.0.1 p", "c 127.0.0.1 q"], ports, "\(hash)") {
                                $0.listeners[0].trust = [.init("10.0.0.0/8")].compactMap { $0 }
                                $0.listeners[0].forwarded = .forwarded
                                if hash % 2 == 0 {
                                    $0.listeners[1].listen = $0.listeners[0].listen
                                    $0.listeners[1].name = "again"
                                }
                            }
                        )
                    }
                }
                knocks.cancel()
                #expect(try await knocks.value > 0)
                let ready = await gateway.gateway.unreadiness()
                #expect(ready == [])
                let socket = try await Self.connect(ports["p"])
                #expect(try await Self.echoes(socket))
                try await socket.close()
            }
        }
    }

    /// Connects until it is cancelled.
    /// - Returns: how often.
    /// - Throws: where nobody listens.
    private static func knock(_ port: Int) async throws -> Int {
        var count = 0
        while !Task.isCancelled {
            let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                .connect(host: "127.0.0.1", port: port).get()
            // It may have been closed by the gateway meanwhile.
            try? await channel.close().get()
            count += 1
        }
        return count
    }

    @Test("a listener that could not listen again fails readiness, and any reload listens again")
    func lost() async throws {
        let ports: [Character: Int] = ["p": try await PoolTests.freePort()]
        let materials = Self.materials(["a 127.0.0.1 p"], ports, "1")
        try await BareGateway.run(materials) { gateway in
            let listeners = await gateway.gateway.listeners
            for listener in listeners {
                await listener.close()
                listener.noteLost()
            }
            #expect(await gateway.gateway.unreadiness() == ["listener a is lost"])
            _ = try await gateway.gateway.reload(materials)
            #expect(await gateway.gateway.unreadiness() == [])
            let socket = try await Self.connect(ports["p"])
            #expect(try await Self.echoes(socket))
            try await socket.close()
        }
    }

    @Test("a Unix socket changes hands, and its file goes with the last listener")
    func path() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString.prefix(8))")
            .path
        func materials(_ name: String, _ hash: String) -> GatewayMaterials {
            var configuration = BareGateway.configuration()
            configuration.listeners = [.init(name: name, listen: .unix(path: path))]
            return GatewayMaterials(configuration, hash: hash)
        }
        func connect() async throws -> WebSocket {
            var configuration = WebSocketClient.Configuration()
            configuration.connectTo = .unixDomainSocket(path: path)
            return try await WebSocketClient(configuration: configuration).connect(to: "ws://gateway/echo")
        }
        try await BareGateway.run(materials("a", "1")) { gateway in
            let old = try await connect()
            _ = try await gateway.gateway.reload(materials("b", "2"))
            let new = try await connect()
            for socket in [old, new] {
                #expect(try await Self.echoes(socket))
                try await socket.close()
            }
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test("a socket that changes hands loses nobody who waits in its queue")
    func queue() async throws {
        let ports: [Character: Int] = ["p": try await PoolTests.freePort()]
        try await BareGateway.run(Self.materials(["a 127.0.0.1 p"], ports, "1")) { gateway in
            let clients = Task {
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    for _ in 0..<40 {
                        tasks.addTask { try await Self.connect(ports["p"]).close() }
                    }
                    try await tasks.waitForAll()
                }
            }
            for number in 0..<10 {
                let name = number.isMultiple(of: 2) ? "b" : "a"
                _ = try await gateway.gateway.reload(
                    Self.materials(["\(name) 127.0.0.1 p"], ports, "r\(number)")
                )
            }
            try await clients.value
        }
    }

    @Test("another bound on connections is taken by the listener that there is, whose connections count")
    func connections() async throws {
        let ports: [Character: Int] = ["p": try await PoolTests.freePort()]
        func materials(_ connections: Int, _ hash: String) -> GatewayMaterials {
            Self.materials(["a 127.0.0.1 p"], ports, hash) { $0.listeners[0].connections = connections }
        }
        try await BareGateway.run(materials(1, "1")) { gateway in
            let before = await gateway.gateway.listeners[0]
            let first = try await Self.connect(ports["p"])
            await #expect(throws: WebSocketError.self) { _ = try await Self.connect(ports["p"]) }
            _ = try await gateway.gateway.reload(materials(2, "2"))
            #expect(await gateway.gateway.listeners[0] === before)
            #expect(await gateway.gateway.status().capacity == 2)
            let second = try await Self.connect(ports["p"])
            await #expect(throws: WebSocketError.self) { _ = try await Self.connect(ports["p"]) }
            // Fewer than there are: they stay.
            _ = try await gateway.gateway.reload(materials(1, "3"))
            for socket in [first, second] {
                #expect(try await Self.echoes(socket))
                try await socket.close()
            }
        }
    }

    @Test("the bounds of services reach a listener that was there before them, and its counts go on")
    func bounds() async throws {
        let ports: [Character: Int] = ["p": try await PoolTests.freePort()]
        func materials(_ stalled: Duration, _ hash: String) -> GatewayMaterials {
            Self.materials(["a 127.0.0.1 p"], ports, hash) { $0.services[0].rules.relay.stalled = stalled }
        }
        try await BareGateway.run(materials(.seconds(30), "1")) { gateway in
            let before = await gateway.gateway.listeners[0]
            let first = try await Self.connect(ports["p"])
            _ = try await gateway.gateway.reload(materials(.seconds(90), "2"))
            #expect(await gateway.gateway.listeners[0] !== before)
            let second = try await Self.connect(ports["p"])
            for socket in [first, second] { #expect(try await Self.echoes(socket)) }
            #expect(await gateway.gateway.status().listenerCounts.map(\.counts.accepted) == [2])
            #expect(await gateway.gateway.status().listenerCounts.map(\.counts.connections) == [2])
            try await first.close()
            #expect(await Patience.wait { before.isInUse ? nil : true } != nil)
            // Nobody is connected by the first any more: the next reload forgets it, and keeps its counts.
            _ = try await gateway.gateway.reload(materials(.seconds(120), "3"))
            #expect(await gateway.gateway.line.retired.count == 1)
            #expect(await gateway.gateway.status().listenerCounts.map(\.counts.accepted) == [2])
            try await second.close()
        }
    }

    @Test("a request on a connection from before a reload meets the services in force")
    func lateRequests() async throws {
        let ports: [Character: Int] = ["p": try await PoolTests.freePort()]
        let port = ports["p"] ?? 0
        try await BareGateway.run(Self.materials(["a 127.0.0.1 p"], ports, "1")) { gateway in
            let clients = try await offThread { try (0..<2).map { _ in try BlockingSocket.connect(port) } }
            let before = await gateway.gateway.listeners[0]
            #expect(await Patience.wait { before.counts.connections == 2 ? true : nil } != nil)
            _ = try await gateway.gateway.reload(
                Self.materials(["b 127.0.0.1 p"], ports, "2") {
                    $0.services[0] = .init(name: "new", path: PathPattern(path: "/new"), kind: .echo)
                }
            )
            let heads = try await offThread {
                try zip(clients, ["/new", "/echo"]).map { client, path in
                    try client.send(openingRequest(path))
                    return try client.receiveHead()
                }
            }
            #expect(heads[0].hasPrefix("HTTP/1.1 101") && heads[1].hasPrefix("HTTP/1.1 404"), "\(heads)")
            for client in clients { client.close() }
        }
    }

    @Test("a connection of HTTP/2 from before a reload that asks for certificates opens no further session")
    func certificates() async throws {
        let authority = try CertificateAuthority.shared.get()
        let ports: [Character: Int] = ["p": try await PoolTests.freePort()]
        func materials(_ hash: String, asks: Bool) throws -> GatewayMaterials {
            var tls = try authority.server("IP:127.0.0.1")
            if asks {
                tls.certificateVerification = .fullVerification
                tls.trustRoots = try authority.roots()
            }
            var materials = Self.materials(["a 127.0.0.1 p"], ports, hash) {
                var tls = GatewayConfiguration.TLS(certificate: "c", key: "k")
                if asks { (tls.clientAuthentication, tls.clientCA) = (.required, "ca") }
                $0.listeners[0].tls = tls
            }
            materials.listenerTLS["a"] = tls
            return materials
        }
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = try authority.roots()
        configuration.http2 = .init(.required, sharesConnections: true)
        let client = WebSocketClient(configuration: configuration)
        let url = "wss://127.0.0.1:\(ports["p"] ?? 0)/echo"
        try await BareGateway.run(materials("1", asks: false)) { gateway in
            let session = try await client.connect(to: url)
            _ = try await gateway.gateway.reload(materials("2", asks: true))
            // Each event loop learns of it in a turn of its own.
            var isRefused = false
            for _ in 0..<200 where !isRefused {
                do {
                    try await client.connect(to: url).close()
                } catch {
                    isRefused = true
                }
            }
            #expect(isRefused)
            #expect(try await Self.echoes(session))
            try await session.close()
        }
    }

    @Test("listeners whose ports the system chooses are two, and a connection keeps to its own")
    func chosenPorts() async throws {
        func materials(_ hash: String, _ listeners: [String]) -> GatewayMaterials {
            Self.materials(["a 127.0.0.1 p", "b 127.0.0.1 p"], [:], hash) {
                $0.services[0].rules.listeners = listeners
                // Has b made anew.
                if hash == "2" {
                    $0.listeners[1].trust = [AddressRange("10.0.0.0/8")].compactMap { $0.map { .network($0) } }
                }
            }
        }
        try await BareGateway.run(materials("1", ["a", "b"])) { gateway in
            let client = try await offThread { try BlockingSocket.connect(gateway.ports["b"] ?? 0) }
            let before = await gateway.gateway.listeners[1]
            #expect(await Patience.wait { before.counts.connections == 1 ? true : nil } != nil)
            _ = try await gateway.gateway.reload(materials("2", ["a"]))
            let head = try await offThread {
                try client.send(openingRequest("/echo"))
                return try client.receiveHead()
            }
            #expect(head.hasPrefix("HTTP/1.1 404"), "\(head)")
            client.close()
        }
    }

    private final class Said: Sendable {
        let words = Mutex<String?>(nil)
    }

    @Test("a gateway that hangs keeps its Unix domain socket, and keeps nobody waiting who wants it")
    func hanging() async throws {
        let path = "/tmp/khp-\(UUID().uuidString.prefix(8)).sock"
        let address = try SocketAddress(unixDomainSocketPath: path)
        let listening = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let isListening = address.withSockAddr { pointer, size in
            bind(listening, pointer, socklen_t(size)) == 0 && listen(listening, 0) == 0
        }
        #expect(isListening)
        defer { unlink(path) }
        // Its queue is full.
        let waiting = (0..<2).map { _ in socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0) }
        for descriptor in waiting {
            _ = address.withSockAddr { pointer, size in systemConnect(descriptor, pointer, socklen_t(size)) }
        }
        let said = Said()
        let start = Task {
            try await offThread {
                do {
                    _ = try ListeningSocket(.unix(path: path))
                    said.words.withLock { $0 = "it was taken away" }
                } catch {
                    said.words.withLock { $0 = (error as? ListeningSocket.Failure)?.words ?? "\(error)" }
                }
            }
        }
        let words = await Patience.wait { said.words.withLock { $0 } }
        #expect(words == "cannot listen on unix:\(path): the address is in use")
        for descriptor in waiting + [listening] { close(descriptor) }
        try await start.value
    }
}

/// A static function of the suite has the name of the system's.
private func systemConnect(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ size: socklen_t) -> CInt {
    connect(descriptor, address, size)
}
