// The tables that a run ends with.

package import Foundation

package struct Report {
    private let entries: [(mutant: Mutant, verdict: Verdict)]
    /// The reasons of `survivors.md`, by id.
    private let reasons: [String: String]

    package init(_ entries: [(mutant: Mutant, verdict: Verdict)], root: URL) {
        self.entries = entries.sorted { $0.mutant.number < $1.mutant.number }
        self.reasons = Self.reasons(root)
    }

    /// Why no test can notice a survivor, by id.
    package static func reasons(_ root: URL) -> [String: String] {
        let listed = try? String(contentsOf: root.appending(path: "Tests/Mutations/survivors.md"), encoding: .utf8)
        var reasons: [String: String] = [:]
        for line in (listed ?? "").split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            if cells.count >= 2 { reasons[cells[0].trimmingCharacters(in: ["`"])] = cells[1] }
        }
        return reasons
    }

    /// Survivors that no reason explains.
    package var unexplained: [(mutant: Mutant, verdict: Verdict)] {
        self.entries.filter { !$0.verdict.isNoticed && self.reasons[$0.mutant.id] == nil }
    }

    package var score: Double {
        self.entries.isEmpty ? 1 : Double(self.entries.count { $0.verdict.isNoticed }) / Double(self.entries.count)
    }

    /// One line for each folder, and one for all.
    package var scores: String {
        var lines = [
            "| folder | mutants | noticed | score | survivors with a reason | without one |",
            "|---|---|---|---|---|---|",
        ]
        let folders = Set(self.entries.map(\.mutant.folder)).sorted()
        for folder in folders + ["all"] {
            let here = self.entries.filter { folder == "all" || $0.mutant.folder == folder }
            let noticed = here.count { $0.verdict.isNoticed }
            let explained = here.count { !$0.verdict.isNoticed && self.reasons[$0.mutant.id] != nil }
            let share = (1000 * noticed / max(here.count, 1))
            lines.append(
                "| \(folder) | \(here.count) | \(noticed) | \(share / 10).\(share % 10) % | \(explained) |"
                    + " \(here.count - noticed - explained) |"
            )
        }
        return lines.joined(separator: "\n") + "\n"
    }

    package var text: String {
        var lines = [
            "# Mutants", "", self.scores, "| mutant | line | before | after | outcome | by |",
            "|---|---|---|---|---|---|",
        ]
        for (mutant, verdict) in self.entries {
            let cells = [
                "`\(mutant.id)`", "\(mutant.lines.lowerBound)", Self.code(mutant.before), Self.code(mutant.after),
                verdict.outcome.rawValue, Self.plain(verdict.by),
            ]
            lines.append("| " + cells.joined(separator: " | ") + " |")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    static func code(_ text: String) -> String { "`" + Self.plain(text) + "`" }

    static func plain(_ text: String) -> String { text.replacing("|", with: "\\|") }
}
