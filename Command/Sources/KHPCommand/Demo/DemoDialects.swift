import KHPClient
import KHPServer
import NIOCore

/// The demo's walk through the wire dialects: the extended handshake, an echo and a close in each.
struct DemoDialects: Sendable {
    private let steps: DemoSteps

    init(steps: DemoSteps) {
        self.steps = steps
    }

    func run() async throws {
        let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
            for dialect in Dialect.all {
                Endpoint("/\(dialect)", options: .init(dialects: [dialect]), messageHandler: { Echo() })
            }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let port = try await server.boundAddress().port ?? 0
            defer { group.cancelAll() }
            for dialect in Dialect.all { try await self.walk(dialect, port: port) }
        }
    }

    private func walk(_ dialect: Dialect, port: Int) async throws {
        var configuration = WebSocketClient.Configuration()
        configuration.dialect = dialect
        configuration.extended.policy = .required
        let client = WebSocketClient(configuration: configuration)
        let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/\(dialect)")
        guard socket.negotiated.dialect == dialect, socket.negotiated.status == 101 else {
            throw DemoFailure("the extended handshake did not complete over \(dialect)")
        }
        self.steps.passed(.khp, .received, "\(dialect): completed with 101")
        let text = "hello, 世界"
        try await socket.send(text)
        var messages = socket.messages.makeAsyncIterator()
        guard try await messages.next() == .text(text) else { throw DemoFailure("the echo over \(dialect) differs") }
        self.steps.passed(.app, .received, "\(dialect): text \(text.utf8.count) bytes, the same")
        let info = try await socket.close()
        guard info.clean else { throw DemoFailure("\(dialect) did not close: \(LadderStep.closing(info))") }
        self.steps.passed(.app, .sent, "\(dialect): \(LadderStep.closing(info))")
    }
}
