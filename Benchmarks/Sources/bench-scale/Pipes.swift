// Connections in memory: the product's own handlers and endpoints at both ends, and no descriptor that could run out.

import BenchMeters
import KHPClient
import KHPServer
import KHPTesting
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// Opens connections level by level and has an echo from each.
func fillPipes(_ options: Options) async throws {
    var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
    configuration.limits.connections = .max
    let pipe = try EndpointPipe(configuration: configuration) {
        Endpoint("/", messageHandler: { PipeEcho() })
    }
    let client = pipe.client()
    var sockets = try await connect(100, client)
    try await echo(on: sockets[...])
    let process = Int(getpid())
    let first = (count: sockets.count, bytes: residentBytes(of: process))
    var rows: [Level] = []
    for level in options.levels.isEmpty ? [1_000, 10_000, 100_000] : options.levels {
        var cpu = cpuSeconds(of: process)
        let added = level - sockets.count
        sockets += try await connect(added, client)
        let opening = (cpuSeconds(of: process) - cpu) / Double(added)
        cpu = cpuSeconds(of: process)
        try await echo(on: sockets[...])
        let echoes = (cpuSeconds(of: process) - cpu) / Double(level)
        // A connection gives back the memory that it has used some seconds later.
        try await Task.sleep(for: .seconds(5))
        let kibibytes = Double(residentBytes(of: process) - first.bytes) / Double(level - first.count) / 1024
        rows.append(Level(connections: level, kibibytes: kibibytes, opening: opening, echo: echoes))
        BenchScale.say("\(rows[rows.endIndex - 1])")
    }
    await pipe.shutDown()
    Level.check(rows)
}

/// How many tasks share the work.
private let width = 32

private func connect(_ count: Int, _ client: WebSocketClient) async throws -> [WebSocket] {
    try await withThrowingTaskGroup(of: [WebSocket].self) { group in
        for part in 0..<width {
            group.addTask {
                var sockets: [WebSocket] = []
                for _ in stride(from: part, to: count, by: width) {
                    sockets.append(try await client.connect(to: "ws://pipe.example/"))
                }
                return sockets
            }
        }
        return try await group.reduce(into: []) { $0 += $1 }
    }
}

private func echo(on sockets: ArraySlice<WebSocket>) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for part in 0..<width {
            group.addTask {
                for index in stride(from: part, to: sockets.count, by: width) {
                    let text = String(repeating: "\(index % 10)", count: 125)
                    try await sockets[index].send(text)
                    guard try await sockets[index].receive() == .text(text) else {
                        BenchScale.fail("bench-scale: something else came back\n")
                    }
                }
            }
        }
        try await group.waitForAll()
    }
}

private final class PipeEcho: MessageHandler {
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        try? socket.send(message.kind, message.bytes)
    }
}
