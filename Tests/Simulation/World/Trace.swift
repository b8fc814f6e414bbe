// The trace of a run: a number for all that happened in it, and the story in words where somebody wants to read it.

import NIOCore

struct Trace {
    /// The same for two runs alone that did the same at the same times and wrote the same bytes.
    private(set) var digest = Digest()
    private(set) var lines: [String] = []
    private let tells: Bool

    init(tells: Bool) { self.tells = tells }

    mutating func note(_ now: NIODeadline, _ sentence: @autoclosure () -> String) {
        self.digest.add(now.uptimeNanoseconds)
        guard self.tells else { return }
        self.lines.append("\(now.uptimeNanoseconds / 1_000_000 - 1_000_000) ms: \(sentence())")
    }

    mutating func note(_ bytes: ByteBuffer) { self.digest.add(bytes) }
}
