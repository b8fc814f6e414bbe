// The relay before a backend that ends, breaks off, hangs or is slow: no byte is lost, doubled or torn, and each end says why.

import CommandTestSupport
import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("The relay of a session", .timeLimit(.minutes(1)))
struct RelaySessionTests {
    /// Bytes that tell their place.
    private static func pattern(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
    }

    private static func bytes(_ message: WebSocketMessage) -> [UInt8] {
        switch message {
        case .binary(let bytes): Array(bytes.readableBytesView)
        case .text(let text): Array(text.utf8)
        }
    }

    /// All that comes until the socket closes.
    private static func all(_ socket: WebSocket) async throws -> [UInt8] {
        var all: [UInt8] = []
        for try await message in socket.messages { all += Self.bytes(message) }
        return all
    }

    /// Around each bound of a buffer.
    static let sizes = [0, 1, 4095, 4096, 4097, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 300_000]

    @Test("every byte of the backend arrives before its FIN, as 1000", arguments: Self.sizes)
    func fin(_ count: Int) async throws {
        _ = try await BlockingSocket.serving { socket in
            try socket.send(Self.pattern(count))
            socket.finish()
            return socket.receiveAll().end
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                #expect(try await Self.all(socket) == Self.pattern(count))
                let info = try await socket.closed()
                #expect(info.code == .normalClosure)
                let ended = try #require(await view.ends.next())
                #expect(ended.end == .backendFin)
                #expect(ended.tally.outBytes == count)
            }
        }
    }

    @Test("every byte of the backend arrives before its reset, as 1014", arguments: [1, 4096, 16_385])
    func reset(_ count: Int) async throws {
        _ = try await BlockingSocket.serving { socket in
            try socket.send(Self.pattern(count))
            // The client has it all, and says so.
            _ = try socket.receive()
            socket.reset()
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                var all: [UInt8] = []
                for try await message in socket.messages {
                    all += Self.bytes(message)
                    if all.count == count { try await socket.send("go") }
                }
                #expect(all == Self.pattern(count))
                #expect(try await socket.closed().code == .badGateway)
                let ended = try #require(await view.ends.next())
                #expect(ended.end.cause == .backendReset)
                #expect(ended.end.party == .backend)
            }
        }
    }

    @Test("every byte of a client arrives before its close, as FIN", arguments: Self.sizes)
    func clientCloses(_ count: Int) async throws {
        let (served, _) = try await BlockingSocket.serving { socket in
            socket.receiveAll()
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                try await socket.send(ByteBuffer(bytes: Self.pattern(count)))
                try await socket.close(code: .normalClosure, reason: "enough")
                let ended = try #require(await view.ends.next())
                #expect(ended.end == SessionEnd(.client, .clientClose, .normalClosure, "enough"))
                #expect(ended.tally.inBytes == count)
                #expect(ended.tally.inMessages == 1)
            }
        }
        #expect(served.bytes == Self.pattern(count))
        #expect(served.end == .orderly)
    }

    @Test("a message above the buffer reaches a slow backend in pieces, whole")
    func slowBackend() async throws {
        let count = 1_000_000
        let (served, _) = try await BlockingSocket.serving(receiveBuffer: 4096) { socket in
            // A slow reader is what it is about.
            socket.receiveAll { _ in usleep(20) }
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                try await socket.send(ByteBuffer(bytes: Self.pattern(count)))
                try await socket.close()
                let ended = try #require(await view.ends.next())
                #expect(ended.end.cause == .clientClose)
            }
        }
        #expect(served.bytes == Self.pattern(count))
        #expect(served.end == .orderly)
    }

    @Test("a client's bytes that a slow backend has not received yet outlive the time that it may go on for")
    func slowBackendOutlivesItsTime() async throws {
        let count = 1_000_000
        let (served, _) = try await BlockingSocket.serving(receiveBuffer: 4096) { socket in
            // Its client has long closed, and the system here holds what it sent.
            usleep(300_000)
            return socket.receiveAll()
        } body: { port in
            try await withService(backends: [.local(port)]) {
                _ in
            } rules: {
                $0.relay.halfClose = .milliseconds(50)
            } body: { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                try await socket.send(ByteBuffer(bytes: Self.pattern(count)))
                try await socket.close()
                #expect(try #require(await view.ends.next()).end.cause == .clientClose)
            }
        }
        #expect(served.bytes == Self.pattern(count))
        #expect(served.end == .orderly)
    }

    @Test("a backend that answers what it gets is answered for, message by message", arguments: [1, 4096, 65_537])
    func echoes(_ count: Int) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound { try await outbound.write(bytes) }
            }
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                for _ in 0..<5 {
                    try await socket.send(ByteBuffer(bytes: Self.pattern(count)))
                    var answer: [UInt8] = []
                    while answer.count < count { answer += Self.bytes(try await socket.receive()) }
                    #expect(answer == Self.pattern(count))
                }
                try await socket.close()
            }
        }
    }

    @Test("a client that leaves without a close is FIN to the backend, behind what it has said")
    func clientLost() async throws {
        let (served, _) = try await BlockingSocket.serving { socket in
            socket.receiveAll()
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let client = try BlockingSocket.connect(view.port)
                try client.send(openingRequest("/x"))
                try await offThread {
                    _ = try client.receiveHead()
                    // A masked message "hi", with a mask of zeros.
                    try client.send([0x82, 0x82, 0, 0, 0, 0, 0x68, 0x69])
                    client.close()
                }
                let ended = try #require(await view.ends.next())
                #expect(ended.end.cause == .clientLost)
            }
        }
        #expect(served.bytes == Array("hi".utf8))
        #expect(served.end == .orderly)
    }

    @Test(
        "a client that breaks the protocol, or a bound, is a reset to the backend",
        arguments: [[0x83, 0x80, 0, 0, 0, 0], [0x82, 0xFF, 0, 0, 0, 0, 0x7F, 0, 0, 0, 0, 0, 0, 0]] as [[UInt8]]
    )
    func cut(_ frame: [UInt8]) async throws {
        let (served, _) = try await BlockingSocket.serving { socket in
            socket.receiveAll()
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let client = try BlockingSocket.connect(view.port)
                try client.send(openingRequest("/x"))
                try await offThread {
                    _ = try client.receiveHead()
                    try client.send([0x82, 0x82, 0, 0, 0, 0, 0x68, 0x69] + frame)
                    _ = client.receiveAll()
                    client.close()
                }
                let ended = try #require(await view.ends.next())
                #expect([.protocolViolation, .messageTooBig].contains(ended.end.cause))
            }
        }
        #expect(served.bytes == Array("hi".utf8))
        #expect(served.end == .reset)
    }

    @Test("a client that takes nothing is ended in time, and its backend reset")
    func stalledClient() async throws {
        let (served, _) = try await BlockingSocket.serving { socket in
            let bytes = [UInt8](repeating: 7, count: 65_536)
            var sent = 0
            // Until the gateway takes no more, and then the reset.
            while sent < 256 * 1024 * 1024, (try? socket.send(bytes)) != nil { sent += bytes.count }
            return sent
        } body: { port in
            try await withService(backends: [.local(port)], rules: { $0.relay.stalled = .milliseconds(300) }) { view in
                let client = try BlockingSocket.connect(view.port, receiveBuffer: 4096)
                try client.send(openingRequest("/x"))
                _ = try await offThread { try client.receiveHead() }
                // Its own pings and close would still be read: it is the reading that stands still.
                let ended = try #require(await Self.ended(view, client))
                #expect(ended.end == .stalled(.client, .milliseconds(300)))
            }
        }
        #expect(served < 64 * 1024 * 1024)
    }

    /// The next end of a session, with a client that must not be let go before.
    private static func ended(_ view: ServiceView, _ client: BlockingSocket) async -> EndedSession? {
        // The close frame waits behind what is not read: the client goes after the session has been cut, which nobody tells
        // before it has gone.
        async let ended = view.ends.next()
        try? await Task.sleep(for: .milliseconds(900))
        client.close()
        return await ended
    }

    @Test("a backend that takes nothing is ended in time, with a reason that says so")
    func stalledBackend() async throws {
        let isTold = ThreadFlag()
        _ = try await BlockingSocket.serving(receiveBuffer: 4096) { _ in
            // It reads nothing until the client has been told.
            isTold.wait()
        } body: { port in
            defer { isTold.raise() }
            try await withService(backends: [.local(port)], rules: { $0.relay.stalled = .milliseconds(300) }) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                let sending = Task {
                    while true { try await socket.send(ByteBuffer(repeating: 1, count: 65_536)) }
                }
                let info = try await socket.closed()
                #expect(info.code == .policyViolation)
                #expect(info.reason == "the backend took nothing for 0.3 s")
                sending.cancel()
                let ended = try #require(await view.ends.next())
                #expect(ended.end == .stalled(.backend, .milliseconds(300)))
            }
        }
    }

    @Test("a backend that takes nothing is ended with the same reason where all that waits is in the system's hands")
    func stalledSystem() async throws {
        _ = try await BlockingSocket.serving(receiveBuffer: 4096) { socket in
            usleep(2_000_000)
        } body: { port in
            try await withService(backends: [.local(port)], rules: { $0.relay.stalled = .milliseconds(600) }) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                try await socket.send(ByteBuffer(repeating: 1, count: 100_000))
                let info = try await socket.closed()
                #expect(info.code == .policyViolation)
                let ended = try #require(await view.ends.next())
                #expect(ended.end == .stalled(.backend, .milliseconds(600)))
            }
        }
    }

    @Test("a backend may answer a client that has closed, for a while")
    func halfClose() async throws {
        let (served, _) = try await BlockingSocket.serving { socket in
            let before = socket.receiveAll()
            // It goes on: nobody hears it, and nobody cuts it before its time.
            try socket.send(Self.pattern(1000))
            socket.finish()
            return (before.end, socket.receiveAll().end)
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                try await socket.send("bye")
                try await socket.close()
                _ = await view.ends.next()
            }
        }
        #expect(served.0 == .orderly)
        #expect(served.1 == .orderly)
    }

    @Test("text is cut where characters end, and what is none ends the session with 1011")
    func text() async throws {
        let word = "Grüße, 世界 🎈"
        _ = try await BlockingSocket.serving { socket in
            for byte in word.utf8 {
                try socket.send([byte])
                // So that each byte most likely makes a read of its own: nobody tells that one has been made.
                usleep(200)
            }
            // The client has it.
            _ = try socket.receive()
            try socket.send([0x61, 0xC3, 0x28])
            return socket.receiveAll().end
        } body: { port in
            try await withService(backends: [.local(port)], frames: .text) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                var text = ""
                for try await message in socket.messages {
                    guard case .text(let piece) = message else {
                        Issue.record("a binary message")
                        break
                    }
                    text += piece
                    if text == word { try await socket.send("go") }
                }
                #expect(text == word)
                #expect(try await socket.closed().code == .internalError)
                let ended = try #require(await view.ends.next())
                #expect(ended.end == .noText)
            }
        }
    }

    @Test("with auto frames the backend's bytes are of the kind that the client has sent last")
    func auto() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound { try await outbound.write(bytes) }
            }
        } body: { port in
            try await withService(backends: [.local(port)], frames: .auto) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                try await socket.send("words")
                #expect(try await socket.receive() == .text("words"))
                try await socket.send(ByteBuffer(bytes: [0xFF]))
                #expect(try await socket.receive() == .binary(ByteBuffer(bytes: [0xFF])))
                try await socket.close()
            }
        }
    }

    @Test("idle and maxLifetime end a session, and the reason names the key")
    func timers() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        } body: { port in
            for (isIdle, reason) in [
                (true, "idle 0.2 s (services.s.idle)"), (false, "maxLifetime 0.2 s (services.s.maxLifetime)"),
            ] {
                try await withService(backends: [.local(port)], pool: { _ in }) { rules in
                    if isIdle {
                        rules.lifetime.idle = .milliseconds(200)
                    } else {
                        rules.lifetime.maximum = .milliseconds(200)
                    }
                } body: { view in
                    let socket = try await WebSocketClient().connect(to: view.url)
                    #expect(try await socket.closed().reason == reason)
                    #expect(await view.ends.next()?.end.cause == (isIdle ? .idle : .lifetime))
                }
            }
        }
    }

    @Test("an operator ends sessions by a choice, with code and reason")
    func closing() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        } body: { port in
            try await withService(backends: [.local(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                #expect(await view.sessions.totals()["s"]?.open == 1)
                #expect(await view.sessions.close(.removed) { $0.service == "other" } == 0)
                #expect(await view.sessions.close(.removed) { $0.service == "s" } == 1)
                #expect(try await socket.closed().code == .serviceRestart)
                #expect(await view.ends.next()?.end == .removed)
                let totals = try #require(await view.sessions.totals()["s"])
                #expect(totals.open == 0)
                #expect(totals.opened == 1)
                #expect(totals.ended == [EndKey(party: .gateway, cause: .removed): 1])
            }
        }
    }

    @Test("an echo service needs no backend")
    func echoService() async throws {
        try await withService(backends: [], kind: .echo) { view in
            let socket = try await WebSocketClient().connect(to: view.url)
            try await socket.send("hello")
            #expect(try await socket.receive() == .text("hello"))
            try await socket.close()
            #expect(await view.ends.next()?.tally == Tally(inBytes: 5, inMessages: 1, outBytes: 5, outMessages: 1))
        }
    }
}

