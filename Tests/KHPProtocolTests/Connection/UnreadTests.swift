// Messages that had arrived when the stream ended, and that nobody had taken.

import KHPProtocol
import NIOCore
import Testing

@Suite("Messages that nobody had taken when the peer left")
struct UnreadTests {
    private static let close: [UInt8] = [3, 232]

    /// The messages that can still be taken, and how the last of them was followed.
    private func rest(_ open: inout OpenConnection) -> [String] {
        var texts: [String] = []
        while let action = open.connection.nextUnread(now: open.now) {
            if case .message(_, let payload) = action { texts.append(String(buffer: payload)) }
            if case .chunk(let chunk) = action { texts.append(String(buffer: chunk.bytes)) }
        }
        #expect(!open.connection.hasUnread)
        return texts
    }

    private func paused(
        _ role: Role,
        dialect: Dialect = .rfc6455,
        holdsClose: Bool = false,
        _ bytes: (OpenConnection) -> [UInt8]
    ) throws -> OpenConnection {
        var open = try OpenConnection(role, dialect: dialect)
        open.connection.socket.holdsClose = holdsClose
        open.isPaused = true
        open.receive(bytes(open))
        #expect(open.messages.isEmpty && open.closed == nil)
        return open
    }

    @Test("an end without a close frame is told at once", arguments: [Role.client, .server], [false, true])
    func end(_ role: Role, _ isReset: Bool) throws {
        var open = try self.paused(role, holdsClose: true) { open in
            (0..<300).flatMap { open.text("\($0)") } + open.frame(0x89) + open.text("last")
        }
        if isReset {
            open.connection.transportFailed(WebSocketError(.connectFailed, "reset"), now: open.now)
            open.run()
        } else {
            open.endInput()
        }
        let info = try #require(open.closed)
        #expect(info.code == .abnormal)
        #expect(info.initiator == .peer)
        #expect(info.error?.code == (isReset ? .connectFailed : .closed))
        let due = open.connection.deadline
        #expect(due == nil)
        #expect(throws: WebSocketError.self) { try open.connection.send(.text("x"), now: open.now) }
        #expect(self.rest(&open) == (0..<300).map(String.init) + ["last"])
        // Nothing is answered any more.
        #expect(open.written().isEmpty)
    }

    @Test("a close frame among them is the peer's close", arguments: [Role.client, .server], [false, true])
    func close(_ role: Role, _ isReset: Bool) throws {
        var open = try self.paused(role) { open in
            open.text("one") + open.text("two") + open.frame(0x88, Self.close) + open.text("behind it")
        }
        if isReset {
            open.connection.transportFailed(WebSocketError(.connectFailed, "reset"), now: open.now)
            open.run()
        } else {
            open.endInput()
        }
        let info = try #require(open.closed)
        #expect(info.code == .normalClosure)
        #expect(info.clean)
        #expect(info.error == nil)
        #expect(self.rest(&open) == ["one", "two"])
        #expect(open.connection.lastFailure == nil)
    }

    @Test("its answer is held back for an application that may still answer", arguments: [Role.client, .server])
    func held(_ role: Role) throws {
        func held() throws -> OpenConnection {
            var open = try self.paused(role, holdsClose: true) { open in
                open.text("one") + open.text("two") + open.frame(0x88, Self.close)
            }
            open.endInput()
            #expect(open.closed == nil && open.written().isEmpty)
            return open
        }
        // It never comes back.
        var open = try held()
        open.advance(by: .milliseconds(1999))
        #expect(open.closed == nil)
        open.advance(by: .milliseconds(1))
        #expect(open.closed?.clean == true)
        #expect(open.written().first == 0x88)
        #expect(self.rest(&open) == ["one", "two"])
        // It does, and takes it all: as any close, and the time runs on from the peer's end.
        open = try held()
        open.advance(by: .seconds(1))
        open.isPaused = false
        open.run()
        #expect(open.messages == ["one", "two"])
        #expect(open.closed == nil)
        try open.connection.send(.text("an answer"), now: open.now)
        open.advance(by: .seconds(1))
        #expect(open.closed?.clean == true)
        #expect(open.writtenFrames().map(\.first) == [0x81, 0x88])
        #expect(!open.connection.hasUnread)
        // It is gone altogether meanwhile.
        open = try held()
        open.connection.transportEnded(now: open.now)
        open.run()
        #expect(open.closed != nil)
        #expect(self.rest(&open) == ["one", "two"])
        // The application closes.
        open = try held()
        open.connection.close(code: .goingAway, reason: "", now: open.now)
        open.run()
        #expect(open.closed?.code == .normalClosure)
        #expect(self.rest(&open) == ["one", "two"])
    }

