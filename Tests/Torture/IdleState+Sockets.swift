// Idle states of open sockets, of ends, and of listeners.

import KHPProtocol
import KHPServer
import NIOCore
import TestSupport

@testable import KHPClient

extension IdleState {
    static let openSockets: [IdleState] = [
        IdleState(name: "open and idle") { measure in
            try await IdleServer.run { server in
                try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(server.port)/echo") { socket in
                    try await socket.send("hi")
                    _ = try await socket.receive()
                    await measure([server.has(1)])
                    // It is open still.
                    try await socket.send("hi")
                    _ = try await socket.receive()
                }
            }
        },
        IdleState(name: "paused reading, and a sender that waits") { measure in
            let marks = Marks()
            try await IdleServer.run([Endpoint("/") { _ in await marks.wait("open") }], isWatched: true) { server in
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(server.port)/")
                let sending = PendingCall {
                    let bytes = ByteBuffer(repeating: 7, count: 100_000)
                    while true {
                        try await socket.send(bytes)
                        marks.note("messages")
                    }
                }
                await measure([
                    server.has(1), server.wire.isPaused, marks.standstill(of: "messages"), sending.waits,
                ])
                await sending.cancel()
            }
        },
        // An end of the stream that comes is seen at once, with all that came before it, also where reading is paused.
        IdleState(name: "the peer has ended its stream, and its messages are not taken") { measure in
            let marks = Marks()
            try await IdleServer.run([Endpoint("/") { _ in await marks.wait("open") }], isWatched: true) { server in
                try await BlockingSocket.peer(at: server.port, saying: openingRequest("/")) { peer in
                    try await offThread {
                        for _ in 0..<20 { try peer.send(maskedFrame(2, Array(repeating: 7, count: 60_000))) }
                        peer.finish()
                    }
                    await measure([server.has(1), server.wire.hasClosed, marks.sign("open")])
                }
            }
        },
        IdleState(name: "the pause before the next connect") { measure in
            let marks = Marks()
            var policy = ReconnectPolicy()
            policy.initialDelay = .seconds(20)
            policy.maximumDelay = .seconds(20)
            var configuration = WebSocketClient.Configuration()
            configuration.observe = { event, _ in
                if case .reconnecting = event { marks.note("the pause has begun") }
            }
            let client = WebSocketClient(configuration: configuration)
            let connect = PendingCall { [policy] in
                try await client.withReconnection(to: "ws://127.0.0.1:1/", policy: policy) { _ in }
            }
            await measure([marks.sign("the pause has begun"), connect.waits])
            await connect.cancel()
        },
    ]

    static let ends: [IdleState] = [
        IdleState(name: "closing, server; the peer does not answer") { measure in
            try await IdleServer.run([Endpoint("/") { _ in }]) { server in
                try await BlockingSocket.peer(at: server.port, saying: openingRequest("/")) { peer in
                    let close = try await peer.received(4)
                    await measure([Sign("the peer has got 1000") { close == [0x88, 2, 3, 0xE8] }, server.has(1)])
                }
            }
        },
        IdleState(name: "closing, client; the peer does not answer") { measure in
            try await RawListener.run { heard in
                let head = String(buffer: heard)
                guard head.hasSuffix("\r\n\r\n") else { return ByteBuffer() }
                let key = head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") } ?? ""
                let lines = [
                    "HTTP/1.1 101 X", "Upgrade: websocket", "Connection: Upgrade",
                    "Sec-WebSocket-Accept: \(acceptValue(for: String(key.dropFirst(19))))", "", "",
                ]
                return ByteBuffer(string: lines.joined(separator: "\r\n"))
            } body: { listener in
                var configuration = WebSocketClient.Configuration()
                configuration.timeouts.close = .seconds(2) * Sanitizer.patience
                let socket = try await WebSocketClient(configuration: configuration)
                    .connect(to: "ws://127.0.0.1:\(listener.port)/")
                let close = PendingCall { _ = try await socket.close() }
                let frame = listener.hears("a close frame") {
                    // 1000, masked, behind all else.
                    $0.readableBytes > 8 && $0.getInteger(at: $0.writerIndex - 8) == UInt16(0x8882)
                }
                await measure([frame, close.waits])
                await close.cancel()
            }
        },
        IdleState(name: "draining; a peer does not answer") { measure in
            try await IdleServer.run {
                $0.gracefulShutdownTimeout = .seconds(5) * Sanitizer.patience
            } body: { server in
                try await BlockingSocket.peer(at: server.port, saying: openingRequest("/echo")) { peer in
                    let drain = PendingCall { await server.drain() }
                    let close = try await peer.received(4)
                    let sign = Sign("the peer has got 1001") { close == [0x88, 2, 3, 0xE9] }
                    await measure([sign, server.has(1), drain.waits])
                }
            }
        },
        IdleState(name: "lingering behind a refusal") { measure in
            try await IdleServer.run { server in
                let request = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome of it"
                try await BlockingSocket.peer(at: server.port, saying: request) { peer in
                    let end = try await offThread { peer.receiveAll().end }
                    await measure([Sign("the peer has all") { end == .orderly }, server.has(1, isBrief: true)])
                }
            }
        },
        IdleState(name: "a peer has ended its stream, and an answer is made") { measure in
            let marks = Marks()
            try await IdleServer.run(
                [
                    Endpoint("/") { _ in
                        await marks.wait("the request is with the endpoint")
                        return .complete()
                    }
                ],
                isWatched: true
            ) { server in
                try await BlockingSocket.peer(at: server.port, saying: openingRequest("/"), answered: false) { peer in
                    peer.finish()
                    await measure([
                        marks.sign("the request is with the endpoint"), server.wire.hasEnded, server.has(1),
                    ])
                }
            }
        },
    ]

    static let listeners: [IdleState] = [
        IdleState(name: "listening") { measure in
            try await IdleServer.run { server in
                await measure([server.has(0)])
                // It listens.
                try await BlockingSocket.peer(at: server.port, saying: openingRequest("/echo")) { _ in }
            }
        },
        IdleState(name: "listening, without descriptors for those who come") { measure in
            try await IdleServer.run { server in
                // The client's descriptor is there before.
                let client = try BlockingSocket.unconnected()
                defer { client.close() }
                try await Descriptors.withoutFreeOnes {
                    try client.connect(to: server.port)
                    await measure([server.logs("cannot accept connections"), server.has(0)])
                }
            }
        },
    ]
}
