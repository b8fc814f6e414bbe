// Our side of Autobahn|Testsuite, in either role: echoes what comes, by its type.
//
//   autobahn-peer serve                        prints `listening on PORT`, until it is told to end
//   autobahn-peer run URL AGENT COUNT FIRST STEP   cases FIRST + 1, + STEP … up to COUNT of a fuzzing server
//   autobahn-peer report URL AGENT             has the fuzzing server write its report

import KHPClient
import KHPProtocol
import KHPServer
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

@main
struct Main {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        switch arguments.first {
        case "serve":
            try await serve()
        case "run" where arguments.count == 6:
            let words = Array(arguments.dropFirst())
            guard let count = Int(words[2]), let first = Int(words[3]), let step = Int(words[4]), step > 0 else {
                fallthrough
            }
            for number in stride(from: first + 1, through: count, by: step) {
                await run("\(words[0])/runCase?case=\(number)&agent=\(words[1])")
            }
        case "report" where arguments.count == 3:
            let words = Array(arguments.dropFirst())
            await run("\(words[0])/updateReports?agent=\(words[1])")
        default:
            print("usage: autobahn-peer serve | run URL AGENT COUNT FIRST STEP | report URL AGENT")
        }
    }

    /// The limits that the suite asks of a peer: messages of 16 MiB, 65,536 fragments of one.
    private static var messages: MessageLimits {
        var limits = MessageLimits()
        limits.messageBytes = 32 << 20
        limits.fragments = 1 << 17
        return limits
    }

    /// The suite counts frames, and did not ask for pings.
    private static var keepAlive: KeepAliveConfiguration {
        var keepAlive = KeepAliveConfiguration()
        keepAlive.pingInterval = nil
        return keepAlive
    }

    private static func serve() async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.limits.messages = messages
        configuration.keepAlive = keepAlive
        let server = WebSocketServer(configuration: configuration) {
            Endpoint("/", options: .init(extensions: [PerMessageDeflate()]), messageHandler: { Echo() })
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let port = try await server.boundAddress().port ?? 0
            print("listening on \(port)")
            fflush(nil)
            try await group.waitForAll()
        }
    }

    private static func run(_ url: String) async {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = .off
        configuration.extensions = [PerMessageDeflate()]
        configuration.limits.messages = messages
        configuration.keepAlive = keepAlive
        let client = WebSocketClient(configuration: configuration)
        do {
            // How a case breaks the connection is for the suite to judge.
            try await client.run(to: url, messageHandler: { Echo() })
        } catch {
            print("\(url): \(error)")
        }
    }
}

/// Sends each message back, on the event loop.
private final class Echo: MessageHandler {
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        // A message that cannot be sent any more has no reader.
        try? socket.send(message.kind, message.bytes)
    }
}
