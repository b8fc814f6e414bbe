// Signed messages (Signing.swift): negotiated in the extended handshake, compressed below, and nothing without them at
// either end. A message that somebody on the way has changed ends the connection; Examples/Tests shows that it does.
//
//     swift run --package-path Examples ExampleSignedMessages

import KHPClient
import KHPServer
import NIOCore

let key = (0..<32).map { _ in UInt8.random(in: .min ... .max) }
let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
    Endpoint("/orders", options: .init(extensions: [Signing(key: key), PerMessageDeflate()])) { socket in
        guard socket.negotiated.extensions.contains(where: { $0.name == "x-signed" }) else {
            try await socket.close(code: .policyViolation, reason: "signed orders only")
            return
        }
        for try await message in socket.messages { try await socket.send(message) }
    }
}
let running = Task { try await server.run() }
let url = "ws://127.0.0.1:\(try await server.boundAddress().port ?? 0)/orders"

var configuration = WebSocketClient.Configuration()
configuration.extensions = [Signing(key: key), PerMessageDeflate()]
configuration.requiredExtensions = ["x-signed"]
configuration.observe = { event, _ in
    if case .frameSent(let frame) = event, frame.kind == .binary {
        print("signed: \(frame.bytes) bytes, compressed: \(frame.wireBytes < frame.bytes)")
    }
}

try await WebSocketClient(configuration: configuration).withConnection(to: url) { socket in
    for item in socket.negotiated.extensions { print("agreed in the \(item.layer) handshake: \(item)") }
    try await socket.send("buy 100 EUR/USD at 1.0425; " + String(repeating: "no hurry; ", count: 20))
    var echoes = socket.messages.makeAsyncIterator()
    if case .text(let echo)? = try await echoes.next() { print("echoed and verified:", echo.prefix(26)) }
}
running.cancel()
try await running.value
