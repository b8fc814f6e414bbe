// The drain of a gateway, as its services and sessions see it: on or off for all of them at once, whatever a reload makes anew.

import Synchronization

final class Drain: Sendable {
    private struct State {
        var isOn = false
        var round = 0
    }

    private let state = Mutex(State())
    /// The time between two lines about a drain that goes on.
    let progress: Duration
    /// The time for the answers to the last close frames.
    let grace: Duration

    init(progress: Duration = .seconds(5), grace: Duration = .seconds(1)) {
        self.progress = progress
        self.grace = grace
    }

    /// Clients are sent away.
    var isOn: Bool { self.state.withLock { $0.isOn } }

    /// The number of drains that an operator has called off. A close that was put off counts only while this is what it was.
    var round: Int { self.state.withLock { $0.round } }

    func begin() { self.state.withLock { $0.isOn = true } }

    /// Clients may come again, and sessions that were to be closed live on.
    func callOff() {
        self.state.withLock { state in
            state.isOn = false
            state.round += 1
        }
    }
}
