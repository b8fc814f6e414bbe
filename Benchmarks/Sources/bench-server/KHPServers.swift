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

func serveKHP(
    _ taking: Taking,
    port: Int,
    on group: MultiThreadedEventLoopGroup,
    instruments: [any ServerInstrument] = []
) {
    serve(port, on: group) { configuration in
        configuration.instruments = instruments
    } endpoints: {
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
}

/// An instrument that does nothing, so that what is counted is the telling.
struct IdleInstrument: ServerInstrument, ServerConnectionInstrument {
    var observesFrames = false

    func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? { self }
    func observe(_ event: ConnectionEvent) {}
}

/// A group, whose members are those who open `/group`; whoever opens `/publish` speaks to them.
func serveGroup(isCompressed: Bool, port: Int, on group: MultiThreadedEventLoopGroup) {
    let members = WebSocketGroup()
    var deflate = PerMessageDeflate()
    deflate.contextTakeover = false
    let options = Endpoint.Options(extensions: isCompressed ? [deflate] : [])
    serve(port, on: group) {
        Endpoint("/group", options: options, messageHandler: { Member(members) })
        Endpoint("/publish", messageHandler: { Publisher(members) })
    }
}

func serve(
    _ port: Int,
    on group: MultiThreadedEventLoopGroup,
    configure: (inout WebSocketServer.Configuration) -> Void = { _ in },
    @EndpointBuilder endpoints: () -> [Endpoint]
) {
    var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: port))
    // All that come from one machine, and many at a time.
    configuration.limits.pendingHandshakesPerAddress = configuration.limits.pendingHandshakes
    // Connections that are counted while they wait are not to be closed.
    configuration.timeouts.opening = .seconds(60)
    configuration.timeouts.extended = .seconds(60)
    configuration.limits.connections = 20_000
    configure(&configuration)
    let server = WebSocketServer(configuration: configuration, eventLoopGroup: group, endpoints: endpoints)
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

private final class Member: MessageHandler {
    private let group: WebSocketGroup

    init(_ group: WebSocketGroup) { self.group = group }

    func opened(_ socket: EventLoopSocket) { _ = self.group.add(socket) }
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}
}

private final class Publisher: MessageHandler {
    private let group: WebSocketGroup

    init(_ group: WebSocketGroup) { self.group = group }

    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        if !self.group.offer(.text(String(buffer: message.bytes))) { BenchServer.fail("a publication was not taken\n") }
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
