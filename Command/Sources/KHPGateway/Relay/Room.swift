// A room of clients: of a gateway's service that broadcasts, or of the routes `broadcast` and `chat` of `khp serve`.
// A message goes to all, its author too, in one order; nothing is dropped.

package import KHPServer
import Synchronization

package struct Room: Sendable {
    package let group: WebSocketGroup
    private let count = Count()

    /// How many messages went to all.
    private final class Count: Sendable {
        let messages = Atomic(0)
    }

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
    /// - Parameter onTooSlow: called when the room is about to send it away with 1008, since it does not keep up.
    func enter(_ socket: EventLoopSocket, onTooSlow: @escaping () -> Void) -> WebSocketGroup.Member {
        self.group.add(socket, onTooSlow: onTooSlow)
    }

    /// Takes a member's message to all.
    /// - Returns: `false` where it is more than the room can take.
    func say(_ message: ReceivedMessage) -> Bool {
        guard self.group.offer(message.message) else { return false }
        self.count.messages.add(1, ordering: .relaxed)
        return true
    }

    /// How many messages its members have said.
    var said: Int { self.count.messages.load(ordering: .relaxed) }
}
