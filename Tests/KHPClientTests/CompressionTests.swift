// permessage-deflate between our client and our server over sockets, negotiated in either handshake (R-X, threats C1,
// C4).

import Foundation
import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("Compression over sockets", .serialized)
struct CompressionTests {
    private struct Setting: Sendable, CustomStringConvertible {
        var windowBits: Int
        var takeover: Bool
        var peerTakeover: Bool

        var description: String { "2^\(self.windowBits), \(self.takeover), \(self.peerTakeover)" }

        var `extension`: PerMessageDeflate {
            var deflate = PerMessageDeflate()
            deflate.windowBits = self.windowBits
            deflate.peerWindowBits = self.windowBits
            deflate.contextTakeover = self.takeover
            deflate.peerContextTakeover = self.peerTakeover
            return deflate
        }

        static let all = [8, 9, 12, 15].flatMap { bits in
            [(true, true), (true, false), (false, true), (false, false)].map { own, peer in
                Setting(windowBits: bits, takeover: own, peerTakeover: peer)
            }
        }
    }

    /// Repetitive, and long enough for every window.
    private static func text(_ size: Int) -> String {
        String(String(repeating: "{\"bid\":1.0425,\"ask\":1.0427,\"€\":true},", count: size / 38 + 1).prefix(size))
    }

