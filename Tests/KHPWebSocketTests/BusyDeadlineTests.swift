// A busy connection looks for its deadline once in its shortest wait, and not after each read: every deadline that can be
// set nearer than that has to be looked for when it is set.

import KHPProtocol
import KHPWebSocket
import NIOCore
import TestSupport
import Testing

/// Says that it is time, this long after the latest message.
private struct Reminding: WebSocketExtension {
    let name = "x-remind"
    let after: TimeAmount

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        Transform(after: self.after)
    }

    struct Transform: MessageTransform {
        let after: TimeAmount

        mutating func inbound(_ message: WebSocketMessage, _ scope: inout ExtensionScope) -> WebSocketMessage? {
            scope.deadline = scope.now + self.after
            return message
        }

        mutating func deadlineReached(_ scope: inout ExtensionScope) { scope.send(.text("time")) }
    }
}

@Suite("Deadlines of a connection that has just been busy", .timeLimit(.minutes(1)))
struct BusyDeadlineTests {
    enum Wait: String, CaseIterable, CustomTestStringConvertible {
        case close, heldClose, session, pong, message, idle, stalledWrite, answeredPing, ofAnExtension

        var testDescription: String { self.rawValue }

        var sessionLifetime: TimeAmount? { self == .session ? Self.short : nil }

        var extensions: [any WebSocketExtension] { self == .ofAnExtension ? [Reminding(after: Self.short)] : [] }

        private static let short = TimeAmount.milliseconds(150)

        /// Makes this wait a short one. The others take seconds.
        func configure(_ settings: inout ConnectionSettings) {
            let short = Duration.milliseconds(150)
            switch self {
            case .close: settings.timeouts.close = short
            case .heldClose: settings.timeouts.closeHold = short
            case .pong: settings.keepAlive.pongTimeout = short
            case .message: settings.timeouts.message = short
            case .idle: settings.keepAlive.idleTimeout = short
            case .stalledWrite: settings.timeouts.stalledWrite = short
            case .answeredPing:
                settings.keepAlive.pingInterval = short
                settings.keepAlive.pongTimeout = .seconds(10)
            case .session, .ofAnExtension: break
            }
        }

        /// Has the wait begin.
        func begin(_ served: ServedSocket) async throws {
            switch self {
            case .close: try await served.on { $0.close(code: .normalClosure, reason: "") }
            case .heldClose: try await served.client.send(maskedFrame(2, [1]) + maskedFrame(8, []))
            case .pong: try await served.on { try? $0.sendPing(nil) }
            case .message: try await served.client.send(Array(maskedFrame(2, [1, 2, 3]).dropLast()))
            case .stalledWrite: try await served.fill()
            case .session, .idle, .answeredPing, .ofAnExtension: break
            }
        }
    }

    @Test("each wait ends in its time, whatever the others are", arguments: Wait.allCases)
    func inTime(_ wait: Wait) async throws {
        try await withServedSocket(
            extensions: wait.extensions,
            offer: wait.extensions.first?.name,
            sessionLifetime: wait.sessionLifetime
        ) {
            wait.configure(&$0)
        } body: { served in
            for byte in 0..<3 {
                try await served.client.send(maskedFrame(2, [UInt8(byte)]))
                _ = try await served.socket.receive()
            }
            try await wait.begin(served)
            if wait == .answeredPing {
                // The keep-alive's first ping; the second comes no later than the interval behind the pong.
                for _ in 0..<2 {
                    let ping = try await served.client.take { $0.readableBytes >= 10 ? 10 : nil }
                    #expect(serverFrames(ping).first?.first == 0x89)
                    try await served.client.send(maskedFrame(0xA, serverFrames(ping).first?.payload ?? []))
                }
                return
            }
            let began = ContinuousClock.now
            if wait == .ofAnExtension {
                let bytes = try await served.client.receive { serverFrames($0).contains { $0.first == 0x81 } }
                #expect(serverFrames(bytes).contains { $0.payload == Array("time".utf8) })
            } else if wait == .heldClose || wait == .session || wait == .idle {
                // The peer's close frame is answered, or ours comes.
                let bytes = try await served.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
                #expect(serverFrames(bytes).contains { $0.first == 0x88 })
            } else {
                #expect(try await !served.socket.closed().clean)
            }
            #expect(ContinuousClock.now - began < .milliseconds(1500 * Sanitizer.patience))
        }
    }
}
