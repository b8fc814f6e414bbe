import KHPProtocol
import NIOCore
import Testing

@Suite("Keep-alive while nothing is read")
struct PausedReadingTests {
    /// An open server connection that pings after 20 s and waits 20 s for the pong.
    private func openConnection(now: NIODeadline) throws -> Connection {
        var connection = Connection(server: ConnectionConfiguration(), isSecure: false, now: now)
        connection.transportUp(now: now)
        connection.start(now: now)
        let request =
            "GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        connection.receive(ByteBuffer(string: request), now: now)
        guard case .server(.decideOpening)? = connection.next(now: now, isPaused: false) else {
            throw WebSocketError(.invalidArgument, "no request")
        }
        connection.acceptOpening(EndpointPlan(), now: now)
        while connection.next(now: now, isPaused: false) != nil {}
        while connection.output.next() != nil {}
        return connection
    }

    @Test("a message that arrived in two reads leaves no deadline behind")
    func completed() throws {
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var connection = try self.openConnection(now: start)
        let frame: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
        var messages = 0
        var hasEnded = false
        for second in 1...400 {
            let now = start + .seconds(Int64(second))
            // The frame in two reads at first; then a pong every ten seconds shows that the peer lives.
            switch second {
            case 1: connection.receive(ByteBuffer(bytes: frame[..<8]), now: now)
            case 2: connection.receive(ByteBuffer(bytes: frame[8...]), now: now)
            case _ where second % 10 == 0: connection.receive(ByteBuffer(bytes: [0x8A, 0x80, 1, 2, 3, 4]), now: now)
            default: break
            }
            if let deadline = connection.deadline, deadline <= now { connection.timeReached(now: now) }
            while let action = connection.next(now: now, isPaused: false) {
                if case .message = action { messages += 1 }
                if case .closed = action { hasEnded = true }
            }
        }
        #expect(messages == 1)
        #expect(!hasEnded)
    }

    @Test("a peer whose pongs nobody reads is not taken for dead", arguments: [false, true])
    func paused(_ isPaused: Bool) throws {
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var connection = try self.openConnection(now: start)
        var hasEnded = false
        for second in 1...120 {
            let now = start + .seconds(Int64(second))
            if isPaused { connection.readingIsPaused(now: now) }
            if let deadline = connection.deadline, deadline <= now { connection.timeReached(now: now) }
            while let action = connection.next(now: now, isPaused: isPaused) {
                if case .closed = action { hasEnded = true }
            }
        }
        #expect(hasEnded == !isPaused)
    }
}
