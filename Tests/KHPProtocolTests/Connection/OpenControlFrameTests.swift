// Control frames on an open connection: what is answered, what counts as a flood, what observers see.

import KHPProtocol
import NIOCore
import Testing

@Suite("Control frames of an open connection")
struct OpenControlFrameTests {
    private static let dialects: [Dialect] = [.rfc6455, .hixie75, .hixie76, .whatwg2010]

    @Test("a hundred pings and the close frame in one read are no flood", arguments: [Role.client, .server])
    func closeIsNoFlood(_ role: Role) throws {
        var open = try OpenConnection(role)
        open.receive((0..<100).flatMap { open.frame(0x89, [UInt8($0)]) } + open.frame(0x88, [3, 232]))
        if role == .client { open.endInput() }
        #expect(open.closed?.clean == true)
        #expect(open.closed?.code == .normalClosure)
        #expect(open.closed?.error == nil)
    }

    @Test("a hundred and one pings in one read are one", arguments: [Role.client, .server])
    func flood(_ role: Role) throws {
        var open = try OpenConnection(role)
        open.receive((0..<101).flatMap { open.frame(0x89, [UInt8($0)]) })
        #expect(open.closed?.error?.code == .limitExceeded)
        #expect(open.closed?.code == .policyViolation)
        #expect(open.closed?.initiator == .local)
    }

    @Test("an answer that has not left holds the next back, and of these only the latest goes out (threat B9)")
    func backlogged() throws {
        var open = try OpenConnection(.server)
        open.connection.setBacklogged(true, now: open.now)
        for number in 0..<5 as Range<UInt8> { open.receive(open.frame(0x89, [number])) }
        #expect(open.written().isEmpty)
        open.connection.setBacklogged(false, now: open.now)
        open.run()
        let pongs = open.writtenFrames()
        #expect(pongs.map(\.first) == [0x8A] && pongs.map(\.payload) == [[4]])
    }

    @Test("a close that is not answered is not shown as the peer's", arguments: [Role.client, .server], [false, true])
    func unanswered(_ role: Role, _ ends: Bool) throws {
        var open = try OpenConnection(role)
        open.connection.close(code: .normalClosure, reason: "bye", now: open.now)
        open.run()
        if ends { open.endInput() } else { open.advance(by: .seconds(10)) }
        let info = try #require(open.closed)
        #expect(info.code == .abnormal)
        #expect(info.reason.isEmpty)
        #expect(!info.clean)
        #expect(info.initiator == .local)
        #expect(info.error != nil)
    }

    @Test("after both close frames a client waits a second for the server to end the stream")
    func serverKeepsTheStream() throws {
        for isLocal in [true, false] {
            var open = try OpenConnection(.client)
            if isLocal { open.connection.close(code: .normalClosure, reason: "", now: open.now) }
            open.receive(open.frame(0x88, [3, 232]))
            #expect(open.closed == nil)
            open.advance(by: .milliseconds(999))
            #expect(open.closed == nil)
            open.advance(by: .milliseconds(1))
            #expect(open.closed?.clean == true)
            #expect(open.closed?.code == .normalClosure)
            #expect(open.closed?.error == nil)
        }
    }

    @Test("observers see messages that are delivered in chunks", arguments: [Role.client, .server])
    func chunks(_ role: Role) throws {
        var open = try OpenConnection(role) {
            $0.delivery = .chunks
            $0.observation = .everything
        }
        open.receive(open.frame(0x01, [0x61, 0x62]) + open.frame(0x00, [0x63]) + open.frame(0x80, [0x64]))
        open.receive(open.frame(0x82, [1, 2, 3]))
        let seen = open.events.compactMap { event -> String? in
            guard case .frameReceived(let frame) = event else { return nil }
            return "\(frame.kind) \(frame.bytes)"
        }
        #expect(open.messages.joined() == "abcd\u{1}\u{2}\u{3}")
        #expect(seen == ["text 2", "continuation 1", "continuation 1", "binary 3"])
    }

    @Test("pings go out while nothing is read, and are not held against the peer")
    func pausedPings() throws {
        var open = try OpenConnection(.server)
        open.isPaused = true
        open.receive(open.text("unread"))
        open.advance(by: .seconds(121))
        #expect(open.closed == nil)
        #expect(open.writtenFrames().map(\.first) == [UInt8](repeating: 0x89, count: 6))
        // The application takes it; from now on silence counts again: a ping within 20 s, and 20 s for its pong.
        open.isPaused = false
        open.run()
        #expect(open.messages == ["unread"])
        open.advance(by: .seconds(41))
        #expect(open.closed?.error?.code == .timeout)
    }

    @Test("the time for one message is the one that was set, also in an old dialect", arguments: Self.dialects)
    func slowMessage(_ dialect: Dialect) throws {
        var open = try OpenConnection(.server, dialect: dialect) {
            $0.timeouts.message = .seconds(3)
            $0.keepAlive.pingInterval = nil
        }
        switch dialect.framing {
        case .rfc6455: open.receive(open.frame(0x01, [0x61]))
        case .hixie: open.receive([0x00, 0x61])
        case .whatwg2010: open.receive([0xFF, 0, 0, 0, 0, 0, 0, 0, 2, 0x61])
        }
        open.advance(by: .milliseconds(2999))
        #expect(open.closed == nil)
        open.advance(by: .milliseconds(1))
        #expect(open.closed?.error?.code == .timeout)
    }

