import KHPServer
import NIOCore
import Synchronization

/// Everyone on one path, for the routes `broadcast` and `chat`.
///
/// A message goes to all, its sender too, and all see the same order. Each member has a queue, which a task of the
/// member's own empties; a message is put into all queues or, while one of them is full, into none. So nothing piles up,
/// and a member that is slow slows the senders down. Members that take nothing are dropped once they have held the others
/// up for ``RoomState/patience``, all of them together.
final class Room: Sendable {
    private let state: Mutex<RoomState>

    /// - Parameter patience: how long members that take nothing may hold the others up.
    init(patience: Duration = RoomState.patience) {
        self.state = Mutex(RoomState(patience: patience))
    }

    /// The route `broadcast`.
    func broadcast(_ socket: WebSocket) async throws {
        try await self.attend(socket) { _ in
            for try await message in socket.messages { await self.send(message) }
        }
    }

    /// The route `chat`: text lines with the name of who said them.
    func chat(_ socket: WebSocket) async throws {
        let last = try await self.attend(socket) { id in
            await self.send(.text("* \(self.name(id)) came; there are \(self.count) here. /nick NAME changes a name"))
            do {
                for try await message in socket.messages {
                    guard case .text(let text) = message else { continue }
                    await self.say(text, id)
                }
            } catch {
                // A member that is gone without a word is gone all the same.
            }
        }
        await self.send(.text("* \(last) left"))
    }

    private func say(_ text: String, _ id: Int) async {
        let name = self.name(id)
        guard text.hasPrefix("/nick ") else { return await self.send(.text("\(name): \(text)")) }
        let wanted = TerminalText.escaped(text.dropFirst(6).trimmingSpaces().prefix(32))
        if self.state.withLock({ $0.rename(id, wanted) }) { await self.send(.text("* \(name) is now \(wanted)")) }
    }

    private var count: Int { self.state.withLock { $0.count } }

    private func name(_ id: Int) -> String { self.state.withLock { $0.name(id) } }

    // MARK: Members

    /// Runs `body` while the socket is a member, and sends it what the others say.
    /// - Returns: the name that it had last.
    @discardableResult
    private func attend(_ socket: WebSocket, _ body: (_ id: Int) async throws -> Void) async throws -> String {
        let principal = socket.negotiated.principal.map { TerminalText.escaped($0.name) }
        let id = self.state.withLock { $0.enter(principal) }
        return try await withThrowingTaskGroup(of: Void.self) { group in
            defer {
                self.leave(id)
                group.cancelAll()
                self.state.withLock { $0.forget(id) }
            }
            group.addTask { await self.deliver(to: socket, id) }
            group.addTask {
                guard await self.isDropped(id) else { return }
                _ = try? await socket.close(code: .tryAgainLater, reason: "too slow")
            }
            try await body(id)
            return self.name(id)
        }
    }

    private func leave(_ id: Int) {
        self.state.withLock { $0.leave(id) }.resume()
    }

    /// Sends a member what is in its queue, until it leaves or is dropped.
    private func deliver(to socket: WebSocket, _ id: Int) async {
        while let message = await self.take(id) {
            do {
                try await socket.send(message)
            } catch let error as WebSocketError where error.code == .invalidArgument {
                // Binary, and the member's dialect has none: this message is not for them, the next one may be.
            } catch {
                break
            }
        }
        // Nobody empties the queue any more.
        self.leave(id)
    }

    /// The next message of a member's queue, waiting for it; `nil` once it is a member no longer.
    private func take(_ id: Int) async -> WebSocketMessage? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.state.withLock { $0.take(id, continuation, isCancelled: Task.isCancelled) }.resume()
            }
        } onCancel: {
            self.leave(id)
        }
    }

    /// Waits until a member leaves or is dropped, and tells which.
    private func isDropped(_ id: Int) async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.state.withLock { $0.watch(id, continuation, isCancelled: Task.isCancelled) }.resume()
            }
        } onCancel: {
            self.leave(id)
        }
    }

    // MARK: Sending

    /// Puts a message into the queues of all, once each of them has room. A task that is cancelled does not wait.
    private func send(_ message: WebSocketMessage) async {
        while !Task.isCancelled {
            let (deadline, woken) = self.state.withLock { $0.put(message, now: .now) }
            woken.resume()
            guard let deadline else { return }
            let hurry = Task {
                try await Task.sleep(until: deadline, clock: .continuous)
                self.state.withLock { $0.dropFull(now: .now) }.resume()
            }
            defer { hurry.cancel() }
            await self.admission()
        }
    }

    /// Waits until no queue is full.
    private func admission() async {
        let ticket = self.state.withLock { $0.ticket() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.state.withLock { $0.wait(ticket, continuation, isCancelled: Task.isCancelled) }.resume()
            }
        } onCancel: {
            self.state.withLock { $0.giveUp(ticket) }.resume()
        }
    }
}
