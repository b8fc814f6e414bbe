import KHPProtocol
import NIOCore
import Testing

@Suite("Keep-alive while nothing is read")
struct PausedReadingTests {
    /// An open server connection that pings after 20 s and waits 20 s for the pong.
    private func openConnection(now: NIODeadline) throws -> Connection {
        var connection = Connection(server: Connection.Settings(), isSecure: false, now: now)
        connection.transportUp(now: now)
        connection.start(now: now)
        let request =
            "GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        connection.receive(ByteBuffer(string: request), now: now)
        guard case .decideOpening(let opening)? = connection.next(now: now, isPaused: false) else {
            throw WebSocketError(.invalidArgument, "no request")
        }
        connection.acceptOpening(opening, EndpointPlan(), now: now)
        while connection.next(now: now, isPaused: false) != nil {}
        while connection.output.next() != nil {}
        return connection
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