    @Test(
        "a peer that takes no bytes is dropped after the time that was set, in every dialect",
        arguments: Self.dialects
    )
    func stalled(_ dialect: Dialect) throws {
        var open = try OpenConnection(.server, dialect: dialect) { $0.timeouts.stalledWrite = .seconds(4) }
        open.connection.setCongested(true, now: open.now)
        open.advance(by: .seconds(3))
        open.connection.writesProgressed(now: open.now)
        open.advance(by: .milliseconds(3999))
        #expect(open.closed == nil)
        open.advance(by: .milliseconds(1))
        #expect(open.closed?.error?.code == .timeout)
    }

    @Test("an idle time ends a silent connection in every dialect", arguments: Self.dialects)
    func idle(_ dialect: Dialect) throws {
        var open = try OpenConnection(.server, dialect: dialect) {
            $0.keepAlive.idleTimeout = .seconds(5)
            $0.keepAlive.pingInterval = nil
        }
        open.advance(by: .milliseconds(4999))
        #expect(open.closed == nil && open.written().isEmpty)
        // The closing handshake that follows is bounded as any.
        open.advance(by: .seconds(11))
        #expect(open.closed != nil)
    }

    @Test("a peer in the middle of a message is not idle, in every dialect", arguments: Self.dialects)
    func partIsNotIdle(_ dialect: Dialect) throws {
        var open = try OpenConnection(.server, dialect: dialect) {
            $0.keepAlive.idleTimeout = .seconds(5)
            $0.keepAlive.pingInterval = nil
        }
        let (begin, part): ([UInt8], [UInt8]) =
            switch dialect.framing {
            case .rfc6455: (open.frame(0x02), open.frame(0x00, [0x61]))
            case .hixie: ([0x00], [0x61])
            case .whatwg2010: ([0xFF, 0, 0, 0, 0, 0, 0, 0, 20], [0x61])
            }
        open.receive(begin)
        for _ in 0..<4 {
            open.advance(by: .seconds(4))
            open.receive(part)
        }
        open.advance(by: .milliseconds(4999))
        var isClosing = open.connection.isClosing
        #expect(!isClosing)
        open.advance(by: .milliseconds(1))
        isClosing = open.connection.isClosing
        #expect(isClosing, "it is once it falls silent")
    }

    @Test("a part with a ping behind it is a sign of life, a ping alone is none", arguments: [Role.client, .server])
    func pingWithinMessage(_ role: Role) throws {
        var open = try OpenConnection(role) {
            $0.keepAlive.idleTimeout = .seconds(5)
            $0.keepAlive.pingInterval = nil
        }
        open.receive(open.frame(0x02, [1]))
        open.advance(by: .seconds(4))
        open.receive(open.frame(0x00, [2]) + open.frame(0x89, [7]))
        open.advance(by: .seconds(4))
        open.receive(open.frame(0x89, [8]))
        open.advance(by: .milliseconds(999))
        var isClosing = open.connection.isClosing
        #expect(!isClosing)
        open.advance(by: .milliseconds(1))
        isClosing = open.connection.isClosing
        #expect(isClosing)
    }

    @Test("a peer that takes bytes slowly is neither idle nor silent", arguments: [Role.client, .server])
    func slowReader(_ role: Role) throws {
        var open = try OpenConnection(role) {
            $0.keepAlive.idleTimeout = .seconds(30)
            $0.keepAlive.pingInterval = .seconds(5)
            $0.keepAlive.pongTimeout = .seconds(10)
            $0.timeouts.stalledWrite = .seconds(60)
        }
        open.connection.setCongested(true, now: open.now)
        for _ in 0..<20 {
            open.advance(by: .seconds(9))
            open.connection.writesProgressed(now: open.now)
        }
        var isClosing = open.connection.isClosing
        #expect(!isClosing, "the ping waits behind the bytes")
        open.advance(by: .seconds(9))
        open.connection.setCongested(false, now: open.now)
        open.advance(by: .milliseconds(9999))
        isClosing = open.connection.isClosing
        #expect(!isClosing, "all has left now, and the answer has its time")
        open.advance(by: .milliseconds(1))
        #expect(open.closed?.error?.code == .timeout)
    }

    @Test("time in which nothing is read is no idle time", arguments: Self.dialects)
    func pausedIsNotIdle(_ dialect: Dialect) throws {
        var open = try OpenConnection(.server, dialect: dialect) {
            $0.keepAlive.idleTimeout = .seconds(5)
            $0.keepAlive.pingInterval = nil
        }
        open.isPaused = true
        open.advance(by: .seconds(60))
        open.isPaused = false
        open.connection.readingResumes(now: open.now, pausedSince: open.now - .seconds(60))
        open.advance(by: .milliseconds(4999))
        var isClosing = open.connection.isClosing
        #expect(!isClosing)
        open.advance(by: .milliseconds(1))
        isClosing = open.connection.isClosing
        #expect(isClosing)
    }

    @Test("a ping that is due before the idle time has passed is a ping", arguments: [Role.client, .server])
    func pingsBeforeIdle(_ role: Role) throws {
        var open = try OpenConnection(role) {
            $0.keepAlive.idleTimeout = .seconds(60)
            $0.keepAlive.pingInterval = .seconds(20)
        }
        open.advance(by: .seconds(20))
        #expect(open.written().first == 0x89)
        #expect(open.closed == nil)
    }

    @Test("the answer to the peer's close is held back for the time that was set", arguments: [Role.client, .server])
    func held(_ role: Role) throws {
        var open = try OpenConnection(role) { $0.timeouts.closeHold = .seconds(3) }
        open.connection.socket.holdsClose = true
        open.receive(open.frame(0x88, [3, 232]))
        open.advance(by: .milliseconds(2999))
        #expect(open.written().isEmpty)
        open.advance(by: .milliseconds(1))
        #expect(open.written().first == 0x88)
    }
}
