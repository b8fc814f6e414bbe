// The check that event loops still serve their connections. A loop that never runs out of tasks would run a probe as well, and
// yet read no socket: so a loop counts as well only when it has read something.

import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// The event loops that have answered.
final class LoopAnswers: Sendable {
    private let numbers = Mutex<Set<Int>>([])

    var all: Set<Int> { self.numbers.withLock { $0 } }

    private func add(_ number: Int) { self.numbers.withLock { _ = $0.insert(number) } }

    /// Has a loop answer as soon as it has run a task, and noticed after it that a pipe has ended.
    func ask(_ loop: any EventLoop, number: Int) {
        loop.execute {
            // Without a descriptor to spare it is known that tasks run, and no more.
            guard let descriptor = Self.endedPipe() else { return self.add(number) }
            NIOPipeBootstrap(group: loop).takingOwnershipOfDescriptor(input: descriptor).whenComplete { result in
                switch result {
                case .success(let channel):
                    channel.closeFuture.whenComplete { _ in self.add(number) }
                case .failure:
                    _ = close(descriptor)
                    self.add(number)
                }
            }
        }
    }

    /// The end of a pipe that is read, whose other end is closed.
    private static func endedPipe() -> CInt? {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { return nil }
        _ = close(ends[1])
        return ends[0]
    }
}
