// A state in which an end of ours waits for somebody, held as long as its processor time is measured. The states
// themselves stand in the files whose names begin with this one's.

struct IdleState: Sendable {
    /// Measures once all signs are there; they have to be there still when it has measured.
    typealias Measure = @Sendable (_ signs: [Sign]) async -> Void

    /// A sign by which a state is known to be there: without one a wait would be measured that nobody waits.
    struct Sign: Sendable {
        /// A sentence.
        var name: String
        /// `true` for a state that ends by itself, a second after it began: it may be over behind the measurement.
        var isBrief = false
        var isThere: @Sendable () async throws -> Bool

        init(_ name: String, isBrief: Bool = false, _ isThere: @escaping @Sendable () async throws -> Bool) {
            self.name = name
            self.isBrief = isBrief
            self.isThere = isThere
        }
    }

    var name: String
    /// Brings the state about, measures, and ends it.
    var hold: @Sendable (_ measure: @escaping Measure) async throws -> Void

    static let all: [IdleState] =
        Self.handshakes + Self.openSockets + Self.ends + Self.listeners + Self.exchanges + Self.streams
}
