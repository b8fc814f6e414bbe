import KHPServer
import NIOCore
import Synchronization

/// Everyone on one path, for the routes `broadcast` and `chat`.
///
/// A message goes to all, its sender too. Who does not take messages for ``patience`` is dropped, so that one slow
/// reader cannot stop the others for good; until then it slows the senders down, and nothing piles up.
final class Room: Sendable {
    /// How long a member may let the others wait.
    static let patience = Duration.seconds(5)

    private struct Member: Sendable {
        var socket: WebSocket
        var name: String
    }

    private struct State {
        var members: [Int: Member] = [:]
        var next = 1
    }

    private let state = Mutex(State())

    /// The route `broadcast`.
    func broadcast(_ socket: WebSocket) async throws {
        let (id, _) = enter(socket)
        defer { leave(id) }
        for try await message in socket.messages { await send(message) }
    }

    /// The route `chat`: text lines with the name of who said them.
    func chat(_ socket: WebSocket) async throws {
        let (id, name) = enter(socket)
        defer { leave(id) }
        await send(.text("* \(name) came; there are \(count) here. /nick NAME changes a name"))
        do {
            for try await message in socket.messages {
                guard case .text(let text) = message else { continue }
                await say(text, id)
            }
        } catch {
            // Who is gone without a word is gone all the same.
        }
        let last = self.name(id)
        leave(id)
        await send(.text("* \(last) left"))
    }

    private func say(_ text: String, _ id: Int) async {
        let name = self.name(id)
        guard text.hasPrefix("/nick ") else { return await send(.text("\(name): \(text)")) }
        let wanted = TerminalText.escaped(text.dropFirst(6).trimmingSpaces().prefix(32))
        let renamed = state.withLock { state in
            guard !wanted.isEmpty, !state.members.values.contains(where: { $0.name == wanted }) else { return false }
            state.members[id]?.name = wanted
            return true
        }
        if renamed { await send(.text("* \(name) is now \(wanted)")) }
    }

    private var count: Int { state.withLock { $0.members.count } }

    private func name(_ id: Int) -> String { state.withLock { $0.members[id]?.name ?? "somebody" } }

    private func enter(_ socket: WebSocket) -> (id: Int, name: String) {
        state.withLock { state in
            let id = state.next
            state.next += 1
            let name = socket.negotiated.principal.map { TerminalText.escaped($0) } ?? "guest-\(id)"
            state.members[id] = Member(socket: socket, name: name)
            return (id, name)
        }
    }

    private func leave(_ id: Int) {
        state.withLock { $0.members[id] = nil }
    }

    private func send(_ message: WebSocketMessage) async {
        let members = state.withLock { $0.members }
        for (id, member) in members.sorted(by: { $0.key < $1.key }) {
            if await !Self.deliver(message, to: member.socket) { leave(id) }
        }
    }

    /// - Returns: false when the member is gone, or too slow.
    private static func deliver(_ message: WebSocketMessage, to socket: WebSocket) async -> Bool {
        let hurry = Task {
            try await Task.sleep(for: patience)
            // Ends the send that waits.
            try await socket.close(code: .tryAgainLater, reason: "too slow")
        }
        defer { hurry.cancel() }
        do {
            try await socket.send(message)
            return true
        } catch let error as WebSocketError where error.code == .invalidArgument {
            // Binary, and the member's dialect has none: this message is not for them, the next one may be.
            return true
        } catch {
            return false
        }
    }
}
