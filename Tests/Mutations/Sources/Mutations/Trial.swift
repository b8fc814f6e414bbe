// Runs the tests that could notice a mutant, and stops at the first that does.

package import Foundation

/// The outcome for one mutant.
package struct Verdict: Codable, Sendable {
    package enum Outcome: String, Codable, Sendable {
        case killed
        /// The tests did not end.
        case hung
        case survived
        /// No suite comes by.
        case unreached
    }

    package var id: String
    package var outcome: Outcome
    /// The test that went red, or the suites that stayed green.
    package var by: String
    package var seconds: Double

    package var isNoticed: Bool { self.outcome == .killed || self.outcome == .hung }
}

package struct Trial {
    package let suites: Suites
    /// Seconds that the tests of one mutant may take where nothing is wrong.
    package var budget = 25.0

    /// The numbers of each file's mutants.
    private var files: [String: ClosedRange<Int>] = [:]

    package init(suites: Suites, mutants: [Mutant]) {
        self.suites = suites
        for mutant in mutants where mutant.kind != .written {
            let known = self.files[mutant.file] ?? mutant.number...mutant.number
            self.files[mutant.file] = min(known.lowerBound, mutant.number)...max(known.upperBound, mutant.number)
        }
    }

    /// Seconds of one process: a few suites share what starting costs.
    private static let share = 2.0

    /// Tries a mutant against the suites that come by it, the narrowest and the quickest first.
    /// - Parameters:
    ///   - only: names of suites, where others shall not count.
    ///   - transcripts: of the suite that plays them all, the ones that count; all of them where there are none.
    package func verdict(
        on mutant: Mutant,
        only: Set<String>? = nil,
        transcripts: Set<String> = []
    ) throws -> Verdict {
        let began = Date()
        func verdict(_ outcome: Verdict.Outcome, _ by: String) -> Verdict {
            Verdict(id: mutant.id, outcome: outcome, by: by, seconds: Date().timeIntervalSince(began))
        }
        var suites = self.suites.all.filter { $0.isGreen && $0.reaches(mutant.number) }
        if let only { suites = suites.filter { only.contains($0.shortName) } }
        if suites.isEmpty { return verdict(.unreached, "") }
        let own = URL(fileURLWithPath: mutant.file).deletingPathExtension().lastPathComponent.split(separator: "+")[0]
        let file = self.files[mutant.file] ?? mutant.number...mutant.number
        suites.sort { $0.rank(own, file) < $1.rank(own, file) }
        var spent = 0.0
        var tried = 0
        while tried < suites.count, spent < self.budget {
            var batch = [suites[tried]]
            var seconds = suites[tried].seconds
            tried += 1
            while only == nil, tried < suites.count, suites[tried].program == batch[0].program,
                suites[tried].isDeterministic == batch[0].isDeterministic, seconds + suites[tried].seconds < Self.share
            {
                batch.append(suites[tried])
                seconds += suites[tried].seconds
                tried += 1
            }
            spent += seconds
            let counted = batch[0].shortName == "TranscriptTests" ? transcripts : []
            switch try self.run(batch, mutant, seconds, counted) {
            case .green: continue
            case .red(let test): return verdict(.killed, test)
            case .late: return verdict(.hung, batch.map(\.shortName).joined(separator: ", "))
            }
        }
        let left = tried < suites.count ? ", \(suites.count - tried) slower ones not asked" : ""
        return verdict(.survived, "\(tried) suites\(left)")
    }

    private enum Colour {
        case green, late
        case red(String)
    }

    private func run(
        _ batch: [Suite],
        _ mutant: Mutant,
        _ seconds: Double,
        _ transcripts: Set<String>
    ) throws -> Colour {
        let first = try TestProcess.run(
            batch,
            mutant: mutant.number,
            limit: 15 + 8 * seconds,
            transcripts: transcripts
        )
        switch first {
        case .passed: return .green
        case .failed(let test):
            if batch.allSatisfy(\.isDeterministic) { return .red(test) }
            // Sockets on a busy machine: red counts where it is red again.
            let again = try TestProcess.run(batch, mutant: mutant.number, limit: 15 + 8 * seconds)
            if case .passed = again { return .green }
            return .red(test)
        case .late:
            // The mutant has to be the reason.
            let plain = try TestProcess.run(batch, mutant: -1, limit: 15 + 8 * seconds)
            if case .passed = plain { return .late }
            return .green
        }
    }
}

/// One process of tests.
package enum TestProcess {
    package enum Outcome {
        case passed
        /// A test, with its place in the sources.
        case failed(String)
        case late
    }

    /// - Parameter transcripts: the ones that may turn a suite of transcripts red; any where there are none.
    package static func run(
        _ suites: [Suite],
        mutant: Int,
        limit: Double,
        transcripts: Set<String> = [],
        reached: URL? = nil
    ) throws -> Outcome {
        var red: String?
        var latest = ""
        var hasOthers = false
        var environment = [
            "KHP_MUTANT": "\(mutant)", "NO_COLOR": "1", "SWIFT_BACKTRACE": "enable=no", "KHP_TEST_PATIENCE": "2",
        ]
        if let reached { environment["KHP_MUTANT_REACHED"] = reached.path }
        let filter = suites.map { "^" + NSRegularExpression.escapedPattern(for: $0.name) + "/" }.joined(separator: "|")
        let status = try Tool.spawn(
            [suites[0].program, "--testing-library", "swift-testing", "--no-parallel", "--filter", filter],
            environment: environment,
            until: Date(timeIntervalSinceNow: limit)
        ) { line in
            if line.hasSuffix(" started."), let range = line.range(of: " Test ") {
                latest = String(line[range.upperBound...].dropLast(" started.".count))
            }
            switch Self.issue(in: line, transcripts: transcripts) {
            case .none: return true
            case .another:
                hasOthers = true
                return true
            case .of(let test):
                red = test
                return reached != nil
            }
        }
        if let red { return .failed(red) }
        guard let status else { return .late }
        // An exit, not a signal: the tests ran to their end.
        if status == 0 || hasOthers && status == 1 { return .passed }
        if !transcripts.isEmpty, Self.transcript(in: latest, among: transcripts) == nil { return .passed }
        return .failed(
            "\(suites.count == 1 ? suites[0].shortName + ": " : "")\(latest) (the process stopped, \(status))"
        )
    }

    /// The issue that a line of the output tells of.
    enum Issue: Equatable {
        case none
        /// Of a transcript that does not count.
        case another
        /// Of a test, with its place in the sources, and the transcript where these are told apart.
        case of(String)
    }

    static func issue(in line: String, transcripts: Set<String>) -> Issue {
        guard let range = line.range(of: " recorded an issue"), let name = line.range(of: "✘ Test ") else {
            return .none
        }
        let place = line.firstMatch(of: /at ([A-Za-z0-9+_]+)\.swift:[0-9]+/).map { "\($0.1): " } ?? ""
        let test = place + line[name.upperBound..<range.lowerBound]
        guard !transcripts.isEmpty else { return .of(test) }
        return Self.transcript(in: line, among: transcripts).map { .of("\(test), \($0)") } ?? .another
    }

    /// The transcript that is a test's argument in this line.
    private static func transcript(in line: String, among transcripts: Set<String>) -> String? {
        transcripts.first { line.contains("→ \($0) against ") }
    }
}
