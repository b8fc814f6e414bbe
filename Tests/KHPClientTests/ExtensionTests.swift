import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

/// Turns every letter that leaves into its upper-case form.
private struct Shouting: WebSocketExtension {
    let name = "x-shout"

    func offer() -> ExtensionParameters { ["level": "2"] }

    func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
        offer["level"] == "2" ? ["level": "1"] : nil
    }

    func judge(_ answer: ExtensionParameters) -> Bool { answer["level"] == "1" }

    func makeTransform(role: ConnectionRole, parameters: ExtensionParameters) -> (any MessageTransform)? { Transform() }

    struct Transform: MessageTransform {
        func inbound(_ message: WebSocketMessage) -> WebSocketMessage? { message }
        func outbound(_ message: WebSocketMessage) -> WebSocketMessage? {
            guard case .text(let text) = message else { return message }
            return .text(text.uppercased())
        }
    }
}

@Suite("Negotiated extensions")
struct ExtensionTests {
    @Test(
        "negotiated inside where there is an inside, in the opening otherwise; transforms messages",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func negotiated(_ extended: ExtendedHandshakePolicy) async throws {
        try await withServer {
            Endpoint("/echo", extensions: [Shouting()]) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extendedHandshake = extended
            configuration.extensions = [NamedExtension("x-unknown"), Shouting()]
            try await WebSocketClient(configuration: configuration).withConnection(to: "ws://127.0.0.1:\(port)/echo") {
                socket in
                #expect(
                    socket.negotiated.extensions == [
                        NegotiatedExtension(
                            name: "x-shout",
                            parameters: ["level": "1"],
                            layer: extended == .off ? .opening : .extended
                        )
                    ]
                )
                try await socket.send("quiet")
                var messages = socket.messages.makeAsyncIterator()
                #expect(try await messages.next() == .text("QUIET"))
            }
        }
    }
}
