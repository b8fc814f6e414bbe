// Two servers; the first sends its clients to the second by a 302 inside the WebSocket, before it is open. The client
// follows by itself and tells where it arrived. A service group runs both servers and shuts them down together.
//
//     swift run --package-path Examples ExampleRedirector

import KHPClient
import KHPServer
import Logging
import NIOCore
import ServiceLifecycle

let second = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
    Endpoint("/quotes") { socket in
        for try await message in socket.messages { try await socket.send(message) }
    }
}
let first = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
    Endpoint("/") { request in
        // `request` holds both requests with their fields; here every client gets the same answer.
        guard let port = try? await second.boundAddress().port else { return .refuse(503, "Not yet.") }
        return .redirect(to: "ws://127.0.0.1:\(port)/quotes")
    }
}

let services = ServiceGroup(services: [first, second], logger: Logger(label: "redirector"))
let running = Task { try await services.run() }
let url = "ws://127.0.0.1:\(try await first.boundAddress().port ?? 0)/"

try await WebSocketClient().withConnection(to: url) { socket in
    for step in socket.negotiated.redirects {
        print("\(step.status) in the \(step.layer) handshake: \(step.from) -> \(step.to)")
    }
    try await socket.send("arrived")
    for try await message in socket.messages.prefix(1) { print("echoed:", message) }
}

// A client decides where it may be led.
var configuration = WebSocketClient.Configuration()
configuration.redirects.policy = .never
do {
    try await WebSocketClient(configuration: configuration).withConnection(to: url) { _ in }
} catch let error as WebSocketError where error.code == .redirectRefused {
    print("refused:", error.message)
}

await services.triggerGracefulShutdown()
try await running.value
