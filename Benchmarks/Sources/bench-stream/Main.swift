// One very large message each way between our client and our server, in chunks: what the process needs at the most.

import KHPClient
import KHPServer
import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

@main
struct BenchStream {
    static let usage = """
        usage: bench-stream MEBIBYTES [--deflate]

        A client streams one message of so many MiB to a server in the same process, and then takes one from it. Prints
        "BEFORE PEAK AFTER" in KiB: the process's memory before, at the most meanwhile, and behind it (Linux).

        """

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let mebibytes = arguments.first.flatMap({ Int($0) }), mebibytes > 0,
            arguments.dropFirst().allSatisfy({ $0 == "--deflate" })
        else {
            _ = write(2, self.usage, self.usage.utf8.count)
            exit(64)
        }
        let extensions: [any WebSocketExtension] = arguments.contains("--deflate") ? [PerMessageDeflate()] : []
        var limits = Endpoint.Limits()
        limits.messages.messageBytes = (mebibytes + 1) << 20
        limits.messages.fragments = .max
        let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
            Endpoint("/", options: .init(extensions: extensions, limits: limits, delivery: .chunks)) { socket in
                var count = 0
                for try await chunk in socket.chunks {
                    count += chunk.bytes.readableBytes
                    if chunk.isLast { break }
                }
                guard count == mebibytes << 20 else { fatalError("\(count) bytes came") }
                try await self.stream(mebibytes, to: socket)
            }
        }
        let serving = Task { try await server.run() }
        var configuration = WebSocketClient.Configuration()
        configuration.limits.messages = limits.messages
        configuration.delivery = .chunks
        configuration.extensions = extensions
        let port = try await server.boundPort() ?? 0
        try await WebSocketClient(configuration: configuration)
            .withConnection(to: "ws://127.0.0.1:\(port)/") { socket in
                let before = self.kibibytes("VmRSS:")
                try await self.stream(mebibytes, to: socket)
                var count = 0
                for try await chunk in socket.chunks {
                    count += chunk.bytes.readableBytes
                    if chunk.isLast { break }
                }
                guard count == mebibytes << 20 else { fatalError("\(count) bytes came back") }
                print(before, self.kibibytes("VmHWM:"), self.kibibytes("VmRSS:"))
            }
        serving.cancel()
        _ = try? await serving.value
    }

    /// A message of text that compresses to a fifth or so, each piece made anew.
    private static func stream(_ mebibytes: Int, to socket: WebSocket) async throws {
        try await socket.stream(.binary) { stream in
            for number in 0..<(mebibytes * 16) { try await stream.write(self.piece(number)) }
        }
    }

    /// 64 KiB.
    private static func piece(_ number: Int) -> ByteBuffer {
        var piece = ByteBufferAllocator().buffer(capacity: 65_536 + 128)
        var random = UInt32(truncatingIfNeeded: number) &* 2_654_435_761 | 1
        while piece.readableBytes < 65_536 {
            random ^= random << 13
            random ^= random >> 17
            random ^= random << 5
            piece.writeStaticString("{\"type\":\"quote\",\"symbol\":\"EURUSD\",\"bid\":")
            piece.writeInteger(UInt64(random) | 0x3030_3030_3030_3030)
            piece.writeStaticString(",\"ask\":1.0813,\"size\":100000},")
        }
        return piece.getSlice(at: 0, length: 65_536) ?? piece
    }

    /// A line of /proc/self/status; 0 where there is none.
    private static func kibibytes(_ name: String) -> Int {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, CInt(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.hasPrefix(name) { return Int(text.filter(\.isNumber)) ?? 0 }
        }
        return 0
    }
}
