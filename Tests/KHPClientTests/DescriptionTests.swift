// Descriptions may be asked for at any time: clients, servers and sockets have parts that change under other threads.

import KHPClient
import KHPServer
import TestSupport
import Testing

@Suite("Looking at what is at work")
struct DescriptionTests {
    @Test("dump shows what was configured and agreed on, and nothing that changes meanwhile")
    func dumps() async throws {
        let authentication = ServerAuthentication(
            realm: "trades",
            .basic { $0 == "joe" && $1 == "secret" ? Principal($0) : nil }
        )
        let endpoint = Endpoint(
            "/echo",
            options: .init(extensions: [PerMessageDeflate()], authentication: authentication)
        ) { socket in
            for try await message in socket.messages { try await socket.send(message) }
        }
        try await withServer {
            endpoint
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extensions = [PerMessageDeflate()]
            configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "secret")
            let client = WebSocketClient(configuration: configuration)
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                let text = String(repeating: "again ", count: 100)
                async let echoes: Void = {
                    var messages = socket.messages.makeAsyncIterator()
                    for _ in 0..<200 {
                        try await socket.send(text)
                        _ = try await messages.next()
                    }
                }()
                for _ in 0..<20 {
                    var shown = ""
                    dump(client, to: &shown)
                    dump(socket, to: &shown)
                    dump(endpoint, to: &shown)
                    #expect(shown.contains("permessage-deflate") && shown.contains("trades"))
                    // Each stands for a lock, or for state of the event loop alone.
                    for part in ["waiters", "deflaters", "blockedSenders", "inboundHandler"] {
                        #expect(!shown.contains(part), "\(part)")
                    }
                    await Task.yield()
                }
                try await echoes
            }
        }
    }
}