    @Test(
        "all parameters, sizes and fragments come out as they went in",
        arguments: Setting.all,
        [ExtendedHandshakePolicy.required, .off]
    )
    private func combinations(setting: Setting, extended: ExtendedHandshakePolicy) async throws {
        for delivery in [MessageDelivery.messages, .chunks] {
            try await withServer {
                Endpoint("/echo", options: .init(extensions: [PerMessageDeflate()], delivery: delivery)) { socket in
                    for try await message in socket.messages { try await socket.send(message) }
                }
            } body: { port in
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = extended
                configuration.extensions = [setting.extension]
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                    let agreed = try #require(socket.negotiated.extensions.first)
                    #expect(agreed.layer == (extended == .off ? .opening : .extended))
                    #expect(agreed.parameters.contains("server_no_context_takeover") == !setting.peerTakeover)
                    #expect(agreed.parameters.contains("client_no_context_takeover") == !setting.takeover)
                    var messages = socket.messages.makeAsyncIterator()
                    for size in [0, 1, 125, 126, 5000, 65_535, 65_536, 300_000] {
                        let message = WebSocketMessage.text(Self.text(size))
                        try await socket.send(message)
                        #expect(try await messages.next() == message, "\(size)")
                        // The same in fragments, of which the last is empty.
                        guard case .text(let text) = message else { continue }
                        try await socket.stream(.text) { stream in
                            var bytes = ByteBuffer(string: text)
                            let step = max(size / 5, 1)
                            while let part = bytes.readSlice(length: min(step, bytes.readableBytes)),
                                part.readableBytes > 0
                            { try await stream.write(part) }
                        }
                        #expect(try await messages.next() == message, "\(size) in fragments")
                    }
                }
            }
        }
    }

    @Test("a message of 64 MiB streams both ways without being whole in memory")
    func streaming() async throws {
        let mebibytes = ProcessInfo.processInfo.environment["KHP_STREAM_MEBIBYTES"].flatMap { Int($0) } ?? 64
        var limits = Endpoint.Limits()
        limits.messages.messageBytes = (mebibytes + 1) << 20
        limits.messages.fragments = .max
        let messages = limits.messages
        let total = mebibytes << 20
        try await withServer {
            Endpoint("/mirror", options: .init(extensions: [PerMessageDeflate()], limits: limits, delivery: .chunks)) {
                socket in
                var chunks = 0
                for try await chunk in socket.chunks {
                    chunks += chunk.bytes.readableBytes
                    if chunk.isLast { break }
                }
                try await socket.send("\(chunks)")
                try await socket.stream(.binary) { stream in
                    for number in 0..<mebibytes { try await stream.write(Self.mebibyte(number)) }
                }
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.limits.messages = messages
            configuration.delivery = .chunks
            configuration.extensions = [PerMessageDeflate()]
            let client = WebSocketClient(configuration: configuration)
            let before = Self.resetPeak()
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/mirror") { socket in
                try await socket.stream(.binary) { stream in
                    for number in 0..<mebibytes { try await stream.write(Self.mebibyte(number)) }
                }
                var count = 0
                var messages = 0
                for try await chunk in socket.chunks {
                    if messages == 0 {
                        #expect(String(buffer: chunk.bytes) == "\(total)")
                    } else {
                        #expect(chunk.bytes.readableBytes <= 65_537)
                        count += chunk.bytes.readableBytes
                    }
                    if chunk.isLast { messages += 1 }
                    if messages == 2 { break }
                }
                #expect(count == total)
            }
            guard let before, let peak = Self.peak() else { return }
            #expect(peak - before < 40 << 20, "it took \((peak - before) >> 20) MiB")
        }
    }

    @Test("a bomb costs the server no memory and the client its connection (threat C1)")
    func bomb() async throws {
        var limits = Endpoint.Limits()
        limits.messages.messageBytes = 1 << 20
        var configuration = WebSocketClient.Configuration()
        var deflate = PerMessageDeflate()
        deflate.level = 9
        configuration.extensions = [deflate]
        try await withServer {
            Endpoint("/echo", options: .init(extensions: [PerMessageDeflate()], limits: limits)) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { [configuration] port in
            let socket = try await WebSocketClient(configuration: configuration).connect(
                to: "ws://127.0.0.1:\(port)/echo"
            )
            let bytes = ByteBuffer(repeating: 0, count: 128 << 20)
            let before = Self.resetPeak()
            try? await socket.send(.binary(bytes))
            let info = try await socket.closed()
            #expect(info.code == .messageTooBig)
            guard let before, let peak = Self.peak() else { return }
            #expect(peak - before < 24 << 20, "it took \((peak - before) >> 20) MiB")
        }
    }

    @Test(
        "Threat C4: no streams before the first compressed message, nor between messages without context"
    )
    func idleMemory() async throws {
        // The memory of 200 connections on both ends: 2 x 200 x (32 + 39) KiB with context.
        func held(takeover: Bool) async throws -> Int? {
            try await withServer {
                Endpoint("/echo", options: .init(extensions: [PerMessageDeflate()])) { socket in
                    for try await message in socket.messages { try await socket.send(message) }
                }
            } body: { port in
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = .off
                var deflate = PerMessageDeflate()
                deflate.contextTakeover = takeover
                deflate.peerContextTakeover = takeover
                configuration.extensions = [deflate]
                let client = WebSocketClient(configuration: configuration)
                var sockets: [WebSocket] = []
                for _ in 0..<200 { sockets.append(try await client.connect(to: "ws://127.0.0.1:\(port)/echo")) }
                let before = Self.resident()
                for socket in sockets {
                    try await socket.send(Self.text(20_000))
                    var messages = socket.messages.makeAsyncIterator()
                    _ = try await messages.next()
                }
                let after = Self.resident()
                for socket in sockets { try await socket.close() }
                guard let before, let after else { return nil }
                return after - before
            }
        }
        // The first run warms the allocator.
        _ = try await held(takeover: false)
        guard let without = try await held(takeover: false), let with = try await held(takeover: true) else { return }
        #expect(without < 8 << 20, "it took \(without >> 10) KiB without context")
        #expect(with < 40 << 20, "it took \(with >> 10) KiB with context")
    }

    // MARK: Memory of a process

    private static func mebibyte(_ number: Int) -> ByteBuffer {
        let line = "line \(number) of a long message, much like the others; "
        let count = (1 << 20) / line.utf8.count + 1
        var buffer = ByteBuffer(string: String(repeating: line, count: count))
        return buffer.readSlice(length: 1 << 20) ?? buffer
    }

    /// Forgets the peak of the resident memory so far, and tells what it is now; `nil` where that cannot be had.
    private static func resetPeak() -> Int? {
        guard (try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))) != nil else { return nil }
        return peak()
    }

    private static func peak() -> Int? { status("VmHWM:") }

    private static func resident() -> Int? { status("VmRSS:") }

    private static func status(_ name: String) -> Int? {
        guard Sanitizer.leavesMemoryAlone,
            let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 << 10 }
    }
}
