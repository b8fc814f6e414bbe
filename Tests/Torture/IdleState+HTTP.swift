// Idle states of ordinary HTTP, over HTTP/1.1 and on a stream of HTTP/2.

import HTTPTypes
import KHPHTTP2
import KHPServer
import NIOCore
import TestSupport

extension IdleState {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    private static let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome of it"

    static func serveStreams(_ configuration: inout WebSocketServer.Configuration) {
        configuration.tls = try? TortureSettings.serverTLS.get()
        configuration.http2 = .init()
    }

    private static let isWithApplication = "the request is with the application"

    /// Notes each piece of a request's body.
    private static func read(_ exchange: HTTPExchange, _ marks: Marks) async throws {
        for try await _ in exchange.body { marks.note("pieces") }
    }

    /// Writes until it is told to stop.
    private static func write(_ exchange: HTTPExchange, _ marks: Marks) async throws {
        try await exchange.respond(.init(status: .ok)) { writer in
            while true {
                try await writer.write(ByteBuffer(repeating: 7, count: 16 * 1024))
                marks.note("pieces")
            }
        }
    }

    static let exchanges: [IdleState] = [
        IdleState(name: "HTTP, the application thinks") { measure in
            for isSimple in [true, false] {
                let marks = Marks()
                try await IdleServer.run {
                    if isSimple {
                        $0.respondToHTTP = { _ in
                            await marks.wait(Self.isWithApplication)
                            return nil
                        }
                    } else {
                        $0.serveHTTP = { _ in await marks.wait(Self.isWithApplication) }
                    }
                } body: { server in
                    try await BlockingSocket.peer(at: server.port, saying: Self.get, answered: false) { _ in
                        await measure([marks.sign(Self.isWithApplication), server.has(1)])
                    }
                }
            }
        },
        IdleState(name: "HTTP, the application thinks, and the client has ended its stream") { measure in
            let marks = Marks()
            try await IdleServer.run(isWatched: true) {
                $0.serveHTTP = { _ in await marks.wait(Self.isWithApplication) }
            } body: { server in
                try await BlockingSocket.peer(at: server.port, saying: Self.get, answered: false) { peer in
                    peer.finish()
                    await measure([marks.sign(Self.isWithApplication), server.wire.hasEnded, server.has(1)])
                }
            }
        },
        IdleState(name: "HTTP, a response that nobody reads") { measure in
            let marks = Marks()
            try await IdleServer.run {
                $0.serveHTTP = { try await Self.write($0, marks) }
            } body: { server in
                try await BlockingSocket.peer(at: server.port, saying: Self.get, receiveBuffer: 4096) { _ in
                    await measure([marks.standstill(of: "pieces"), server.has(1)])
                }
            }
        },
        IdleState(name: "HTTP, a request's body that stalls") { measure in
            let marks = Marks()
            try await IdleServer.run(isWatched: true) {
                $0.serveHTTP = { try await Self.read($0, marks) }
            } body: { server in
                try await BlockingSocket.peer(at: server.port, saying: Self.post, answered: false) { _ in
                    await measure([marks.sign("pieces"), server.wire.takes(Self.post.utf8.count), server.has(1)])
                }
            }
        },
        IdleState(name: "HTTP, a request's body that nobody reads") { measure in
            let marks = Marks()
            try await IdleServer.run(isWatched: true) {
                $0.serveHTTP = { _ in await marks.wait(Self.isWithApplication) }
            } body: { server in
                let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
                try await BlockingSocket.peer(at: server.port, saying: head, answered: false) { peer in
                    try await offThread { try peer.sendUntilFull([UInt8](repeating: 7, count: 100_000)) }
                    await measure([marks.sign(Self.isWithApplication), server.wire.isPaused, server.has(1)])
                }
            }
        },
        IdleState(name: "HTTP, kept for the next request; a body is left out by its client") { measure in
            for request in [Self.get, Self.post] {
                let marks = Marks()
                try await IdleServer.run(isWatched: true) {
                    $0.serveHTTP = { exchange in
                        try await exchange.respond(.text(""))
                        marks.note("responses")
                    }
                } body: { server in
                    try await BlockingSocket.peer(at: server.port, saying: request) { _ in
                        await measure([
                            marks.sign("responses"), server.wire.takes(request.utf8.count), server.has(1),
                        ])
                    }
                }
            }
        },
        IdleState(name: "HTTP, lingering behind the last response") { measure in
            try await IdleServer.run {
                $0.respondToHTTP = { _ in .text("") }
            } body: { server in
                try await BlockingSocket.peer(at: server.port, saying: Self.get) { peer in
                    let end = try await offThread { peer.receiveAll().end }
                    await measure([Sign("the peer has all") { end == .orderly }, server.has(1, isBrief: true)])
                }
            }
        },
        IdleState(name: "HTTP on a stream, the application thinks") { measure in
            let marks = Marks()
            try await IdleServer.run {
                Self.serveStreams(&$0)
                $0.serveHTTP = { _ in await marks.wait(Self.isWithApplication) }
            } body: { server in
                try await StreamPeer.connected(to: server.port) { peer in
                    _ = try await peer.get("/")
                    await measure([marks.sign(Self.isWithApplication), server.has(1)])
                }
            }
        },
        IdleState(name: "HTTP on a stream, a response that nobody reads") { measure in
            let marks = Marks()
            try await IdleServer.run {
                Self.serveStreams(&$0)
                $0.serveHTTP = { try await Self.write($0, marks) }
            } body: { server in
                try await StreamPeer.connected(to: server.port) { peer in
                    _ = try await peer.get("/", reads: false)
                    await measure([marks.standstill(of: "pieces"), server.has(1)])
                }
            }
        },
        IdleState(name: "HTTP on a stream, a request's body that stalls") { measure in
            let marks = Marks()
            try await IdleServer.run {
                Self.serveStreams(&$0)
                $0.serveHTTP = { try await Self.read($0, marks) }
            } body: { server in
                try await StreamPeer.connected(to: server.port) { peer in
                    let fields = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "a")]
                    let stream = try await peer.ask(fields)
                    try await stream.send(ByteBuffer(string: "some of it"))
                    await measure([marks.sign("pieces"), server.has(1)])
                }
            }
        },
    ]
}
