// All that a run makes and that must be gone when it is over: channels and handlers by weak references, tasks by a count.

import NIOCore
import Synchronization

final class Watch: Sendable {
    /// Unchecked: the reference is only asked whether it is there.
    private final class Trace: @unchecked Sendable {
        let name: String
        weak var object: AnyObject?

        init(_ object: AnyObject, _ name: String) {
            self.name = name
            self.object = object
        }
    }

    private let traces = Mutex<[Trace]>([])
    private let channels = Atomic(0)
    private let running = Atomic(0)

    func note(_ object: AnyObject, _ name: String) {
        let trace = Trace(object, name)
        self.traces.withLock { $0.append(trace) }
    }

    /// A channel counts until it has closed, and leaves a trace until it is freed.
    func note(_ channel: any Channel, _ name: String) {
        self.note(channel as AnyObject, name)
        self.channels.add(1, ordering: .relaxed)
        channel.closeFuture.whenComplete { _ in self.channels.subtract(1, ordering: .relaxed) }
    }

    /// `true` for an object that has not been noted.
    func isNew(_ object: AnyObject) -> Bool { self.traces.withLock { !$0.contains { $0.object === object } } }

    func taskStarts() { self.running.add(1, ordering: .relaxed) }
    func taskEnds() { self.running.subtract(1, ordering: .relaxed) }

    /// How many channels have not closed.
    var open: Int { self.channels.load(ordering: .relaxed) }

    var tasks: Int { self.running.load(ordering: .relaxed) }

    /// The names of the objects that are still there.
    var left: [String] { self.traces.withLock { $0 }.filter { $0.object != nil }.map(\.name) }
}
