/// An invariant that does not hold.
struct Violation: Error, CustomStringConvertible {
    /// The invariants; a run that is made smaller has to break the same one.
    enum Invariant: String, CaseIterable, Sendable {
        case deadlineAhead = "a time asked for lies in the future"
        case boundedWork = "one step does bounded work"
        case boundedBytes = "bytes held are bounded by the limits"
        case once = "each promise settles exactly once"
        case paused = "an application that takes no messages is handed none"
        case order = "messages that were accepted arrive in order"
        case nothingLost = "an orderly close loses nothing"
        case calm = "where nothing goes wrong both sides close in good order"
        case errorTold = "an end that is not clean says why"
        case boundedTime = "everything ends by its documented bound"
        case secrecy = "no secret is shown, or sent to a host that it does not belong to"
        case sameTrace = "the same seed makes the same trace"
        case plan = "a plan of the library's own is valid"
    }

    var invariant: Invariant
    var sentence: String

    init(_ invariant: Invariant, _ sentence: String) {
        self.invariant = invariant
        self.sentence = sentence
    }

    var description: String { "\(self.invariant.rawValue): \(self.sentence)" }
}
