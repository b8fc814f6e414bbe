// The ways in which the world goes wrong, each of which meets each stage of a connection.

enum Fault: String, CaseIterable, Sendable {
    /// Bytes arrive in pieces, cut anywhere.
    case split
    /// Nothing arrives for a while, then all of it.
    case delay
    /// Nothing arrives any more; some stalls pass.
    case stall
    /// Timers fire late, and those of the two sides in the other order.
    case lateTimer
    /// A side ends its stream and still reads.
    case halfClose
    /// The connection is reset: bytes on their way are lost.
    case reset
    /// The network loses all behind some byte, both ways, and nobody is told.
    case cut
    /// The transport of one side is gone.
    case gone
    /// The application takes no messages any more.
    case readsNothing
    /// The bytes that a side writes never leave it.
    case neverDrains
    // The endpoint, or the handler of challenges.
    case answersLate, answersTwice, answersNever
    /// The application gives up.
    case cancelled
    /// The machine sleeps: time passes and no timer fires meanwhile.
    case clockJump
    /// Bytes that the peer never wrote come between its own.
    case garbage
    /// The peer turns into an attacker: a script is played, and what the honest one writes is dropped.
    case takeover
    /// Control frames and tiny messages without an end, from a peer that keeps to the rules of framing.
    case flood
}
