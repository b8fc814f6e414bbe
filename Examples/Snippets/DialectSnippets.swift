// The older dialects' code in README.md and the documentation catalogs, kept compiling. scripts/check-docs.py holds
// the pages against these sources.

import KHPClient
import KHPServer

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

func watching(_ socket: WebSocket) async {
    for await state in socket.states {
        print(state, await socket.bufferedAmount)
    }
}
