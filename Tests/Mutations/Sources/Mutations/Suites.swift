// The suites of tests, and the mutants that each of them comes by.

internal import Foundation

/// A suite, as a run without mutants has found it.
package struct Suite: Codable, Sendable {
    /// As the test program lists it: `KHPProtocolTests.KeepAliveTests`.
    package var name: String
    package var program: String
    package var seconds: Double
    package var isGreen: Bool
    /// Numbers of the mutants whose code ran, in rising order.
    package var reached: [Int]
    /// The source of the suite when it ran.
    var fingerprint: UInt64

    package var shortName: String { String(self.name.split(separator: ".").last ?? "") }

    /// `true` for suites that neither sockets nor clocks can turn red. Growth is measured in the processor's time.
    package var isDeterministic: Bool {
        !self.name.contains("Growth")
            && ["KHPProtocolTests.", "TranscriptTests.", "StatusTableTests.", "SimulationTests."].contains {
                self.name.hasPrefix($0)
            }
    }

    func reaches(_ mutant: Int) -> Bool {
        let place = self.place(of: mutant)
        return place < self.reached.count && self.reached[place] == mutant
    }

    /// How many of the mutants that it comes by are before this one.
    private func place(of mutant: Int) -> Int {
        var low = 0
        var high = self.reached.count
        while low < high {
            let middle = (low + high) / 2
            if self.reached[middle] < mutant { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The lower, the sooner it is asked: quick suites that come by little else than the mutant's file, or are named
    /// like it.
    /// - Parameter file: the numbers of that file's mutants.
    func rank(_ own: Substring, _ file: ClosedRange<Int>) -> Double {
        let inFile = self.place(of: file.upperBound + 1) - self.place(of: file.lowerBound)
        let share = Double(inFile) / Double(max(self.reached.count, 1))
        return (self.shortName.hasPrefix(own) ? 0.3 : 1) * self.seconds / (0.02 + share)
    }
}

package struct Suites {
    package private(set) var all: [Suite] = []

    /// Suites that read the sources rather than run them.
    private static let readers = ["CitationTests.", "LayoutTests."]

    /// Runs each suite alone, and notes the mutants it comes by. Suites that have not changed since are not run again.
    /// - Parameters:
    ///   - isAsBuilt: `true` where the programs may be older than the sources of the suites.
    ///   - only: short names of suites, where others shall not be run.
    package init(of package: ScratchPackage, isAsBuilt: Bool, only: Set<String>? = nil) throws {
        let file = package.folder.appending(path: "suites.json")
        let numbering = fingerprint(package.mutants.map(\.id).joined(separator: "\n"))
        struct Stored: Codable {
            var numbering: UInt64
            var suites: [Suite]
        }
        var known: [String: Suite] = [:]
        if let data = try? Data(contentsOf: file), let stored = try? JSONDecoder().decode(Stored.self, from: data),
            stored.numbering == numbering
        {
            for suite in stored.suites where suite.isGreen { known[suite.name] = suite }
        }
        let sources = try Self.sources(package.tree)
        let record = package.folder.appending(path: "reached.bin")
        func save() throws {
            let others = known.values.filter { old in !self.all.contains { $0.name == old.name } }
            try JSONEncoder().encode(Stored(numbering: numbering, suites: self.all + others)).write(to: file)
        }
        for program in package.programs {
            let listed = try Tool.run([program.path, "--testing-library", "swift-testing", "--list-tests"]).output
            let names = Set(
                listed.split(separator: "\n").compactMap { line -> String? in
                    guard let slash = line.lastIndex(of: "/") else { return nil }
                    return String(line[..<slash])
                }
            )
            for name in names.sorted() where !Self.readers.contains(where: { name.hasPrefix($0) }) {
                let base = name.split(separator: ".").last.map { String($0.prefix { $0 != "/" }) } ?? name
                if let only, !only.contains(base), !only.contains(String(name.prefix { $0 != "." })) { continue }
                let source = sources[base] ?? 0
                if let old = known[name], isAsBuilt || old.fingerprint == source {
                    self.all.append(old)
                    continue
                }
                try Data(count: (package.mutants.map(\.number).max() ?? 0) + 1).write(to: record)
                var suite = Suite(
                    name: name,
                    program: program.path,
                    seconds: 0,
                    isGreen: false,
                    reached: [],
                    fingerprint: source
                )
                let began = Date()
                let outcome = try TestProcess.run([suite], mutant: -1, limit: 240, reached: record)
                suite.seconds = Date().timeIntervalSince(began)
                if case .passed = outcome { suite.isGreen = true }
                let bytes = try Data(contentsOf: record)
                suite.reached = bytes.indices.filter { bytes[$0] != 0 }
                if !suite.isGreen { say("red without a mutant, not asked: \(name) \(outcome)") }
                self.all.append(suite)
                if self.all.count % 20 == 0 { try save() }
            }
        }
        try save()
    }

    /// A fingerprint of the file that declares each suite.
    private static func sources(_ tree: URL) throws -> [String: UInt64] {
        var found: [String: UInt64] = [:]
        guard let paths = FileManager.default.enumerator(atPath: tree.path) else { return found }
        for case let path as String in paths where path.hasSuffix(".swift") && path.contains("Tests/") {
            guard let text = try? String(contentsOf: tree.appending(path: path), encoding: .utf8) else { continue }
            let mark = fingerprint(text)
            for match in text.matches(of: /(?:struct|class|enum|actor) ([A-Za-z0-9_]+)/) {
                found[String(match.1)] = mark
            }
        }
        return found
    }
}

func fingerprint(_ text: String) -> UInt64 { drawnRank(text, seed: 0) }
