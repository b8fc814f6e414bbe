// The code of the page on servers that change while they run, kept compiling. scripts/check-docs.py holds the page
// against it.

import KHPServer

func replaced(_ server: WebSocketServer) throws {
    try server.replaceEndpoints {
        Endpoint("/orders") { socket in
            for try await message in socket.messages {
                try await socket.send(message)
            }
        }
        Endpoint("/moved/{rest...}") { _ in .redirect(to: "/orders") }
    }
}
