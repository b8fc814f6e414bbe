// The group of a route: messages go to all, and those who do not read hold the others up for a while only.

import KHPServer

/// Everyone on one path, for the routes `broadcast` and `chat`. A message goes to all, its author too.
struct Room: Sendable {
    let group: WebSocketGroup

    /// - Parameter patience: how long members that take nothing may hold the others up.
    init(patience: Duration = .seconds(5)) {
        var options = WebSocketGroup.Options()
        options.slowMembers = .wait(atMost: patience)
        self.group = WebSocketGroup(options: options)
    }

    /// The route `broadcast`: each message of a member goes to all.
    func broadcast(_ socket: WebSocket) async throws {
        try await self.group.withMember(socket) { _ in
            for try await message in socket.messages { try await self.group.publish(message) }
        }
    }
}
