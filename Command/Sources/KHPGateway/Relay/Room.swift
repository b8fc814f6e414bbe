// Everyone at one place: the clients of a gateway's service that broadcasts, and of the routes `broadcast` and `chat` of `khp serve`.
// A message goes to all, its author too, in one order; nothing is dropped.

package import KHPServer

package struct Room: Sendable {
    package let group: WebSocketGroup

    /// - Parameter patience: how long members that take nothing may hold the others up, before they are closed; `nil` closes
    ///   them at once, and nobody waits.
    package init(patience: Duration? = .seconds(5)) {
        var options = WebSocketGroup.Options()
        if let patience { options.slowMembers = .wait(atMost: patience) }
        self.group = WebSocketGroup(options: options)
    }

    /// Has a socket be in the room until it ends: each of its messages goes to all.
    package func broadcast(_ socket: WebSocket) async throws {
        try await self.group.withMember(socket) { _ in
            for try await message in socket.messages { try await self.group.publish(message) }
        }
    }

    // MARK: On the event loop

    /// Has a socket be in the room until it leaves.
    func enter(_ socket: EventLoopSocket) -> WebSocketGroup.Member { self.group.add(socket) }

    /// Takes a member's message to all; one that says more than the room can take is sent away.
    func say(_ message: ReceivedMessage, by socket: EventLoopSocket) {
        if !self.group.offer(message.message) { socket.close(code: .tryAgainLater, reason: "too much at once") }
    }
}
