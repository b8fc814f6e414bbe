import CommandTestSupport
import Foundation
import KHPProtocol
import KHPServer
import NIOCore
import NIOPosix
import Testing

@testable import KHPCommand

/// How the command ends: readers that leave, outputs that cannot be written, signals, time limits. With the other tests
/// that start processes, one after the other.
extension EndToEndTests {
    /// A server that says `line 0` to `line n`, and then waits for the client.
    private func withTicker(_ lines: Int, _ body: (_ url: String) async throws -> Void) async throws {
        try await withServer {
            Endpoint("/ticks") { socket in
                for number in 0..<lines { try await socket.send("line \(number)") }
                _ = try await socket.closed()
            }
        } body: { port in
            try await body("ws://127.0.0.1:\(port)/ticks")
        }
    }

    private func readLine(_ pipe: Pipe) -> String {
        var line: [UInt8] = []
        while let byte = try? pipe.fileHandleForReading.read(upToCount: 1)?.first, byte != 0x0A { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }

    @Test(
        "a reader that leaves ends the command at once, quietly, with 0",
        arguments: [
            (["--count", "1000000"], 1_000_000), (["--json", "--count", "1000000"], 1_000_000), (["--listen"], 3),
        ]
    )
    func readerLeaves(options: [String], lines: Int) async throws {
        try await self.withTicker(lines) { url in
            let (process, pipes) = try RunningCommand.start(["connect"] + options + [url])
            for _ in 0..<3 { #expect(!self.readLine(pipes.output).isEmpty) }
            let began = ContinuousClock.now
            try pipes.output.fileHandleForReading.close()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            #expect(process.terminationReason == .exit)
            #expect(ContinuousClock.now - began < .seconds(3 * Sanitizer.patience))
            #expect(pipes.errors.fileHandleForReading.readDataToEndOfFile().isEmpty)
        }
    }

    @Test("a reader that takes its time gets every message: while it takes none, the server is not quiet")
    func slowReader() async throws {
        let line = String(repeating: "x", count: 10_000)
        try await withServer {
            Endpoint("/lines") { socket in
                _ = try await socket.receive()
                for _ in 0..<300 { try await socket.send(line) }
                _ = try await socket.closed()
            }
        } body: { port in
            let (process, pipes) = try RunningCommand.start(
                ["connect", "--message", "go", "ws://127.0.0.1:\(port)/lines"]
            )
            #expect(self.readLine(pipes.output) == line)
            // Nothing tells that the command does not close: three times as long as a server may be quiet.
            try await Task.sleep(for: .milliseconds(300))
            let rest = pipes.output.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            #expect(rest.count == 299 * (line.utf8.count + 1))
            #expect(process.terminationStatus == 0)
        }
    }

    @Test(
        "a conversation is saved in the file that is there: through links, into pipes and devices, and to a full disk"
    )
    func savedFiles() async throws {
        try await self.withTicker(0) { url in
            let folder = FileManager.default.temporaryDirectory.appending(path: "khp-saved-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let target = folder.appending(path: "target.svg").path
            try "".write(toFile: target, atomically: false, encoding: .utf8)
            let link = folder.appending(path: "link.svg").path
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
            for (option, path) in [("--save-ladder", link), ("--save-transcript", link), ("--pcap", link)] {
                let (status, _) = try self.run(["connect", option, path, "--message", "a", url], "/dev/null")
                #expect(status == 0)
                #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == target)
                #expect(try Data(contentsOf: URL(filePath: target)).count > 20, "\(option)")
            }
            #if os(Linux)
                for option in ["--save-transcript", "--pcap"] {
                    let arguments = ["connect", option, "/dev/full", "--message", "a", url]
                    let (status, errors) = try self.run(arguments, "/dev/null")
                    #expect(status == 74)
                    #expect(errors.contains("No space left on device"), "\(errors)")
                }
            #endif
        }
    }

    #if os(Linux)
        @Test("an output that cannot be written ends it with 74 and one sentence", arguments: [[], ["--json"]])
        func fullDisk(options: [String]) async throws {
            try await self.withTicker(1) { url in
                let (status, errors) = try self.run(["connect", "--listen"] + options + [url], "/dev/full")
                #expect(status == 74)
                #expect(errors == "khp: standard output cannot be written: No space left on device\n")
            }
            #expect(try self.run(["--version"], "/dev/full").status == 74)
        }
    #endif

    /// Runs to the end with a file as its standard output.
    private func run(_ arguments: [String], _ path: String) throws -> (status: Int32, errors: String) {
        let process = Process()
        let errors = Pipe()
        process.executableURL = RunningCommand.executable
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle(forWritingAtPath: path)
        process.standardError = errors
        try process.run()
        let data = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    @Test("without a standard output, what belongs there goes to no socket")
    func closedOutput() async throws {
        try await self.withTicker(1) { url in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = [
                "-c", "\"$0\" connect --listen \"$1\" >&- 2>/dev/null", RunningCommand.executable.path, url,
            ]
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 74)
        }
    }

    @Test("a second signal ends it with 128 and its number", arguments: [SIGINT, SIGTERM])
    func secondSignal(number: Int32) async throws {
        try await self.withSilentServer { port in
            let (process, pipes) = try RunningCommand.start(["connect", "--listen", "ws://127.0.0.1:\(port)/"])
            #expect(self.readLine(pipes.output) == "ready")
            kill(process.processIdentifier, number)
            #expect(self.readLine(pipes.output) == "seen")
            kill(process.processIdentifier, number)
            process.waitUntilExit()
            #expect(process.terminationReason == .exit)
            #expect(process.terminationStatus == 128 + number)
        }
    }

    @Test("--count: once all came its time limit counts no more")
    func countReached() async throws {
        try await self.withSilentServer(answersClose: true) { port in
            let ended = try await RunningCommand.run([
                "connect", "--json", "--count", "1", "--timeout", "0.4", "ws://127.0.0.1:\(port)/",
            ])
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(ended.event("close")?["code"] as? Int == 1000)
            #expect(ended.errors.isEmpty)
        }
    }

    @Test("--listen stays after the end of input until the peer closes")
    func listening() async throws {
        try await withServer {
            Endpoint("/late") { socket in
                var messages = socket.messages.makeAsyncIterator()
                _ = try await messages.next()
                // Longer than the command waits for answers without the option.
                try await Task.sleep(for: .milliseconds(400))
                try await socket.send("late")
                try await socket.close()
            }
        } body: { port in
            let url = "ws://127.0.0.1:\(port)/late"
            let ended = try await RunningCommand.run(["connect", "--listen", url], input: "subscribe\n")
            #expect(ended.status == 0, "\(ended.errors)")
            #expect(ended.output == "late\n")
        }
    }

    /// A server that opens a WebSocket, says `ready`, and then keeps the connection. To the first frame it answers with
    /// `seen`, or with its close frame and, 0.8 s later, the end.
    private func withSilentServer(answersClose: Bool = false, _ body: (_ port: Int) async throws -> Void) async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(SilentPeer(answersClose: answersClose))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { listener.close(promise: nil) }
        try await body(listener.localAddress?.port ?? 0)
    }

    private final class SilentPeer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let answersClose: Bool
        private var head = ""
        private var isOpen = false

        init(answersClose: Bool) {
            self.answersClose = answersClose
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = unwrapInboundIn(data)
            guard !self.isOpen else {
                // RFC 6455 section 5.5.1: 88 02 03E8 closes with 1000.
                let answer: [UInt8] = self.answersClose ? [0x88, 0x02, 0x03, 0xE8] : Self.text("seen")
                context.writeAndFlush(NIOAny(ByteBuffer(bytes: answer)), promise: nil)
                guard self.answersClose else { return }
                // Well behind the time limit of the test.
                let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
                context.eventLoop.scheduleTask(in: .milliseconds(800)) { bound.value.close(promise: nil) }
                return
            }
            self.head += bytes.readString(length: bytes.readableBytes) ?? ""
            guard self.head.hasSuffix("\r\n\r\n"), let line = self.head.split(separator: "Sec-WebSocket-Key: ").last
            else {
                return
            }
            self.isOpen = true
            let accept = acceptValue(for: String(line.prefix { !$0.isNewline }))
            let response =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(accept)\r\n\r\n"
            let answer = ByteBuffer(bytes: Array(response.utf8) + Self.text("ready"))
            context.writeAndFlush(NIOAny(answer), promise: nil)
        }

        private static func text(_ text: String) -> [UInt8] { [0x81, UInt8(text.utf8.count)] + Array(text.utf8) }
    }
}
