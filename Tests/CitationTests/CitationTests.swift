// The requirements in Specs and the places that cite them (Specs/README.md, "How citations work"): no id without a
// row, no id with two, and nothing called built that no code or no test names.

import Foundation
import Testing

@Suite struct CitationTests {
    struct Requirement {
        var id: String
        var file: String
        var state: String

        var isBuilt: Bool { state == "built" }
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")

    /// All files under a folder with one of these extensions.
    static func files(in folder: String, _ extensions: Set<String>) -> [URL] {
        let enumerator = FileManager.default.enumerator(
            at: root.appending(path: folder),
            includingPropertiesForKeys: nil,
            options: [.skipsHiddenFiles]
        )
        return (enumerator?.allObjects as? [URL] ?? []).filter { extensions.contains($0.pathExtension) }
    }

    /// What looks like an id: `KHP-E11`, `R-U1`, `R-X`, `H69-3`, `W10-2`, `X76-1`, `D6`. A range such as `KHP-O1..O5`
    /// cites both its ends.
    nonisolated(unsafe) static let id =
        /\b(?:KHP-[A-Z]+[0-9]+|(?:H69|W10|X76)-[0-9]+|R-(?:[A-Z][0-9]+|X\b)|D[0-9]{1,2})\b/

    /// A list of threats, which have letters and numbers as decisions have: `threat D4`, `threats D3, D4 and D10`. It may
    /// go over the end of a line of comment.
    nonisolated(unsafe) static let threats =
        /\b[Tt]hreats?\s+(?:\/\/+\s*)?[A-Z][0-9]+(?:(?:,\s*|\s+(?:to|and)\s+)(?:\/\/+\s*)?[A-Z][0-9]+\b)*/

    static func ids(in text: some StringProtocol) -> [String] {
        String(text).replacing(threats, with: "").matches(of: id).map { String($0.output) }
    }

    static let requirements: [Requirement] = files(in: "Specs", ["md"]).flatMap { file -> [Requirement] in
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
        return text.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard line.hasPrefix("|"), cells.count == 5, ids(in: cells[0]) == [cells[0]] else { return nil }
            return Requirement(id: cells[0], file: file.lastPathComponent, state: cells[4])
        }
    }

    /// Each id with the files that cite it.
    static func citations(_ folder: String, _ extensions: Set<String>) -> [String: Set<String>] {
        var result: [String: Set<String>] = [:]
        for file in files(in: folder, extensions) where file.lastPathComponent != "CitationTests.swift" {
            guard let text = try? String(contentsOf: file, encoding: .utf8) else { continue }
            // In a transcript only its field of ids cites.
            let cited = file.pathExtension == "khp" ? text.split(separator: "\n").filter { $0.hasPrefix("ids:") } : []
            let lines = file.pathExtension == "khp" ? cited.joined(separator: " ") : text
            for id in ids(in: lines) { result[id, default: []].insert(file.lastPathComponent) }
        }
        return result
    }

    static let inSources = citations("Sources", ["swift"])
    static let inTests = citations("Tests", ["swift"])
    static let inTranscripts = citations("Specs/transcripts", ["khp"])
    static let inDocuments = citations("Specs", ["md"])

    @Test(
        arguments: [
            ("D4, KHP-E11 and R-X", ["D4", "KHP-E11", "R-X"]), ("threat D4", []), ("Threat D1: D2", ["D2"]),
            ("D1, threat D9)", ["D1"]), ("W10-6, threats D3, D4 and D10. D19", ["W10-6", "D19"]),
            ("threats D3\n/// D4", ["D4"]), ("a threat,\n/// D4", ["D4"]),
            ("threats D3,\n    /// D4, KHP-E1", ["KHP-E1"]), ("threatens D4", ["D4"]), ("AD4 D100", []),
        ] as [(String, [String])]
    )
    func threatsAreNoDecisions(text: String, expected: [String]) {
        #expect(Self.ids(in: text) == expected)
    }

    @Test func tablesAreRead() {
        #expect(Self.requirements.count { $0.isBuilt } >= 50)
        // A third word, or a misspelt one, would pass for not built.
        for row in Self.requirements where !["built", "planned"].contains(row.state) {
            Issue.record("\(row.id) (\(row.file)) is `\(row.state)`, which is no state")
        }
        #expect(Self.inTranscripts.count >= 20)
    }

    @Test func everyIdHasOneRow() {
        let rows = Dictionary(grouping: Self.requirements, by: \.id)
        for (id, rows) in rows where rows.count > 1 {
            Issue.record("\(id) has \(rows.count) rows: \(rows.map(\.file).joined(separator: ", "))")
        }
    }

    @Test func nothingCitesAnUnknownId() {
        let known = Set(Self.requirements.map(\.id))
        for places in [Self.inSources, Self.inTests, Self.inTranscripts, Self.inDocuments] {
            for (id, files) in places.sorted(by: { $0.key < $1.key }) where !known.contains(id) {
                Issue.record("\(id) has no row in Specs; cited in \(files.sorted().joined(separator: ", "))")
            }
        }
    }

    @Test func whatIsBuiltHasCodeAndTest() {
        for requirement in Self.requirements where requirement.isBuilt {
            let id = requirement.id
            if Self.inSources[id] == nil { Issue.record("\(id) (\(requirement.file)) is built, and no code names it") }
            if Self.inTests[id] == nil, Self.inTranscripts[id] == nil {
                Issue.record("\(id) (\(requirement.file)) is built, and no test or transcript names it")
            }
        }
    }
}
