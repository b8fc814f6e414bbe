import KHPProtocol
import NIOCore
import Testing

@Suite("Messages of extensions while the application sends one in pieces")
struct WaitingMessagesTests {
    /// Sends a message of its own each second, and does not touch the application's.
    private struct Chatty: WebSocketExtension {
        let name = "x-chatty"

        func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
            Transform()
        }

        struct Transform: MessageTransform {
            var handlesMessages: Bool { false }

            mutating func opened(_ scope: inout ExtensionScope) { scope.deadline = scope.now + .seconds(1) }

            mutating func deadlineReached(_ scope: inout ExtensionScope) {
                scope.send(.text("chat"))
                scope.deadline = scope.now + .seconds(1)
            }
        }
    }

    private func begun(_ role: Role) throws -> OpenConnection {
        var open = try OpenConnection(role, extensions: [Chatty()]) { $0.keepAlive.pingInterval = nil }
        let piece = MessageChunk(kind: .text, bytes: ByteBuffer(string: "begun"), isFirst: true, isLast: false)
        try open.connection.send(piece, now: open.now)
        #expect(open.writtenFrames().map(\.first) == [0x01])
        return open
    }

    @Test("sixty-four wait for its end, in order", arguments: [Role.client, .server])
    func wait(_ role: Role) throws {
        var open = try self.begun(role)
        open.advance(by: .seconds(64))
        #expect(open.written().isEmpty)
        let last = MessageChunk(kind: .text, bytes: ByteBuffer(), isFirst: false, isLast: true)
        try open.connection.send(last, now: open.now)
        #expect(open.writtenFrames().map(\.first) == [0x80] + [UInt8](repeating: 0x81, count: 64))
        #expect(open.closed == nil)
    }

    @Test("one more ends the connection", arguments: [Role.client, .server])
    func tooMany(_ role: Role) throws {
        var open = try self.begun(role)
        open.advance(by: .seconds(65))
        #expect(open.closed?.error?.code == .limitExceeded)
        #expect(open.closed?.code == .internalError)
    }

    @Test("a message that is taken back lets them go", arguments: [Role.client, .server])
    func takenBack(_ role: Role) throws {
        var open = try OpenConnection(role, extensions: [Chatty()])
        let nothing = MessageChunk(kind: .text, bytes: ByteBuffer(), isFirst: true, isLast: false)
        try open.connection.send(nothing, now: open.now)
        open.advance(by: .seconds(3))
        #expect(open.written().isEmpty)
        let isTakenBack = open.connection.takeBackStream(now: open.now)
        #expect(isTakenBack)
        #expect(open.writtenFrames().map(\.first) == [0x81, 0x81, 0x81])
        try open.connection.send(.text("next"), now: open.now)
        #expect(open.writtenFrames().map(\.first) == [0x81])
    }
}
