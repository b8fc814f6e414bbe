// An echo server: every message goes back to whoever sent it.
//
//     swift run --package-path Examples ExampleEchoServer [PORT]        without it 8080; 0 takes a free one
//
// Talk to it with ExampleEchoClient, with `khp connect ws://127.0.0.1:8080/echo`, or from a browser. The logger tells
// where it listens.

import KHPServer
import Logging

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 8080

var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: port))
configuration.logger = Logger(label: "echo")

let server = WebSocketServer(configuration: configuration) {
    Endpoint("/echo") { socket in
        for try await message in socket.messages {
            try await socket.send(message)
        }
    }
}
try await server.run()
