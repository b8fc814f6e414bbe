import Synchronization

/// The deeds of the person at the prompt so far, over all connections of a command.
final class Prompt: Sendable {
    private let hasHintedFlag = Atomic<Bool>(false)
    private let hasClosedFlag = Atomic<Bool>(false)

    /// True once `/close` was typed: that is the end that was wanted, whatever its code.
    var hasClosed: Bool { self.hasClosedFlag.load(ordering: .acquiring) }

    func noteClose() { self.hasClosedFlag.store(true, ordering: .releasing) }

    /// True the first time: then the hint about slash words is due.
    func takeHint() -> Bool { !self.hasHintedFlag.exchange(true, ordering: .acquiringAndReleasing) }
}