@Suite("The relay to a backend that speaks WebSocket", .timeLimit(.minutes(1)))
struct WebSocketBackendTests {
    private static func backend(_ port: Int) -> GatewayConfiguration.Backend {
        GatewayConfiguration.Backend(scheme: .ws, host: "127.0.0.1", port: port, path: "/in?x=1")
    }

    @Test("messages keep their kind and size, and the client's close goes on with code and reason")
    func keeps() async throws {
        let seen = AsyncStream.makeStream(of: CloseInfo.self)
        try await withServer {
            Endpoint("/in") { socket, request in
                #expect(request.query["x"] == "1")
                #expect(request.headers[values: .init("Forwarded") ?? .from] == ["for=127.0.0.1;proto=ws"])
                for try await message in socket.messages { try await socket.send(message) }
                seen.continuation.yield(try await socket.closed())
            }
        } body: { port in
            try await withService(backends: [Self.backend(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                for message in [
                    WebSocketMessage.text("words"), .binary(ByteBuffer(repeating: 3, count: 200_000)), .text(""),
                ] {
                    try await socket.send(message)
                    #expect(try await socket.receive() == message)
                }
                try await socket.close(code: .init(rawValue: 3001), reason: "enough")
                for await info in seen.stream {
                    #expect(info.code == WebSocketCloseCode(rawValue: 3001))
                    #expect(info.reason == "enough")
                    break
                }
                #expect(await view.ends.next()?.end.cause == .clientClose)
            }
        }
    }

    @Test("the backend's close goes to the client with code and reason")
    func backendCloses() async throws {
        try await withServer {
            Endpoint("/in") { socket in
                try await socket.send("first")
                try await socket.close(code: .init(rawValue: 4001), reason: "go away")
            }
        } body: { port in
            try await withService(backends: [Self.backend(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                #expect(try await socket.receive() == .text("first"))
                let info = try await socket.closed()
                #expect(info.code == WebSocketCloseCode(rawValue: 4001))
                #expect(info.reason == "go away")
                #expect(await view.ends.next()?.end.party == .backend)
            }
        }
    }

    @Test("a backend that refuses the handshake is 502")
    func refused() async throws {
        try await withServer {
            Endpoint("/in") { _ in .refuse(403) }
        } body: { port in
            try await withService(backends: [Self.backend(port)]) { view in
                do {
                    _ = try await WebSocketClient().connect(to: view.url)
                    Issue.record("the socket opened")
                } catch let error as WebSocketError {
                    #expect(error.response?.status == 502)
                }
            }
        }
    }
}
