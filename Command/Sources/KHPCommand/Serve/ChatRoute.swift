// The route `chat`: text lines with the name of the member who said them.

import KHPServer
import Synchronization

/// The names of the members of a group, and the lines that they say.
final class ChatRoute: Sendable {
    private let group = WebSocketGroup()
    private let names = Mutex<[Int: String]>([:])

    /// One member, from its coming to its leaving.
    func chat(_ socket: WebSocket) async throws {
        let principal = socket.negotiated.principal.map { TerminalText.escaped($0.name) }
        var last = ""
        try await self.group.attend(socket) { id in
            self.names.withLock { $0[id] = principal ?? "guest-\(id)" }
            defer { last = self.names.withLock { $0.removeValue(forKey: id) } ?? "" }
            let count = self.group.count
            await self.group.send(.text("* \(self.name(id)) came; there are \(count) here. /nick NAME changes a name"))
            do {
                for try await message in socket.messages {
                    guard case .text(let text) = message else { continue }
                    await self.say(text, id)
                }
            } catch {
                // A member that is gone without a word is gone all the same.
            }
        }
        await self.group.send(.text("* \(last) left"))
    }

    private func say(_ text: String, _ id: Int) async {
        let name = self.name(id)
        guard text.hasPrefix("/nick ") else { return await self.group.send(.text("\(name): \(text)")) }
        let wanted = TerminalText.escaped(text.dropFirst(6).trimmingSpaces().prefix(32))
        if self.rename(id, wanted) { await self.group.send(.text("* \(name) is now \(wanted)")) }
    }

    private func name(_ id: Int) -> String { self.names.withLock { $0[id] } ?? "somebody" }

    /// - Returns: `false` where somebody has that name.
    private func rename(_ id: Int, _ name: String) -> Bool {
        self.names.withLock { names in
            guard !name.isEmpty, !names.values.contains(name) else { return false }
            names[id] = name
            return true
        }
    }
}
