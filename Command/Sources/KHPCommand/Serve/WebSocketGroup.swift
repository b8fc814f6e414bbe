import KHPServer
import NIOCore
import Synchronization

/// Sockets that all get what is sent to any of them: everyone on one path, for the routes `broadcast` and `chat`.
///
/// A message goes to all, its sender too, and all see the same order. Each member has a queue, which a task of the
/// member's own empties; a message is put into all queues or, while one of them is full, into none. So nothing piles up,
/// and a member that is slow slows the senders down. Members that take nothing are dropped once they have held the others
/// up for ``GroupState/patience``, all of them together.
final class WebSocketGroup: Sendable {
    private let state: Mutex<GroupState>

    /// - Parameter patience: how long members that take nothing may hold the others up.
    init(patience: Duration = GroupState.patience) {
        self.state = Mutex(GroupState(patience: patience))
    }

    /// How many members there are.
    var count: Int { self.state.withLock { $0.count } }

    // MARK: Members

    /// The route `broadcast`: each message of a member goes to all.
    func broadcast(_ socket: WebSocket) async throws {
        try await self.attend(socket) { _ in
            for try await message in socket.messages { await self.send(message) }
        }
    }

    /// Runs `body` while the socket is a member, and sends it what is sent to all.
    func attend(_ socket: WebSocket, _ body: (_ id: Int) async throws -> Void) async throws {
        let id = self.state.withLock { $0.enter(now: .now) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer {
                self.leave(id)
                group.cancelAll()
            }
            group.addTask { await self.deliver(to: socket, id) }
            group.addTask {
                guard await self.isDropped(id) else { return }
                _ = try? await socket.close(code: .tryAgainLater, reason: "too slow")
            }
            try await body(id)
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
                self.state.withLock {
                    $0.take(id, now: .now, isCancelled: Task.isCancelled) { continuation.resume(returning: $0) }
                }.resume()
            }
        } onCancel: {
            self.leave(id)
        }
    }

    /// Waits until a member leaves or is dropped, and tells which.
    private func isDropped(_ id: Int) async -> Bool {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.state.withLock {
                    $0.watch(id, isCancelled: Task.isCancelled) { continuation.resume(returning: $0) }
                }.resume()
            }
        } onCancel: {
            self.leave(id)
        }
    }

    // MARK: Sending

    /// Puts a message into the queues of all, once each of them has room. A task that is cancelled does not wait.
    func send(_ message: WebSocketMessage) async {
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
                self.state.withLock { $0.wait(ticket, isCancelled: Task.isCancelled) { continuation.resume() } }
                    .resume()
            }
        } onCancel: {
            self.state.withLock { $0.giveUp(ticket) }.resume()
        }
    }
}
