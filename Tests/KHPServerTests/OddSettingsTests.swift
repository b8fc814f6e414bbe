// Each bound of a server and of a client at values that make no sense, alone, with one connection in memory. A number that
// is counted with unchecked would end the process.

import KHPClient
import KHPServer
import KHPTesting
import NIOCore
import TestSupport
import Testing

@Suite("A bound at any value stops no process (threat H1)")
struct OddSettingsTests {
    private typealias Server = WebSocketServer.Configuration
    private typealias Client = WebSocketClient.Configuration

    private static let numbers = [0, 1, -1, Int.max]
    private static let times: [Duration] = [.zero, .nanoseconds(1), .seconds(-1), .seconds(Int64.max)]

    private static var server: Server { Server(address: .hostname("127.0.0.1", port: 0)) }

    private static var client: Client {
        var client = Client()
        client.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
        return client
    }

    /// A redirect, a login and a message there and back. A refusal will do, and so will an end that comes early.
    private static func connect(_ server: Server, _ client: Client) async throws {
        let authentication = ServerAuthentication(realm: "desk", .basic { $1 == "welcome" ? Principal($0) : nil })
        let pipe = try EndpointPipe(configuration: server) {
            Endpoint("/old") { _ in .redirect(to: "/desk") }
            Endpoint("/desk", options: .init(authentication: authentication)) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        }
        let peer = try SocketAddress(ipAddress: "203.0.113.9", port: 1)
        _ = try? await pipe.client(client, from: peer).withConnection(to: "ws://example.com/old") { socket in
            try await socket.send("hello")
            _ = try await socket.receive()
        }
        await pipe.shutDown()
    }

    @Test("each limit of a server")
    func serverLimits() async throws {
        let rows: [WritableKeyPath<Server, Int>] = [
            \.limits.lineBytes, \.limits.headBytes, \.limits.headerCount, \.limits.extendedHeadBytes,
            \.limits.bodyBytes, \.limits.wrongAnswers, \.limits.messages.messageBytes, \.limits.messages.fragments,
            \.limits.messages.controlFrameBurst, \.limits.messages.controlFramesPerSecond,
            \.limits.inboundQueueMessages, \.limits.inboundQueueBytes, \.limits.sendBufferHighMark,
            \.limits.sendBufferLowMark, \.limits.wrongAnswersPerAddress, \.limits.credentialChecksPerAddress,
            \.limits.credentialChecks, \.limits.credentialChecksWaiting, \.limits.connections,
            \.limits.pendingHandshakes, \.limits.pendingHandshakesPerAddress,
        ]
        let members = Mirror(reflecting: WebSocketServer.Limits()).children.count
        #expect(rows.count == members - 1 + Mirror(reflecting: MessageLimits()).children.count)
        for row in rows {
            for number in Self.numbers {
                var server = Self.server
                server[keyPath: row] = number
                try await Self.connect(server, Self.client)
            }
        }
    }

    @Test("each time of a server")
    func serverTimes() async throws {
        let rows: [WritableKeyPath<Server, Duration>] = [
            \.timeouts.opening, \.timeouts.extended, \.timeouts.processing, \.timeouts.replay,
            \.timeouts.wrongAnswerWindow, \.timeouts.stalledWrite, \.timeouts.closeHold, \.timeouts.close,
            \.keepAlive.pongTimeout, \.gracefulShutdownTimeout, \.drainDuration,
        ]
        let optional: [WritableKeyPath<Server, Duration?>] = [
            \.timeouts.message, \.keepAlive.pingInterval, \.keepAlive.idleTimeout,
        ]
        for time in Self.times {
            for row in rows {
                var server = Self.server
                server[keyPath: row] = time
                try await Self.connect(server, Self.client)
            }
            for row in optional {
                var server = Self.server
                server[keyPath: row] = time
                try await Self.connect(server, Self.client)
            }
        }
    }

    @Test("each limit of a client, with the Kaazing legacy exchange and without")
    func clientLimits() async throws {
        let rows: [WritableKeyPath<Client, Int>] = [
            \.limits.lineBytes, \.limits.headBytes, \.limits.headerCount, \.limits.extendedHeadBytes,
            \.limits.bodyBytes, \.limits.challengeRounds, \.limits.messages.messageBytes,
            \.limits.messages.fragments, \.limits.messages.controlFrameBurst,
            \.limits.messages.controlFramesPerSecond, \.limits.inboundQueueMessages, \.limits.inboundQueueBytes,
            \.limits.sendBufferHighMark, \.limits.sendBufferLowMark, \.redirects.limit,
        ]
        let members = Mirror(reflecting: WebSocketClient.Limits()).children.count
        #expect(rows.count == members + Mirror(reflecting: MessageLimits()).children.count)
        for (index, row) in rows.enumerated() {
            for number in Self.numbers {
                var client = Self.client
                client[keyPath: row] = number
                client.extended.kaazingLegacy = index % 2 == 0
                try await Self.connect(Self.server, client)
            }
        }
    }

    @Test("each time of a client")
    func clientTimes() async throws {
        let rows: [WritableKeyPath<Client, Duration>] = [
            \.timeouts.total, \.timeouts.connect, \.timeouts.opening, \.timeouts.extended, \.timeouts.processing,
            \.timeouts.challenge, \.timeouts.stalledWrite, \.timeouts.closeHold, \.timeouts.close,
            \.keepAlive.pongTimeout,
        ]
        let optional: [WritableKeyPath<Client, Duration?>] = [
            \.timeouts.message, \.keepAlive.pingInterval, \.keepAlive.idleTimeout,
        ]
        for time in Self.times {
            for row in rows {
                var client = Self.client
                client[keyPath: row] = time
                try await Self.connect(Self.server, client)
            }
            for row in optional {
                var client = Self.client
                client[keyPath: row] = time
                try await Self.connect(Self.server, client)
            }
        }
    }

    @Test("a client over TCP has marks that its socket takes")
    func clientMarks() async throws {
        let rows: [WritableKeyPath<Client, Int>] = [\.limits.sendBufferHighMark, \.limits.sendBufferLowMark]
        try await withServer {
            echo()
        } body: { port in
            for row in rows {
                for number in Self.numbers {
                    var client = Client()
                    client[keyPath: row] = number
                    let url = "ws://127.0.0.1:\(port)/echo"
                    try await WebSocketClient(configuration: client).withConnection(to: url) { socket in
                        try await socket.send("hello")
                        let answer = try await socket.receive()
                        #expect(answer == .text("hello"))
                    }
                }
            }
        }
    }
}
