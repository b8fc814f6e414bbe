// The route `chat`: text lines with the name of the member who said them.

import KHPGateway
import KHPServer
import Synchronization

/// The names of the members of a group, and the lines that they say.
final class ChatRoute: Sendable {
    private let group = Room().group
    private let names = Mutex(Names())

    private struct Names {
        var last = 0
        var members: [Int: String] = [:]

        /// - Returns: the number of one who comes.
        mutating func add(_ name: String?) -> Int {
            self.last += 1
            self.members[self.last] = name ?? "guest-\(self.last)"
            return self.last
        }
    }

    /// One member, from its coming to its leaving.
    func chat(_ socket: WebSocket) async throws {
        let principal = socket.negotiated.principal.map { TerminalText.escaped($0.name) }
        let id = self.names.withLock { $0.add(principal) }
        do {
            try await self.group.withMember(socket) { _ in
                let count = self.group.count
                try await self.say("* \(self.name(id)) came; there are \(count) here. /nick NAME changes a name")
                for try await message in socket.messages {
                    guard case .text(let text) = message else { continue }
                    try await self.take(text, of: id)
                }
            }
        } catch {
            // A member that is gone without a word is gone all the same.
        }
        let name = self.names.withLock { $0.members.removeValue(forKey: id) } ?? ""
        try? await self.say("* \(name) left")
    }

    private func say(_ line: String) async throws { try await self.group.publish(line) }

    private func take(_ text: String, of id: Int) async throws {
        let name = self.name(id)
        guard text.hasPrefix("/nick ") else { return try await self.say("\(name): \(text)") }
        let wanted = TerminalText.escaped(text.dropFirst(6).trimmingSpaces().prefix(32))
        if self.rename(id, wanted) { try await self.say("* \(name) is now \(wanted)") }
    }

    private func name(_ id: Int) -> String { self.names.withLock { $0.members[id] } ?? "somebody" }

    /// - Returns: `false` where somebody has that name.
    private func rename(_ id: Int, _ name: String) -> Bool {
        self.names.withLock { names in
            guard !name.isEmpty, !names.members.values.contains(name) else { return false }
            names.members[id] = name
            return true
        }
    }
}
