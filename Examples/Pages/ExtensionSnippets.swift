// The code in the documentation on extensions and compression.

import KHPClient
import KHPServer
import NIOCore

func compression() {
    var configuration = WebSocketClient.Configuration()
    configuration.extensions = [PerMessageDeflate()]
    _ = configuration
}

func compressingEndpoint() -> Endpoint {
    Endpoint(
        "/quotes",
        options: .init(extensions: [PerMessageDeflate()])
    ) { socket in
        try await socket.send(
            .text("a secret beside what others say"),
            options: .uncompressed
        )
        try await socket.send("a quote")
    }
}

func revalidation(refresh: @escaping @Sendable (String) async throws -> Void) {
    var configuration = WebSocketClient.Configuration()
    configuration.extensions = [
        KaazingHTTPRevalidate { request in
            let nonce = String(UInt64.random(in: 0..<UInt64.max))
            let url = request.url(nonce: nonce)
            Task { try await refresh(url) }
        }
    ]
    _ = configuration
}

func required() {
    var configuration = WebSocketClient.Configuration()
    configuration.extensions = [
        PerMessageDeflate(),
        NamedExtension("x-audit", parameters: ["level": "2"]),
    ]
    configuration.requiredExtensions = ["x-audit"]
    _ = configuration
}

func negotiated(_ socket: WebSocket) {
    for item in socket.negotiated.extensions {
        print(item.name, item.parameters["level"] ?? "-", item.layer)
    }
}

/// Text is sealed with one of several keys: the client says which it has, the server picks one and adds a nonce.
struct Sealing: WebSocketExtension {
    let name = "x-sealed"
    let keys: [String: [UInt8]]
    let layers: Set<HandshakeLayer> = [.extended]

    // Client: one offer for each key, most wanted first.
    func offers() -> [ExtensionParameters] {
        self.keys.keys.sorted().map { ["key": $0] }
    }

    // Server: accepts with parameters of its own, passes the offer over, or
    // refuses the handshake with 400.
    func choose(_ offer: ExtensionParameters) -> ExtensionChoice {
        guard let key = offer["key"] else {
            return .fail("x-sealed needs a key.")
        }
        guard self.keys[key] != nil else { return .decline }
        let nonce = String(UInt64.random(in: 0 ... .max))
        return .accept(["key": key, "nonce": nonce])
    }

    // Client: `false` fails the handshake.
    func judge(_ answer: ExtensionParameters) -> Bool {
        answer["nonce"] != nil
            && answer["key"].map { self.keys[$0] != nil } == true
    }
}

/// Sends a sign of life every ten seconds, and hides the peer's from the
/// application.
struct Beating: MessageTransform {
    mutating func opened(_ scope: inout ExtensionScope) {
        scope.deadline = scope.now + .seconds(10)
    }

    mutating func deadlineReached(_ scope: inout ExtensionScope) {
        scope.send(.text("\u{1}beat"))
        scope.deadline = scope.now + .seconds(10)
    }

    mutating func inbound(
        _ message: WebSocketMessage
    ) -> WebSocketMessage? {
        message == .text("\u{1}beat") ? nil : message
    }
}

/// Turns each bit around, under RSV2.
struct Inverting: WebSocketExtension, FrameTransform {
    let name = "x-inverted"
    let reservedBits: ReservedBits = .rsv2

    func makeFrameTransform(
        role: Role,
        parameters: ExtensionParameters
    ) -> (any FrameTransform)? { self }

    func outbound(
        _ piece: inout MessagePiece,
        into output: inout ByteBuffer
    ) {
        if piece.isFirst { piece.reservedBits = .rsv2 }
        output.writeBytes(piece.bytes.readableBytesView.map { ~$0 })
    }

    func inbound(
        _ piece: inout MessagePiece,
        into output: inout ByteBuffer,
        room: Int
    ) -> Bool {
        let count = min(room, piece.bytes.readableBytes)
        let bytes = piece.bytes.readBytes(length: count) ?? []
        output.writeBytes(bytes.map { ~$0 })
        return piece.bytes.readableBytes == 0
    }
}
