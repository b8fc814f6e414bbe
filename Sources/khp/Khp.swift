import KHPClient
import KHPServer
import NIOCore

@main struct Khp {
    static func main() async throws {
        let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
            Endpoint("/echo") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
            Endpoint("/b", authentication: .basic(realm: "desk") { $0 == "joe" && $1 == "welcome" }) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
            Endpoint("/a") { _ in .redirect(to: "/b") }
        }
        let task = Task { try await server.run() }
        let port = try await server.boundAddress().port!
        print("port", port)
        if CommandLine.arguments.count > 1 { try await task.value; return }
        var configuration = WebSocketClient.Configuration()
        configuration.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
        configuration.observer = { event, info in print(info.id, event) }
        let client = WebSocketClient(configuration: configuration)
        try await client.withConnection(to: "ws://127.0.0.1:\(port)/a") { socket in
            try await socket.send("hello")
            try await socket.send(ByteBuffer(repeating: 7, count: 1_000_000))
            print(try await socket.ping())
            var n = 0
            for try await message in socket.messages { print(message.byteCount); n += 1; if n == 2 { break } }
            print("closing"); print(try await socket.close())
        }
        print("closed")
        task.cancel()
        try await task.value
        print("end")
    }
}
