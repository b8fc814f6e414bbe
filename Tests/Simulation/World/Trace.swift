// The trace of a run: a number for all that happened in it, and the story in words where somebody wants to read it.

import NIOCore

struct Trace {
    /// The same for two runs alone that did the same at the same times and wrote the same bytes.
    private(set) var digest = Digest()
    private(set) var lines: [String] = []
    private let tells: Bool
    /// True where the steps' words count as well: to make them takes longer than the run.
    private let isCompared: Bool

    init(tells: Bool, isCompared: Bool) {
        self.tells = tells
        self.isCompared = isCompared
    }

    mutating func note(_ now: NIODeadline, _ sentence: @autoclosure () -> String) {
        self.digest.add(now.uptimeNanoseconds)
        guard self.tells || self.isCompared else { return }
        let sentence = sentence()
        if self.isCompared { self.digest.add(ByteBuffer(string: sentence)) }
        guard self.tells else { return }
        self.lines.append("\(now.uptimeNanoseconds / 1_000_000 - 1_000_000) ms: \(sentence)")
    }

    mutating func note(_ bytes: ByteBuffer) { self.digest.add(bytes) }
}
