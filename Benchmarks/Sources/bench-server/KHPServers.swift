// Our own server with its defaults, in both ways of taking messages.

import KHPServer
import NIOCore
import NIOPosix

enum Taking {
    /// A synchronous handler on the event loop.
    case handler
    /// The asynchronous sequence in a task.
    case sequence
}

func serveKHP(_ taking: Taking, port: Int, on group: MultiThreadedEventLoopGroup) {
    var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: port))
    // All that come from one machine, and many at a time.
    configuration.limits.pendingHandshakesPerAddress = configuration.limits.pendingHandshakes
    // Connections that are counted while they wait are not to be closed.
    configuration.timeouts.opening = .seconds(60)
    configuration.timeouts.extended = .seconds(60)
    let server = WebSocketServer(configuration: configuration, eventLoopGroup: group) {
        switch taking {
        case .handler:
            Endpoint("/", messageHandler: { Echo() })
            Endpoint("/deflate", options: .init(extensions: [PerMessageDeflate()]), messageHandler: { Echo() })
        case .sequence:
            Endpoint("/") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
            Endpoint("/deflate", options: .init(extensions: [PerMessageDeflate()])) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        }
    }
    let executor = LoopExecutor(eventLoop: group.next())
    Task(executorPreference: executor) {
        do {
            try await server.run()
        } catch {
            BenchServer.fail("\(error)\n")
        }
    }
    Task(executorPreference: executor) {
        BenchServer.announce(try await server.boundAddress())
    }
}

private final class Echo: MessageHandler {
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        try? socket.send(message.kind, message.bytes)
    }
}

/// Runs tasks on an event loop.
private final class LoopExecutor: TaskExecutor {
    private let eventLoop: any EventLoop

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
