// The code in the documentation of groups, kept compiling.

import KHPServer

func feed() async throws -> Endpoint {
    let feed = WebSocketGroup()
    let endpoint = Endpoint("/feed") { socket in
        try await feed.withMember(socket, topics: ["gold"]) { _ in
            for try await _ in socket.messages {}
        }
    }
    try await feed.publish("1,912.40", to: "gold")
    return endpoint
}

func room() -> Endpoint {
    let room = WebSocketGroup()
    let chat = Endpoint("/chat") { socket in
        try await room.withMember(socket) { member in
            for try await line in socket.texts {
                try await room.publish(line, except: member)
            }
        }
    }
    return chat
}

func ticker() -> WebSocketGroup {
    var options = WebSocketGroup.Options()
    options.slowMembers = .dropOldest
    let ticker = WebSocketGroup(options: options)
    return ticker
}
