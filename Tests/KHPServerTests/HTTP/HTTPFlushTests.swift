// When responses of ordinary HTTP leave: those to requests that came together leave together, and none waits for what its
// application does meanwhile.

import HTTPTypes
import KHPProtocol
import KHPServer
import KHPWebSocket
import NIOCore
import Synchronization
import TestSupport
import Testing

/// Counts the flushes of a channel.
private final class FlushCount: ChannelOutboundHandler, Sendable {
    typealias OutboundIn = ByteBuffer

    let count = Atomic(0)

    func flush(context: ChannelHandlerContext) {
        self.count.add(1, ordering: .relaxed)
        context.flush()
    }

    var now: Int { self.count.load(ordering: .relaxed) }
}

/// Something that a task waits for.
private struct Signal: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() { (self.stream, self.continuation) = AsyncStream.makeStream(of: Void.self) }

    func give() { self.continuation.yield() }

    func wait() async { for await _ in self.stream { return } }
}

@Suite("Flushes of ordinary HTTP") struct HTTPFlushTests {
    private static func serving(
        _ serve: @escaping @Sendable (HTTPExchange) async throws -> Void,
        body: (RawClient, FlushCount) async throws -> Void
    ) async throws {
        let flushes = FlushCount()
        try await withServer {
            $0.serveHTTP = serve
            $0.hooks = ShellHooks(prepare: { try $0.pipeline.syncOperations.addHandler(flushes) })
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await body(client, flushes)
            try? await client.close()
        }
    }

    private static func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

    /// Sends requests, and takes the bytes up to the last of the marks, which have to come in this order.
    private static func exchange(_ client: RawClient, _ requests: String, _ marks: [String]) async throws {
        if !requests.isEmpty { try await client.send(requests) }
        let received = try await client.take { bytes in
            var rest = String(buffer: bytes)[...]
            for mark in marks {
                guard let found = rest.firstRange(of: mark) else { return nil }
                rest = rest[found.upperBound...]
            }
            return bytes.readableBytes
        }
        #expect(String(buffer: received).contains(marks.last ?? ""))
    }

    @Test("the responses to requests that come together leave with one flush, on a connection's first bytes and later")
    func together() async throws {
        try await Self.serving { exchange in
            try await exchange.respond(.init(status: .ok), "<\(exchange.request.path ?? "")>")
        } body: { client, flushes in
            for round in 1...2 {
                let paths = (0..<16).map { "/\(round).\($0)" }
                try await Self.exchange(client, paths.map(Self.get).joined(), paths.map { "<\($0)>" })
                #expect(flushes.now == round)
            }
            // One of a WebSocket behind them.
            try await Self.exchange(client, Self.get("/x") + openingRequest("/echo"), ["</x>", "HTTP/1.1 101 "])
        }
    }

    @Test("more requests than one turn answers, and content among them, get all their responses in order")
    func many() async throws {
        try await Self.serving { exchange in
            var count = 0
            for try await piece in exchange.body { count += piece.readableBytes }
            try await exchange.respond(.init(status: .ok), "<\(exchange.request.path ?? "") \(count)>")
        } body: { client, _ in
            let numbers = 0..<200
            let requests = numbers.map { number in
                "POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: \(number)\r\n\r\n"
                    + String(repeating: "x", count: number)
            }
            try await Self.exchange(client, requests.joined(), numbers.map { "</\($0) \($0)>" })
        }
    }

    @Test("a response leaves before its application, or that of the next request, goes on")
    func streamed() async throws {
        let (head, piece, next) = (Signal(), Signal(), Signal())
        try await Self.serving { exchange in
            switch exchange.request.path {
            case "/streamed":
                try await exchange.respond(.init(status: .accepted)) { writer in
                    await head.wait()
                    try await writer.write("first")
                    await piece.wait()
                    try await writer.write("second")
                }
            case "/waits":
                await next.wait()
                try await exchange.respond(.init(status: .ok), "last")
            default:
                try await exchange.respond(.init(status: .ok), "whole")
            }
        } body: { client, _ in
            let requests = Self.get("/") + Self.get("/streamed") + Self.get("/") + Self.get("/waits")
            try await Self.exchange(client, requests, ["whole", "HTTP/1.1 202 "])
            head.give()
            try await Self.exchange(client, "", ["first"])
            piece.give()
            try await Self.exchange(client, "", ["second", "0\r\n\r\n", "whole"])
            next.give()
            try await Self.exchange(client, "", ["last"])
        }
    }

    @Test("a piece leaves although its application does not wait behind it")
    func pieces() async throws {
        try await Self.serving { exchange in
            try await exchange.respond(.init(status: .ok)) { writer in
                for number in 0..<3 { try await writer.write("<\(number)>") }
            }
        } body: { client, flushes in
            try await Self.exchange(client, Self.get("/"), ["<0>", "<1>", "<2>", "0\r\n\r\n"])
            // The head leaves with the first piece.
            #expect(flushes.now == 4)
        }
    }
}
