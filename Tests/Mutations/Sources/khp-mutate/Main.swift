// `khp-mutate`: see Tests/Mutations/README.md.

import Foundation
import Mutations

@main
struct Main {
    static func main() {
        do {
            try Self.run(Array(CommandLine.arguments.dropFirst()))
        } catch {
            say("khp-mutate: \(error)")
            exit(1)
        }
    }

    private static let usage = """
        khp-mutate run [--count N] [--seed S] [--all] [--only TEXT] [--budget SECONDS] [--keep | --resume]
            draws N mutants of guards by the seed and tries each; TEXT is part of their ids.
            --all: of everything that can be mutated
            --budget: of tests for one mutant, 25
            --keep: those that earlier runs have killed count as killed, survivors with a reason as survivors
            --resume: those that earlier runs have tried are not tried again
        khp-mutate threats [--command] [--keep] [ID...]
            writes Specs/guards.md, or the rows named on it; --command builds the tests of the command as well
            --keep: the rows of the page stay whose mutants are still there, and are not tried again
        --as-built takes the copy as the last run has built it
        khp-mutate list [TEXT]       prints the mutants
        """

    private static func run(_ arguments: [String]) throws {
        var arguments = arguments
        let root = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
        func option(_ name: String) -> String? {
            guard let index = arguments.firstIndex(of: name), index + 1 < arguments.count else { return nil }
            defer { arguments.removeSubrange(index...index + 1) }
            return arguments[index + 1]
        }
        guard let command = arguments.first else {
            say(Self.usage)
            return
        }
        arguments.removeFirst()
        var package = try ScratchPackage(root: root)
        let isAsBuilt = arguments.contains("--as-built")
        if !isAsBuilt { try package.write() }
        if command == "list" {
            for mutant in package.mutants where arguments.allSatisfy({ mutant.id.contains($0) }) {
                say(
                    "\(mutant.number) \(mutant.id), line \(mutant.lines.lowerBound): \(mutant.before) → \(mutant.after)"
                )
            }
            say("\(package.mutants.count) mutants")
            return
        }
        let withCommand = arguments.contains("--command")
        arguments.removeAll { $0 == "--command" }
        if isAsBuilt {
            arguments.removeAll { $0 == "--as-built" }
            try package.takeAsBuilt(withCommand: withCommand)
        } else {
            try package.compile(withCommand: withCommand)
        }
        // Rows that are named need no other suites than theirs.
        let rows = command == "threats" ? Set(arguments.filter { !$0.hasPrefix("--") }) : []
        let only = rows.isEmpty ? nil : try Threats(root: root).tests(of: rows)
        let suites = try Suites(of: package, isAsBuilt: isAsBuilt, only: only)
        var trial = Trial(suites: suites, mutants: package.mutants)
        if let budget = option("--budget").flatMap(Double.init) { trial.budget = budget }
        switch command {
        case "run":
            let count = option("--count").flatMap(Int.init) ?? 300
            let seed = option("--seed").flatMap(UInt64.init) ?? 1
            let part = option("--only") ?? ""
            let kept: Kept =
                arguments.contains("--resume") ? .all : arguments.contains("--keep") ? .killed : .none
            let mutants = package.mutants.filter { mutant in
                (mutant.isGuard || arguments.contains("--all"))
                    && (part.isEmpty ? !mutant.file.hasPrefix("Command") : mutant.id.contains(part))
            }
            try Self.runDrawn(package, trial, among: mutants, count: count, seed: seed, kept: kept)
        case "threats":
            let threats = try Threats(root: root)
            for line in threats.stray(among: package.mutants) { say("guards.txt names nothing: \(line)") }
            let keeps = arguments.contains("--keep")
            arguments.removeAll { $0 == "--keep" }
            let page = try threats.page(
                trial,
                mutants: package.mutants,
                only: Set(arguments),
                known: keeps || !arguments.isEmpty ? threats.known(among: package.mutants) : [:]
            )
            try page.write(to: root)
            if !page.green.isEmpty {
                throw Failure("no test of their row goes red: \(page.green.joined(separator: ", "))")
            }
        default: say(Self.usage)
        }
    }

    /// The verdicts of earlier runs that count.
    private enum Kept {
        case none, killed, all
    }

    private static func runDrawn(
        _ package: ScratchPackage,
        _ trial: Trial,
        among mutants: [Mutant],
        count: Int,
        seed: UInt64,
        kept: Kept
    ) throws {
        let drawn = mutants.sorted { drawnRank($0.id, seed: seed) < drawnRank($1.id, seed: seed) }.prefix(count)
        let file = package.folder.appending(path: "verdicts.json")
        var known: [String: Verdict] = [:]
        if let data = try? Data(contentsOf: file) {
            known = (try? JSONDecoder().decode([String: Verdict].self, from: data)) ?? [:]
        }
        let reasons = Report.reasons(package.root)
        var entries: [(mutant: Mutant, verdict: Verdict)] = []
        for mutant in drawn {
            let verdict: Verdict
            if let old = known[mutant.id],
                kept == .all || kept == .killed && (old.isNoticed || reasons[mutant.id] != nil)
            {
                verdict = old
            } else {
                verdict = try trial.verdict(on: mutant)
                known[mutant.id] = verdict
                try JSONEncoder().encode(known).write(to: file)
                say(
                    "\(entries.count + 1) \(verdict.outcome.rawValue) \(mutant.id), line \(mutant.lines.lowerBound):"
                        + " \(mutant.before) → \(mutant.after): \(verdict.by) (\(Int(verdict.seconds * 10)) ds)"
                )
            }
            entries.append((mutant, verdict))
        }
        let report = Report(entries, root: package.root)
        try Data(report.text.utf8).write(to: package.folder.appending(path: "report.md"))
        say(report.scores)
        for (mutant, verdict) in report.unexplained {
            say(
                "\(verdict.outcome.rawValue): \(mutant.id), line \(mutant.lines.lowerBound): \(mutant.before) → \(mutant.after)"
            )
        }
        let seconds = entries.reduce(0) { $0 + $1.verdict.seconds }
        say("seed \(seed), \(entries.count) of \(mutants.count) mutants in \(Int(seconds)) s")
        if report.score < 0.9 { throw Failure("fewer than nine in ten mutants are noticed") }
        if !report.unexplained.isEmpty { throw Failure("survivors that survivors.md does not explain") }
    }
}
