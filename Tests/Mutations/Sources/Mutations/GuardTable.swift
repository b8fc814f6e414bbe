// `guards.txt`: the guards of threats where a comment beside the guard does not name them, and the mutants that are
// written there in full.

internal import Foundation

struct GuardTable {
    struct Line {
        var threat: String
        /// A part of the names of mutants; for one that is written, the end of a file's path as well, before the first
        /// space.
        var place: String
        var kind: String
        /// A part of what changes; for one that is written, all of it.
        var text: String
        /// The change, for one that is written.
        var after: String?

        func matches(_ mutant: Mutant) -> Bool {
            mutant.id.contains(self.place) && (self.kind.isEmpty || mutant.kind.rawValue == self.kind)
                && (self.text.isEmpty || mutant.before.contains(self.text))
                && (self.after == nil || self.after == mutant.after)
        }
    }

    /// An expression and what it gives way to.
    struct Written {
        var place: String
        var before: String
        var after: String
    }

    let lines: [Line]

    init(root: URL) throws {
        let text = try String(contentsOf: root.appending(path: "Tests/Mutations/guards.txt"), encoding: .utf8)
        self.lines = try text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map(Self.line)
    }

    private static func line(_ text: Substring) throws -> Line {
        let cells = text.split(separator: "|", omittingEmptySubsequences: false)
            .map { $0.trimmingCharacters(in: .whitespaces) }
        guard cells.count >= 4 else { throw Failure("guards.txt: \(text)") }
        var line = Line(
            threat: cells[0],
            place: cells[1],
            kind: cells[2],
            text: cells[3...].joined(separator: " | ")
        )
        if line.kind == Mutant.Kind.written.rawValue {
            let sides = line.text.components(separatedBy: " → ")
            guard sides.count == 2 else { throw Failure("guards.txt: no change is written in \(text)") }
            (line.text, line.after) = (sides[0], sides[1])
        }
        return line
    }

    /// The mutants that are written for a file.
    func written(for path: String) -> [Written] {
        let path = Mutant.shortened(path)
        return self.lines.compactMap { line in
            guard let after = line.after, line.place.prefix(while: { $0 != " " }) == path else { return nil }
            return Written(place: line.place, before: line.text, after: after)
        }
    }
}
