// The timers of the event loops that sockets use. They are NIO's own, so that a loop of the test's cannot stand in for them;
// but a loop describes what it has scheduled.

import NIOCore
import NIOPosix

@testable import KHPWebSocket

enum LoopTimers {
    /// The connections of runs over sockets, and the loops on which a server drains.
    private static var loops: [any EventLoop] {
        [TortureRun.connections, .singleton].flatMap { $0.makeIterator().map { $0 } }
    }

    /// The times of all timers that are set.
    static func set() -> Set<UInt64> { Set(Self.loops.flatMap { Self.times(of: $0) }) }

    /// How many timers have been set since, and are. Those of TLS do not count: the library leaves the one for its goodbye
    /// behind, as long as the product lets it.
    static func left(since before: Set<UInt64>, withTLS: Bool) -> Int {
        let goodbye = (NIODeadline.now() + EndTimeouts().goodbye).uptimeNanoseconds
        return Self.set().subtracting(before).count { !withTLS || $0 > goodbye }
    }

    /// How many connections wait for a deadline on the loop of the runs, or are held as busy there.
    static func waiting() async -> Int {
        let loop = TortureRun.connections.next()
        let count = try? await loop.submit {
            let deadlines = LoopDeadlines.of(loop)
            return deadlines.count + deadlines.busy.count
        }.get()
        return count ?? 0
    }

    private static func times(of loop: any EventLoop) -> [UInt64] {
        guard let loop = loop as? any CustomDebugStringConvertible else { return [] }
        return loop.debugDescription.split(separator: "readyTime: ").dropFirst().compactMap { part in
            UInt64(part.prefix { $0.isNumber })
        }
    }
}
