// The peer's close behind messages, while a task waits for the end: it is held back only for somebody who takes them.

import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("The peer's close, while a task waits for the end", .timeLimit(.minutes(1)))
struct CloseWaitTests {
    /// The handler's manners, and the messages that it finds behind the end.
    enum Handler: String, CaseIterable, CustomTestStringConvertible {
        case tookOne = "has taken a message, and takes no more"
        case tookAll = "has taken all, and is not at work on the last"
        case tookNone = "takes none"

        var testDescription: String { self.rawValue }
        var sends: [String] { self == .tookAll ? ["one"] : ["one", "two", "three"] }
        var leaves: [String] {
            switch self {
            case .tookOne: ["two", "three"]
            case .tookAll: []
            case .tookNone: ["one", "two", "three"]
            }
        }
    }

    /// Nothing of this takes so long, unless the close is held back.
    private static let hold = Duration.seconds(30)

    @Test("is answered where nobody takes the messages before it, which stay", arguments: Handler.allCases)
    func answered(_ handler: Handler) async throws {
        let (rests, tell) = AsyncStream.makeStream(of: [String].self)
        try await withServer {
            $0.timeouts.closeHold = Self.hold
        } endpoints: {
            Endpoint("/") { socket in
                if handler != .tookNone { _ = try await socket.receive() }
                try await socket.send("go on")
                #expect(try await socket.closed().clean)
                var rest: [String] = []
                for try await message in socket.messages {
                    if case .text(let text) = message { rest.append(text) }
                }
                tell.yield(rest)
            }
        } body: { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/")
            // So that the first is waited for.
            if handler != .tookNone { try await socket.send(handler.sends[0]) }
            _ = try await socket.receive()
            for text in handler.sends.dropFirst(handler == .tookNone ? 0 : 1) { try await socket.send(text) }
            let began = ContinuousClock.now
            let end = try await socket.close()
            #expect(end.clean)
            #expect(ContinuousClock.now - began < Self.hold / 3)
            for await rest in rests {
                #expect(rest == handler.leaves)
                break
            }
        }
    }

    @Test("waits for a task that is at work on messages while another waits for the end")
    func held() async throws {
        try await withServer {
            $0.timeouts.closeHold = Self.hold
        } endpoints: {
            Endpoint("/") { socket in
                async let end = socket.closed()
                for try await message in socket.messages {
                    // Longer than a task may take to begin.
                    try await Task.sleep(for: .milliseconds(150))
                    try await socket.send(message)
                }
                #expect(try await end.clean)
            }
        } body: { port in
            let client = try await RawClient.connect(port)
            let texts = ["one", "two", "six"]
            let frames = texts.flatMap { maskedFrame(1, Array($0.utf8)) } + maskedFrame(8, [3, 232])
            try await client.send(openingRequest("/"))
            try await client.send(frames)
            let answers: [UInt8] = texts.flatMap { [0x81, 3] + Array($0.utf8) } + [0x88, 2, 3, 232]
            let rest = try await client.receiveAll()
            #expect(Array(rest.readableBytesView.suffix(answers.count)) == answers)
        }
    }
}
