// An echo client: sends a few messages, prints what comes back, and closes.
//
//     swift run --package-path Examples ExampleEchoClient [URL]         without it ws://127.0.0.1:8080/echo
//
// It says as well what was agreed on. Against ExampleEchoServer that includes the extended handshake; against a plain
// WebSocket server the same code works without it.

import KHPClient

let url = CommandLine.arguments.dropFirst().first ?? "ws://127.0.0.1:8080/echo"
let lines = ["hello", "Grüße", "goodbye"]

let client = WebSocketClient()
try await client.withConnection(to: url) { socket in
    for line in lines { try await socket.send(line) }
    for try await message in socket.messages.prefix(lines.count) {
        if case .text(let text) = message { print("echoed:", text) }
    }
    let status = socket.negotiated.status.map { "completed with \($0)" } ?? "not in use"
    print("extended handshake:", status)
}
print("closed")
