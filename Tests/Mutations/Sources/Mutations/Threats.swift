// Shows for each row of Specs/threats.md a mutant of its guard and the test of that row that goes red.

package import Foundation

/// The rows of Specs/threats.md and the guards that keep them.
package struct Threats {
    struct Row {
        var id: String
        var threat: String
        var keptIn: [String]
        var tests: Set<String>
        /// Of ``TranscriptTests`` these alone are the row's.
        var transcripts: Set<String>
    }

    let rows: [Row]
    /// The guards of `guards.txt`, by threat.
    private let guards: [String: [GuardTable.Line]]
    private let root: URL

    package init(root: URL) throws {
        self.root = root
        let page = try String(contentsOf: root.appending(path: "Specs/threats.md"), encoding: .utf8)
        self.rows = page.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 5, cells[0].wholeMatch(of: /[A-I][0-9]+/) != nil else { return nil }
            var tests = Set(cells[4].matches(of: /`([A-Za-z0-9]+Tests)`/).map { String($0.1) })
            let transcripts = Set(cells[4].matches(of: /`([A-Za-z0-9-]+\.khp)`/).map { String($0.1) })
            if !transcripts.isEmpty { tests.insert("TranscriptTests") }
            return Row(
                id: cells[0],
                threat: cells[1],
                keptIn: cells[3].matches(of: /`([A-Za-z0-9\/.]+)`/).map { String($0.1) },
                tests: tests,
                transcripts: transcripts
            )
        }
        self.guards = Dictionary(grouping: try GuardTable(root: root).lines, by: \.threat)
    }

    /// The lines of `guards.txt` that name no mutant: their guards have gone, or have other names now.
    package func stray(among mutants: [Mutant]) -> [String] {
        self.guards.flatMap { id, lines in
            lines.filter { line in !mutants.contains(where: line.matches) }.map { "\(id) | \($0.place) | \($0.kind)" }
        }.sorted()
    }

    /// The suites that some rows name, and modules of suites.
    package func tests(of ids: Set<String>) -> Set<String> {
        self.rows.filter { ids.contains($0.id) }.reduce(into: []) { $0.formUnion($1.tests) }
    }

    /// The mutants of a row's guard: those that `guards.txt` names, then those beside a comment that cites the threat,
    /// then those of the types that keep the bound.
    package func candidates(_ id: String, among mutants: [Mutant]) -> [Mutant] {
        let named = (self.guards[id] ?? []).flatMap { line in mutants.filter(line.matches).prefix(12) }
        guard let row = self.rows.first(where: { $0.id == id }) else { return [] }
        var near: [(distance: Int, mutant: Mutant)] = []
        for (file, here) in Dictionary(grouping: mutants, by: \.file) {
            guard let text = try? String(contentsOf: self.root.appending(path: file), encoding: .utf8) else { continue }
            for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                guard line.contains("threat"),
                    line.split(whereSeparator: { !$0.isLetter && !$0.isNumber }).contains(Substring(id))
                else { continue }
                near += here.compactMap {
                    let distance = $0.lines.lowerBound - (index + 1)
                    return (-1...12).contains(distance) ? (abs(distance), $0) : nil
                }
            }
        }
        let types = row.keptIn.flatMap { type in mutants.filter { $0.id.contains(".swift \(type).") } }
        let others =
            near.sorted { ($0.distance, $0.mutant.id) < ($1.distance, $1.mutant.id) }.map(\.mutant)
            + types
        // A guard that is gone or weaker asks more of a test than one that refuses all.
        return named + others.filter(\.isWeaker) + others.filter { !$0.isWeaker && $0.isGuard }
    }

    /// The most mutants that are tried for a row: its guard is among the first, or ``guards`` should name it.
    private static let tries = 16

    /// The lines of the page that stands, by threat, whose mutants are still there.
    package func known(among mutants: [Mutant]) -> [String: String] {
        let ids = Set(mutants.map(\.id))
        let page = try? String(contentsOf: self.root.appending(path: "Specs/guards.md"), encoding: .utf8)
        var lines: [String: String] = [:]
        for line in (page ?? "").split(separator: "\n") {
            guard let match = line.firstMatch(of: /^\| threat ([A-I][0-9]+) \| `([^`]+)` \|/),
                ids.contains(String(match.2))
            else { continue }
            lines[String(match.1)] = String(line)
        }
        return lines
    }

    /// Tries each row's mutants against its own tests until one goes red.
    /// - Parameters:
    ///   - only: the rows to try; all of them where it is empty.
    ///   - known: the lines of rows that are not tried again.
    package func page(
        _ trial: Trial,
        mutants: [Mutant],
        only: Set<String>,
        known: [String: String] = [:]
    ) throws -> Page {
        var lines: [String] = []
        var green: [String] = []
        for row in self.rows {
            if !only.contains(row.id), let line = known[row.id] {
                lines.append(line)
                continue
            }
            // A row without suites is kept by a script, which has a test of its own and no mutants here.
            guard !row.tests.isEmpty, only.isEmpty || only.contains(row.id) else { continue }
            var shown: String?
            for mutant in self.candidates(row.id, among: mutants).prefix(Self.tries) {
                let verdict = try trial.verdict(on: mutant, only: row.tests, transcripts: row.transcripts)
                guard verdict.isNoticed else { continue }
                shown =
                    "| threat \(row.id) | `\(mutant.id)` | \(Report.code(mutant.before)) → \(Report.code(mutant.after)) |"
                    + " \(Report.plain(verdict.by)) |"
                break
            }
            if let shown { lines.append(shown) } else { green.append(row.id) }
            say(shown ?? "| \(row.id) | stays green |")
        }
        return Page(lines: lines, green: green)
    }

    /// The lines of Specs/guards.md, and the ids of the rows that stayed green.
    package struct Page {
        var lines: [String]
        package var green: [String]

        package func write(to root: URL) throws {
            let text = """
                # Guards

                `make mutate-threats` writes this page: for each threat of [threats.md](threats.md) a mutant of a guard that
                keeps its bound, and the test of the row that goes red with it. [Mutations](../Tests/Mutations/README.md)
                tells how. A threat that is not here has no mutant yet that the tests of its row notice: its guard may be
                no condition (random masks) or no Swift (a script), or `Tests/Mutations/guards.txt` does not name it.

                | threat | mutant | change | red |
                |---|---|---|---|

                """
            try Data((text + self.lines.joined(separator: "\n") + "\n").utf8)
                .write(to: root.appending(path: "Specs/guards.md"))
        }
    }
}
