// Routes of hummingbird and WebSockets on one port. `ExampleHummingbird 8080`, then open http://127.0.0.1:8080/ or
// connect to ws://127.0.0.1:8080/echo.

import Hummingbird
import KHPHummingbird
import KHPServer

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 8080

let mount = try WebSocketMount {
    Endpoint("/echo") { socket in
        for try await message in socket.messages {
            try await socket.send(message)
        }
    }
}

let router = Router()
router.get("/") { _, _ in "This port speaks WebSocket at /echo.\n" }

let application = Application(
    router: router,
    server: .khp(mount),
    configuration: .init(address: .hostname("127.0.0.1", port: port)),
    services: [mount]
)
try await application.runService()
