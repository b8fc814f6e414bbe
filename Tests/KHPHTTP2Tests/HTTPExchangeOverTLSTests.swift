import Foundation
import HTTPTypes
import KHPClient
import KHPHTTP2
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Ordinary HTTP over TLS, to curl and to streams of HTTP/2", .serialized)
struct HTTPExchangeOverTLSTests {
    private static let program = "/usr/bin/curl"

    /// The output of curl.
    private func curl(_ arguments: [String], input: String = "") async throws -> String {
        let certificates = try Certificates.shared.get()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program)
        process.arguments =
            ["--silent", "--show-error", "--max-time", "10", "--cacert", certificates.authority] + arguments
        let (output, sink) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = output
        process.standardInput = sink
        try process.run()
        return try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                sink.fileHandleForWriting.write(Data(input.utf8))
                try? sink.fileHandleForWriting.close()
                let printed = output.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                continuation.resume(returning: String(decoding: printed, as: UTF8.self))
            }
        }
    }

    private func serving(_ body: (_ url: String) async throws -> Void) async throws {
        try await withHTTP2Server {
            $0.serveHTTP = { exchange in
                switch exchange.request.path {
                case "/count":
                    var count = 0
                    for try await piece in exchange.body { count += piece.readableBytes }
                    try await exchange.respond(.init(status: .ok), "\(count)\n")
                case "/pieces":
                    try await exchange.respond(.init(status: .ok)) { writer in
                        for number in 0..<200 {
                            try await writer.write("\(number) " + String(repeating: "x", count: 996))
                        }
                    }
                case "/refuse":
                    throw HandshakeResponse.refuse(403, "no\n")
                default:
                    try await exchange.respond(.text("secure \(exchange.isSecure)\n"))
                }
            }
        } endpoints: {
            echo()
        } body: { url in
            try await body(url.replacing("wss:", with: "https:"))
        }
    }

    @Test(
        "curl takes responses, sends content, waits for 100, and keeps its connection",
        .enabled(if: FileManager.default.isExecutableFile(atPath: Self.program)),
        arguments: ["--http1.1", "--http2"]
    )
    private func curls(_ version: String) async throws {
        try await self.serving { url in
            #expect(try await self.curl([version, url + "/"]) == "secure true\n")
            let pieces = try await self.curl([version, url + "/pieces"])
            #expect(pieces.utf8.count > 199_000 && pieces.hasPrefix("0 x") && pieces.hasSuffix("x"))
            let content = String(repeating: "y", count: 300_000)
            let chunked = ["-T", "-", "-H", "Expect: 100-continue"]
            #expect(try await self.curl([version] + chunked + [url + "/count"], input: content) == "300000\n")
            let known = ["--data-binary", "@-", "-H", "Expect: 100-continue"]
            #expect(try await self.curl([version] + known + [url + "/count"], input: content) == "300000\n")
            let head = try await self.curl([version, "--head", url + "/pieces"])
            #expect(head.contains(" 200") && !head.contains("xxx"))
            let refused = try await self.curl(
                [version] + known + ["-w", "%{http_code}", url + "/refuse"],
                input: content
            )
            #expect(refused == "no\n403")
            let connects = ["-w", "%{num_connects} "]
            let three = try await self.curl([version] + connects + [url + "/1", url + "/2", url + "/3"])
            #expect(three.filter { "01".contains($0) } == "100", "\(three)")
        }
    }

    @Test("a reset stream cancels its task, and others of the connection go on")
    func reset() async throws {
        let ends = Mutex(0)
        try await withHTTP2Server {
            $0.serveHTTP = { exchange in
                guard exchange.request.path == "/wait" else { return try await exchange.respond(.text("fine")) }
                defer { ends.withLock { $0 += 1 } }
                try await Task.sleep(for: .seconds(60))
            }
        } endpoints: {
            echo()
        } body: { url in
            try await StreamPeer.connected(to: Int(url.split(separator: ":").last ?? "") ?? 0) { peer in
                await peer.awaitSettings()
                let waiting = try await peer.get("/wait")
                let fine = await (try peer.get("/")).answer()
                #expect(fine.status == "200" && String(buffer: fine.content) == "fine" && fine.isWhole)
                try? await waiting.channel.close()
                for _ in 0..<500 where ends.withLock({ $0 }) == 0 { try await Task.sleep(for: .milliseconds(10)) }
                #expect(ends.withLock { $0 } == 1)
                let socket = try await peer.open("/echo")
                #expect(await socket.answer(count: 0).status == "200")
                #expect(await (try peer.get("/")).answer().status == "200")
            }
        }
    }

    @Test("a stream ends behind its request, and the response takes as long as it takes")
    func slowResponse() async throws {
        let halfClosedTime = Duration.milliseconds(10)
        try await withHTTP2Server {
            $0.httpLimits.halfClosedTime = halfClosedTime
            $0.serveHTTP = { exchange in
                try await Task.sleep(for: halfClosedTime * 5)
                try await exchange.respond(.text("fine"))
            }
        } endpoints: {
            echo()
        } body: { url in
            try await StreamPeer.connected(to: Int(url.split(separator: ":").last ?? "") ?? 0) { peer in
                await peer.awaitSettings()
                let answer = await (try peer.get("/")).answer()
                #expect(answer.status == "200" && String(buffer: answer.content) == "fine" && answer.isWhole)
            }
        }
    }

    /// More than a window of a stream, and less than a server keeps unsent before it waits.
    private static let large = String(repeating: "x", count: 70_000)

    private func largeResponses(stalled: Duration, window: Int = 65_535, _ body: (StreamPeer) async throws -> Void)
        async throws
    {
        try await withHTTP2Server {
            $0.timeouts.stalledWrite = stalled
            $0.serveHTTP = { exchange in
                let status: HTTPResponse.Status = exchange.request.method == .post ? .forbidden : .ok
                try await exchange.respond(.init(status: status), Self.large)
            }
        } endpoints: {
            echo()
        } body: { url in
            let port = Int(url.split(separator: ":").last ?? "") ?? 0
            try await StreamPeer.connected(to: port, window: window) { peer in
                await peer.awaitSettings()
                try await body(peer)
            }
        }
    }

    @Test(
        "a complete response that nobody takes is given up, and its stream reset (threat A23)",
        .timeLimit(.minutes(1))
    )
    func untaken() async throws {
        try await self.largeResponses(stalled: .milliseconds(300)) { peer in
            let stream = try await peer.get("/", reads: false)
            // The end of its frames is the reset.
            let answer = await stream.answer()
            #expect(!answer.isWhole)
            #expect(await (try peer.get("/")).answer().isWhole)
        }
    }

    @Test("a refusal that nobody takes is given up as well (threat A21)", .timeLimit(.minutes(1)))
    func untakenRefusal() async throws {
        try await self.largeResponses(stalled: .milliseconds(300), window: 0) { peer in
            let fields = [(":method", "GET"), (":scheme", "gopher"), (":path", "/"), (":authority", "localhost")]
            let answer = await (try peer.ask(fields, endStream: true)).answer()
            #expect(answer.status == "400" && !answer.isWhole)
        }
    }

    @Test("a response to a request that goes on is whole, however slowly it is taken", .timeLimit(.minutes(1)))
    func slowlyTaken() async throws {
        try await self.largeResponses(stalled: .seconds(20)) { peer in
            let fields = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")]
            let stream = try await peer.ask(fields, reads: false)
            // Longer than a client is listened to behind a response that has left.
            try await Task.sleep(for: .milliseconds(1_200))
            try await stream.channel.setOption(.autoRead, value: true).get()
            stream.channel.read()
            let answer = await stream.answer()
            #expect(answer.status == "403" && answer.content.readableBytes == Self.large.utf8.count && answer.isWhole)
        }
    }
}
