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
        /// The members that have proved their names by a login.
        var proved: Set<Int> = []

        /// Takes a member in. A name that it has proved to have is taken from those who only chose it.
        /// - Parameter principal: the proved name; `nil` for a guest.
        /// - Returns: its number, and the new names of those who had its name.
        mutating func add(_ principal: String?) -> (id: Int, displaced: [String]) {
            self.last += 1
            let id = self.last
            guard let principal else {
                self.members[id] = self.guestName
                return (id, [])
            }
            let holders = self.members.filter { $0.value == principal && !self.proved.contains($0.key) }.keys.sorted()
            self.members[id] = principal
            self.proved.insert(id)
            let displaced = holders.map { holder in
                let name = self.guestName
                self.members[holder] = name
                return name
            }
            return (id, displaced)
        }

        mutating func remove(_ id: Int) -> String? {
            self.proved.remove(id)
            return self.members.removeValue(forKey: id)
        }

        /// A name that no member has.
        private var guestName: String {
            var number = self.last
            while self.members.values.contains("guest-\(number)") { number += 1 }
            return "guest-\(number)"
        }
    }

    /// One member, from its coming to its leaving.
    func chat(_ socket: WebSocket) async throws {
        let principal = socket.negotiated.principal.map { TerminalText.escaped($0.name) }
        let (id, displaced) = self.names.withLock { $0.add(principal) }
        do {
            try await self.group.withMember(socket) { _ in
                for name in displaced { try await self.say("* \(self.name(id)) is now \(name)") }
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
        let name = self.names.withLock { $0.remove(id) } ?? ""
        try? await self.say("* \(name) left")
    }

    private func say(_ line: String) async throws { try await self.group.publish(line) }

    private func take(_ text: String, of id: Int) async throws {
        let name = self.name(id)
        guard text.hasPrefix("/nick ") else {
            // A line break would let a member write lines of others.
            let line = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).joined(separator: " ")
            return try await self.say("\(name): \(line)")
        }
        let wanted = TerminalText.escaped(text.dropFirst(6).trimmingSpaces().prefix(32))
        if self.rename(id, wanted) { try await self.say("* \(name) is now \(wanted)") }
    }

    private func name(_ id: Int) -> String { self.names.withLock { $0.members[id] } ?? "somebody" }

    /// - Returns: `false` where somebody has that name.
    private func rename(_ id: Int, _ name: String) -> Bool {
        self.names.withLock { names in
            guard !name.isEmpty, !names.members.values.contains(name) else { return false }
            names.members[id] = name
            names.proved.remove(id)
            return true
        }
    }
}
