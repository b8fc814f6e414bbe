// Our side of the documentation's page for those who come from another library: one function for each program there.

import HTTPTypes
import KHPClient
import KHPServer
import NIOCore

// MARK: From NIOWebSocket

func pingAndRead() async throws {
    let client = WebSocketClient()
    try await client.withConnection(to: "ws://localhost:8888/") { socket in
        let roundTrip = try await socket.ping(ByteBuffer(string: "Hello!"))
        print("Pong after", roundTrip)
        for try await message in socket.messages {
            print("Received:", message)
        }
    }
}

final class LoopEcho: MessageHandler {
    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        try? socket.send(message.kind, message.bytes)
    }
}

func echoOnTheLoop() throws -> WebSocketServer {
    let server = WebSocketServer(
        configuration: .init(address: .hostname("localhost", port: 8888))
    ) {
        Endpoint("/", messageHandler: { LoopEcho() })
    }
    return server
}

// MARK: From websocket-kit

func chatOfOneRoom() async throws {
    let client = WebSocketClient()
    try await client.withConnection(to: "wss://example.com/chat") { socket in
        try await socket.send("hello")
        for try await text in socket.texts {
            print(text)
            if text == "bye" { break }
        }
    }
}

// MARK: From Starscream

protocol ChatScreen: Sendable {
    func connected() async
    func show(_ message: WebSocketMessage) async
    func disconnected(_ reason: String) async
}

func screenOfAChat(_ screen: any ChatScreen) throws -> Task<Void, Never> {
    var configuration = WebSocketClient.Configuration()
    configuration.timeouts.total = .seconds(5)
    configuration.headers[.userAgent] = "chat"
    configuration.extensions = [PerMessageDeflate()]
    let client = WebSocketClient(configuration: configuration)
    let chat = Task {
        do {
            try await client.withReconnection(
                to: "wss://example.com/chat",
                subprotocols: ["superchat"]
            ) { socket in
                await screen.connected()
                try await socket.send("Hi Server!")
                for try await message in socket.messages {
                    await screen.show(message)
                }
            }
        } catch {
            await screen.disconnected("\(error)")
        }
    }
    return chat
}

// MARK: From URLSessionWebSocketTask

func feedOfAServer() async throws {
    let client = WebSocketClient()
    let socket = try await client.connect(to: "wss://example.com/feed")
    try await socket.send("subscribe")
    do {
        for try await message in socket.messages {
            switch message {
            case .text(let text): print(text)
            case .binary(let bytes): print(bytes.readableBytes, "bytes")
            }
        }
        print("closed with", try await socket.closed().code ?? .abnormal)
    } catch {
        print("lost:", error)
    }
}

func feedOfAUser(_ token: String) async throws {
    var configuration = WebSocketClient.Configuration()
    configuration.headers[.authorization] = "Bearer \(token)"
    configuration.redirects.policy = .never
    let client = WebSocketClient(configuration: configuration)
    try await client.withConnection(to: "wss://example.com/feed") { socket in
        for try await text in socket.texts { print(text) }
    }
}

// MARK: From Kaazing's clients

func loginAtAGateway() async throws {
    var configuration = WebSocketClient.Configuration()
    configuration.redirects.policy = .sameDomain
    configuration.timeouts.total = .seconds(5)
    var dispatch = DispatchChallengeHandler()
    try dispatch.register(
        LoginChallengeHandler { _ in (user: "joe", password: "welcome") },
        for: "ws://localhost:8001"
    )
    configuration.authentication.challengeHandler = dispatch

    let client = WebSocketClient(configuration: configuration)
    try await client.withConnection(
        to: "ws://localhost:8001/echo",
        subprotocols: ["x-echo"]
    ) { socket in
        try await socket.send("Hello, WebSocket!")
        print(try await socket.receive())
        let agreed = socket.negotiated
        print(agreed.subprotocol ?? "none", agreed.extensions.map(\.name))
    }
}

func eventsOfASocket() async throws {
    var configuration = WebSocketClient.Configuration()
    let login = LoginChallengeHandler { _ in
        (user: "joe", password: "welcome")
    }
    configuration.authentication.challengeHandler = login
    let client = WebSocketClient(configuration: configuration)
    do {
        let socket = try await client.connect(to: "ws://localhost:8001/echo")
        try await socket.send("Hello, WebSocket!")
        for try await message in socket.messages { print(message) }
        let end = try await socket.closed()
        print("closed", end.code ?? .abnormal, end.reason, end.clean)
    } catch let error as WebSocketError {
        print("failed:", error.code, error.message)
    }
}
