// The older dialects' code in README.md and the documentation catalogs, kept compiling. scripts/check-docs.py holds
// the pages against these sources.

import KHPClient
import KHPServer
import NIOCore

func oldEndpoint() -> Endpoint {
    Endpoint(
        "/desk",
        options: .init(dialects: [.rfc6455, .hixie76, .hixie75])
    ) { socket in
        try await socket.send("You speak \(socket.negotiated.dialect).")
    }
}

func oldClient() -> WebSocketClient {
    var configuration = WebSocketClient.Configuration()
    configuration.dialect = .hixie76
    return WebSocketClient(configuration: configuration)
}

func asking(_ socket: WebSocket) async throws {
    try await socket.send("Which time is it?")
    print(try await socket.receive())
}

func oneKind(_ socket: WebSocket) async throws {
    for try await text in socket.texts { try await socket.send(text) }
    for try await bytes in socket.binaries(unexpected: .skip) {
        print(bytes.readableBytes)
    }
}

func watching(_ socket: WebSocket) async {
    for await state in socket.states {
        print(state, await socket.bufferedAmount)
    }
}
