// What the documentation shows of extensions and compression.

import KHPClient
import KHPServer

func compression() {
    var configuration = WebSocketClient.Configuration()
    configuration.extensions = [PerMessageDeflate()]
    _ = configuration
}

func compressingEndpoint() -> Endpoint {
    Endpoint("/quotes", extensions: [PerMessageDeflate()]) { socket in
        try await socket.send(.text("a secret beside what others say"), options: .uncompressed)
        try await socket.send("a quote")
    }
}

func revalidation(refresh: @escaping @Sendable (String) async throws -> Void) {
    var configuration = WebSocketClient.Configuration()
    configuration.extensions = [
        KaazingHTTPRevalidate { request in
            let url = request.url(nonce: String(UInt64.random(in: 0..<UInt64.max)))
            Task { try await refresh(url) }
        }
    ]
    _ = configuration
}
