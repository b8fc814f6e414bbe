// An extension of one's own (Numbering.swift), negotiated in the extended handshake. The applications at both ends see
// nothing of it; an observer shows what is on the wire.
//
//     swift run --package-path Examples ExampleCustomExtension

import KHPClient
import KHPServer
import NIOCore

let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
    Endpoint("/echo", options: .init(extensions: [Numbering()])) { socket in
        for try await message in socket.messages { try await socket.send(message) }
    }
}
let running = Task { try await server.run() }
let url = "ws://127.0.0.1:\(try await server.boundAddress().port ?? 0)/echo"

var configuration = WebSocketClient.Configuration()
configuration.extensions = [Numbering(from: 100)]
configuration.observe = { event, _ in
    if case .frameSent(let frame) = event, frame.kind == .text { print("on the wire:", String(buffer: frame.payload)) }
}

try await WebSocketClient(configuration: configuration).withConnection(to: url) { socket in
    for item in socket.negotiated.extensions { print("agreed in the \(item.layer) handshake: \(item)") }
    var echoes = socket.messages.makeAsyncIterator()
    for word in ["hello", "again"] {
        try await socket.send(word)
        if let echo = try await echoes.next() { print("echoed:", echo) }
    }
}
running.cancel()
try await running.value
