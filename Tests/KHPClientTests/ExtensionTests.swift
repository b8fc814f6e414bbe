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

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? { Transform() }

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
            Endpoint("/echo", options: .init(extensions: [Shouting()])) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = extended
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

    /// Sends back what arrives in chunks; whole messages are not what it expects.
    private final class ChunkEcho: MessageHandler {
        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
            socket.close(code: .internalError)
        }

        func received(_ chunk: MessageChunk, on socket: EventLoopSocket) {
            if chunk.isFirst, chunk.isLast { try? socket.send(chunk.kind, chunk.bytes) }
        }
    }

    @Test("who wants chunks gets whole messages as single chunks where an extension needs them whole")
    func chunks() async throws {
        try await withServer {
            Endpoint(
                "/echo",
                options: .init(extensions: [Shouting()], delivery: .chunks),
                messageHandler: { ChunkEcho() }
            )
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extensions = [Shouting()]
            configuration.delivery = .chunks
            try await WebSocketClient(configuration: configuration).withConnection(to: "ws://127.0.0.1:\(port)/echo") {
                socket in
                try await socket.stream(.text) { stream in
                    for _ in 0..<3 { try await stream.write(ByteBuffer(string: "abc")) }
                }
                var chunks = socket.chunks.makeAsyncIterator()
                let chunk = try await chunks.next()
                #expect(chunk.map { String(buffer: $0.bytes) } == "ABCABCABC")
                #expect(chunk?.isFirst == true && chunk?.isLast == true)
            }
        }
    }

    /// Fails with every message that is sent, under a reserved bit.
    private struct Failing: WebSocketExtension {
        let name = "x-fail"
        var reservedBits: ReservedBits { .rsv3 }

        func makeFrameTransform(role: Role, parameters: ExtensionParameters) -> (any FrameTransform)? {
            role == .client ? Transform() : nil
        }

        struct Transform: FrameTransform {
            func inbound(_ piece: inout MessagePiece, into output: inout ByteBuffer, room: Int) -> Bool { true }
            func outbound(_ piece: inout MessagePiece, into output: inout ByteBuffer) throws {
                throw WebSocketError(.invalidArgument, "No.", closeCode: WebSocketCloseCode(rawValue: 4002))
            }
        }
    }

    @Test("an extension that fails while sending ends the connection at once, with its code", .timeLimit(.minutes(1)))
    func failing() async throws {
        let (codes, tell) = AsyncStream.makeStream(of: WebSocketCloseCode?.self)
        try await withServer {
            Endpoint("/x", options: .init(extensions: [Failing()])) { socket in
                tell.yield(try await socket.closed().code)
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extensions = [Failing()]
            let socket = try await WebSocketClient(configuration: configuration).connect(
                to: "ws://127.0.0.1:\(port)/x"
            )
            let began = ContinuousClock.now
            await #expect(throws: WebSocketError.self) { try await socket.send("hello") }
            #expect(try await socket.closed().code == WebSocketCloseCode(rawValue: 4002))
            for await code in codes {
                #expect(code == WebSocketCloseCode(rawValue: 4002))
                break
            }
            #expect(ContinuousClock.now - began < .seconds(5))
        }
    }
}
