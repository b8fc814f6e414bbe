// The server under test: our own, with room for as many connections as a process has descriptors.

import KHPServer
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnixSignals

/// Serves until SIGTERM, then drains.
func serve(_ options: Options) async throws {
    var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: options.port))
    configuration.limits.connections = options.limit
    // All come from one machine.
    configuration.limits.pendingHandshakesPerAddress = configuration.limits.pendingHandshakes
    let server = WebSocketServer(
        configuration: configuration,
        eventLoopGroup: MultiThreadedEventLoopGroup(numberOfThreads: 1)
    ) {
        Endpoint("/", messageHandler: { Echo() })
        Endpoint("/burst/{count}") { socket, request in
            let count = try request.parameters.require("count", as: Int.self)
            for number in 0..<min(count, 1_000) { try await socket.send("\(number)") }
        }
    }
    let logger = Logger(label: "bench-scale") { _ in SwiftLogNoOpLogHandler() }
    let services = ServiceGroup(services: [server], gracefulShutdownSignals: [.sigterm], logger: logger)
    async let running: Void = services.run()
    BenchScale.say("listening \(try await server.boundPort() ?? 0)")
    try await running
}

private final class Echo: MessageHandler {
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        try? socket.send(message.kind, message.bytes)
    }
}
