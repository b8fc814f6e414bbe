// The server under test: our own, with room for as many connections as a process has descriptors.

import KHPServer
import KHPWebSocket
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import UnixSignals

/// Serves until SIGTERM, then drains.
func serve(_ options: Options) async throws {
    var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: options.port))
    configuration.limits.connections = options.limit
    // All come from one machine.
    configuration.limits.pendingHandshakesPerAddress = configuration.limits.pendingHandshakes
    let sinks = Sinks()
    let server = WebSocketServer(
        configuration: configuration,
        eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1)
    ) {
        Endpoint("/", messageHandler: { Echo() })
        Endpoint("/burst/{count}") { socket, request in
            let count = try request.parameters.require("count", as: Int.self)
            for number in 0..<min(count, 1_000) { try await socket.send("\(number)") }
        }
        Endpoint("/sink/{count}") { socket, request in
            try await sinks.take(try request.parameters.require("count", as: Int.self), from: socket)
        }
    }
    let logger = Logger(label: "bench-scale") { _ in SwiftLogNoOpLogHandler() }
    let services = ServiceGroup(services: [server], gracefulShutdownSignals: [.sigterm], logger: logger)
    async let running: Void = services.run()
    BenchScale.say("listening \(try await server.boundPort() ?? 0)")
    try await running
    sinks.report()
}

/// The conversations of clients that send and close.
private final class Sinks: Sendable {
    private let inOrder = Atomic(0)
    private let broken = Atomic(0)

    /// Takes messages in the order of their numbers. A clean close behind fewer of them is a promise that is not kept.
    func take(_ count: Int, from socket: WebSocket) async throws {
        var next = 0
        do {
            for try await message in socket.messages {
                guard message == .text("\(next)") else { return self.note("\(message) instead of \(next)") }
                next += 1
            }
        } catch {}
        let end = try await socket.closed()
        // Only a client that has sent them all closes with 1000; one that gives a connect up has others.
        guard end.clean, end.code == .normalClosure else { return }
        if next == count { self.inOrder.add(1, ordering: .relaxed) } else { self.note("\(next) of \(count) messages") }
    }

    private func note(_ words: String) {
        if self.broken.add(1, ordering: .relaxed).newValue <= 20 { BenchScale.say("  a clean close behind \(words)") }
    }

    func report() {
        let (inOrder, broken) = (self.inOrder.load(ordering: .relaxed), self.broken.load(ordering: .relaxed))
        guard inOrder > 0 || broken > 0 else { return }
        BenchScale.say("sent to the server: \(inOrder) conversations in order, \(broken) promises not kept")
        if broken > 0 { BenchScale.fail("bench-scale: messages were lost in front of a clean close\n") }
    }
}

private final class Echo: MessageHandler {
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        try? socket.send(message.kind, message.bytes)
    }
}