    @Test("the answer that was held back ends no stream that the peer has not ended")
    func answered() throws {
        var open = try OpenConnection(.client)
        open.connection.socket.holdsClose = true
        open.receive(open.text("one") + open.frame(0x88, Self.close))
        #expect(open.messages == ["one"] && open.written().isEmpty)
        open.connection.answerHeldClose(now: open.now)
        open.run()
        #expect(open.writtenFrames().map(\.first) == [0x88])
        // A server ends the stream first.
        #expect(open.closed == nil)
        open.endInput()
        #expect(open.closed?.clean == true)
    }

    @Test("half a message and the end of the stream, before the connection was looked at", arguments: Role.allCases)
    func halfAtOnce(_ role: Role) throws {
        var open = try OpenConnection(role)
        let header: [UInt8] = role == .server ? [0x82, 0x8A, 0, 0, 0, 0] : [0x82, 0x0A]
        open.connection.receive(ByteBuffer(bytes: header + [1, 2, 3]), now: open.now)
        open.connection.inputClosed(now: open.now)
        open.run()
        #expect(open.closed?.code == .abnormal)
        #expect(open.messages.isEmpty)
    }

    /// Found by seeds 7203 and 10244 of the simulation: an event of the peer's close came behind the end.
    @Test("a close that is held back goes with an end for another reason", arguments: [Role.client, .server])
    func heldNoMore(_ role: Role) throws {
        var open = try OpenConnection(role) { $0.observation = .everything }
        open.connection.socket.holdsClose = true
        open.isPaused = true
        open.receive(open.text("one") + open.frame(0x88, Self.close))
        open.endInput()
        #expect(open.connection.socket.heldClose != nil && open.closed == nil)
        open.connection.setCongested(true, now: open.now)
        // Both deadlines pass while the machine sleeps, and the stall counts.
        open.now = open.now + .hours(1)
        open.connection.timeReached(now: open.now)
        open.run()
        #expect(open.closed?.error?.code == .timeout)
        #expect(open.connection.socket.heldClose == nil)
        open.connection.answerHeldClose(now: open.now)
        let behind = open.connection.next(now: open.now)
        #expect(behind == nil)
        #expect(self.rest(&open) == ["one"])
    }

    @Test("what breaks the rules among them is told to whoever takes them")
    func violation() throws {
        var open = try self.paused(.server) { $0.text("one") + $0.frame(0x83) + $0.text("never") }
        open.endInput()
        #expect(open.closed?.error?.code == .closed)
        #expect(self.rest(&open) == ["one"])
    }

    @Test("half a message is none")
    func half() throws {
        var open = try self.paused(.server) { $0.text("one") + $0.frame(0x01, [0x61]) }
        open.endInput()
        #expect(open.closed?.code == .abnormal)
        #expect(self.rest(&open) == ["one"])
    }

    @Test("in hixie-75 the end of the stream is a close, unless it cuts a message", arguments: [false, true])
    func hixie(_ isCut: Bool) throws {
        var open = try self.paused(.server, dialect: .hixie75) { _ in
            [0x00, 0x61, 0xFF, 0x00, 0x62] + (isCut ? [] : [0xFF])
        }
        open.endInput()
        #expect(open.closed?.clean == !isCut)
        #expect(self.rest(&open) == (isCut ? ["a"] : ["a", "b"]))
    }

    /// Found by seed 4398 of the simulation.
    @Test("in hixie-75 they stay behind our own close, which ends at once")
    func hixieCloses() throws {
        var open = try self.paused(.server, dialect: .hixie75) { _ in [0x00, 0x61, 0xFF, 0x00, 0x62, 0xFF, 0x00, 0x63] }
        open.connection.close(code: .normalClosure, reason: "", now: open.now)
        open.run()
        #expect(open.closed?.clean == true)
        #expect(open.closed?.initiator == .local)
        #expect(self.rest(&open) == ["a", "b"])
    }

    /// Found by seeds 539 and 1448 of the simulation.
    @Test(
        "of a message that is not finished nothing is kept behind the end",
        arguments: [.rfc6455, .hixie75, .hixie76] as [Dialect]
    )
    func unfinished(_ dialect: Dialect) throws {
        var open = try OpenConnection(.server, dialect: dialect)
        let head: [UInt8] = dialect == .rfc6455 ? [0x01, 0xFF, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0] : [0x00]
        open.receive(head + Array(repeating: 0x41, count: 100_000))
        #expect(open.connection.heldBytes >= 100_000)
        open.endInput()
        #expect(open.closed != nil)
        #expect(open.connection.heldBytes < 1_000)
    }

    @Test("many small reads before the end take no more than linear time")
    func manyReads() throws {
        var open = try self.paused(.server) { $0.text("first") }
        let frame = open.text(String(repeating: "x", count: 100))
        for _ in 0..<20_000 { open.receive(frame) }
        open.endInput()
        #expect(open.closed != nil)
        #expect(self.rest(&open).count == 20_001)
    }
}
