import Synchronization

/// What the person at the prompt has done so far, over all connections of a command.
final class Prompt: Sendable {
    private let hasHintedFlag = Atomic<Bool>(false)
    private let hasClosedFlag = Atomic<Bool>(false)

    /// Whether `/close` was typed: that is the end that was wanted, whatever its code.
    var hasClosed: Bool { hasClosedFlag.load(ordering: .acquiring) }

    func noteClose() { hasClosedFlag.store(true, ordering: .releasing) }

    /// Whether the hint about slash words is due; it is once.
    func takeHint() -> Bool { !hasHintedFlag.exchange(true, ordering: .acquiringAndReleasing) }
}
