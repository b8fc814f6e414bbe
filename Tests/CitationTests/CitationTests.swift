// The ids in Specs and the places that cite them (Specs/citations.md): each id has one row, each citation in the
// repository leads to a row, and each row to code and to a test.

import Foundation
import Testing

@Suite struct CitationTests {
    struct Requirement {
        var id: String
        var file: String
    }

    /// A row of Specs/threats.md.
    struct Threat {
        var id: String
        var bound: String
        var code: [String]
        var tests: [String]
    }

    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")

    /// The folders whose Swift files cite.
    static let code = ["Sources", "Command/Sources", "Examples", "Benchmarks"]
    static let tests = ["Tests", "Command/Tests"]

    // MARK: The form of a citation

    /// `KHP-E11`, `R-U1`, `R-X`, `H69-3`, `W10-2`, `X76-1`, `D6`. A range such as `KHP-O1 to KHP-O5` cites both its ends.
    nonisolated(unsafe) static let id =
        /\b(?:KHP-[A-Z]+[0-9]+|(?:H69|W10|X76)-[0-9]+|R-(?:[A-Z][0-9]+|X\b)|D[0-9]{1,2})\b/

    /// A list of threats, which have letters and numbers as decisions have: `threat D4`, `threats D3, D4 and D10`. It may
    /// go over the end of a line of comment.
    nonisolated(unsafe) static let threatList =
        /\b[Tt]hreats?\s+(?:\/\/+\s*)?[A-Z][0-9]+\b(?!-)(?:(?:,\s*|,?\s+(?:to|and|or)\s+)(?:\/\/+\s*)?[A-Z][0-9]+\b(?!-))*/

    /// A letter and a number, by itself.
    nonisolated(unsafe) static let bareID = /[A-I][0-9]{1,2}\b/

    /// The names of documents that are not in this repository.
    nonisolated(unsafe) static let foreign =
        /\bKI [0-9]|\bthreat catalogue|\b(?:house|design|requirements)\.md|\b[Ii]ssue [0-9]+/

    static func ids(in text: some StringProtocol) -> [String] {
        String(text).replacing(self.threatList, with: "").matches(of: self.id).map { String($0.output) }
    }

    static func threats(in text: some StringProtocol) -> [String] {
        String(text).matches(of: self.threatList)
            .flatMap { String($0.output).matches(of: /[A-Z][0-9]+/).map { String($0.output) } }
    }

    /// Citations in the prose of a Swift file that name no list: `(E15)`, `KI 1.7`, `issue 12`.
    static func unresolved(in text: String) -> [String] {
        // Ids keep their place in the text, so that what stands beside a letter tells bytes and escapes from citations.
        let prose = self.prose(of: text).replacing(self.threatList, with: "_").replacing(self.id, with: "_")
        let bare = prose.matches(of: self.bareID).compactMap { match -> String? in
            let before = prose[..<match.range.lowerBound]
            if let last = before.last, last.isLetter || last.isNumber || "_-+%.\\&{…".contains(last) { return nil }
            if let next = prose[match.range.upperBound...].first, "_-…".contains(next) { return nil }
            // Bytes in hexadecimal stand beside others: `F4 8F BF`, `ED A0`.
            let neighbours = [before.suffix(3), prose[match.range.upperBound...].prefix(3)]
            if neighbours.contains(where: { $0.contains(/^ ?[0-9A-F]{2} ?$/) }) { return nil }
            // Sets of control characters.
            if ["C0", "C1"].contains(match.output), prose.contains("control") || prose.contains("DEL") { return nil }
            return String(match.output)
        }
        return bare + prose.matches(of: self.foreign).map { String($0.output) }
    }

    /// The comments and the string literals of a Swift file.
    static func prose(of text: String) -> String {
        text.split(separator: "\n").map { line in
            if line.contains("//"), let comment = line.firstMatch(of: /(?:^|\s)\/\/+(?:\s(.*))?$/) {
                return String(comment.1 ?? "")
            }
            guard line.contains("\"") else { return "" }
            return line.matches(of: /"((?:[^"\\]|\\.)*)"/).map { String($0.1) }.joined(separator: " \n ")
        }
        .joined(separator: "\n")
    }

    // MARK: The sets to compare

    /// All files under folders with one of these extensions.
    static func files(in folders: [String], _ extensions: Set<String>) -> [URL] {
        folders.flatMap { folder -> [URL] in
            let enumerator = FileManager.default.enumerator(
                at: self.root.appending(path: folder),
                includingPropertiesForKeys: nil,
                options: [.skipsHiddenFiles]
            )
            return (enumerator?.allObjects as? [URL] ?? []).filter { extensions.contains($0.pathExtension) }
        }
    }

    static func text(of file: URL) -> String { (try? String(contentsOf: file, encoding: .utf8)) ?? "" }

    /// The lines of a text that may hold a citation, and the line behind each, where a list may go on. The patterns take
    /// seconds over all files, and most lines have no letter before a digit.
    static func citing(in text: String) -> String {
        var isNext = false
        return text.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            let mayCite = Self.mayCite(line)
            defer { isNext = mayCite }
            return mayCite || isNext
        }
        .joined(separator: "\n")
    }

    private static func mayCite(_ line: Substring) -> Bool {
        var (first, last): (UInt8, UInt8) = (0, 0)
        for byte in line.utf8 {
            switch (first, last, byte) {
            case (_, Self.hyphen, Self.digits), (_, Self.capitals, Self.digits): return true
            case (UInt8(ascii: "I"), Self.blank, Self.digits), (UInt8(ascii: "e"), Self.blank, Self.digits): return true
            case (UInt8(ascii: "R"), Self.hyphen, UInt8(ascii: "X")): return true
            case (UInt8(ascii: "."), UInt8(ascii: "m"), UInt8(ascii: "d")): return true
            case (UInt8(ascii: "S"), UInt8(ascii: "p"), UInt8(ascii: "e")): return true
            case (UInt8(ascii: "h"), UInt8(ascii: "r"), UInt8(ascii: "e")): return true
            default: (first, last) = (last, byte)
            }
        }
        return false
    }

    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    private static let capitals = UInt8(ascii: "A")...UInt8(ascii: "Z")
    private static let hyphen = UInt8(ascii: "-")
    private static let blank = UInt8(ascii: " ")

    /// The rows of all tables in Specs, cell by cell.
    static let rows: [(file: String, cells: [String])] = files(in: ["Specs"], ["md"]).flatMap { file in
        Self.text(of: file).split(separator: "\n").filter { $0.hasPrefix("|") }.map { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            return (file.lastPathComponent, cells)
        }
    }

    static let requirements: [Requirement] = rows.compactMap { file, cells in
        guard cells.count == 4, Self.ids(in: cells[0]) == [cells[0]], file != "threats.md" else { return nil }
        return Requirement(id: cells[0], file: file)
    }

    static let threats: [Threat] = rows.compactMap { file, cells in
        guard file == "threats.md", cells.count == 5, cells[0].wholeMatch(of: Self.bareID) != nil else { return nil }
        let names = cells.map { $0.matches(of: /`([^`]+)`/).map { String($0.1) } }
        return Threat(id: cells[0], bound: cells[2], code: names[3], tests: names[4])
    }

    /// Each id with the files that cite it.
    static func citations(
        _ folders: [String],
        _ extensions: Set<String>,
        _ ids: (String) -> [String]
    ) -> [String: Set<String>] {
        var result: [String: Set<String>] = [:]
        for file in files(in: folders, extensions) where file.lastPathComponent != "CitationTests.swift" {
            let text = Self.text(of: file)
            // In a transcript only its field of ids cites.
            let cited = file.pathExtension == "khp" ? text.split(separator: "\n").filter { $0.hasPrefix("ids:") } : []
            for id in ids(file.pathExtension == "khp" ? cited.joined(separator: " ") : Self.citing(in: text)) {
                result[id, default: []].insert(file.lastPathComponent)
            }
        }
        return result
    }

    static let inSources = citations(code, ["swift"]) { Self.ids(in: $0) }
    static let inTests = citations(tests, ["swift"]) { Self.ids(in: $0) }
    static let inTranscripts = citations(["Specs/transcripts"], ["khp"]) { Self.ids(in: $0) }
    static let inDocuments = citations(["Specs"], ["md"]) { Self.ids(in: $0) }
    static let threatsInCode = citations(code + tests, ["swift"]) { Self.threats(in: $0) }

    // MARK: The patterns

    @Test(
        arguments: [
            ("D4, KHP-E11 and R-X", ["D4", "KHP-E11", "R-X"], []), ("threat D4", [], ["D4"]),
            ("Threat D1: D2", ["D2"], ["D1"]), ("D1, threat D9)", ["D1"], ["D9"]),
            ("W10-6, threats D3, D4 and D10. D19", ["W10-6", "D19"], ["D3", "D4", "D10"]),
            ("threats D3\n/// D4", ["D4"], ["D3"]), ("a threat,\n/// D4", ["D4"], []),
            ("threats D3,\n    /// D4, KHP-E1", ["KHP-E1"], ["D3", "D4"]), ("threatens D4", ["D4"], []),
            ("AD4 D100", [], []), ("threats A1 to A15", [], ["A1", "A15"]), ("threat Z9", [], ["Z9"]),
            ("Threat G15, W10-11", ["W10-11"], ["G15"]),
        ] as [(String, [String], [String])]
    )
    func threatsAreNoDecisions(text: String, ids: [String], threats: [String]) {
        #expect(Self.ids(in: text) == ids)
        #expect(Self.threats(in: text) == threats)
    }

    @Test(
        arguments: [
            ("/// One too many (E15).", ["E15"]), ("// A7, D9", ["A7"]), ("    // threats A7, A15: none", []),
            ("/// KHP-E5, E10", ["E10"]), ("/// D7, KI 1.7", ["KI 1"]), ("// see issue 12", ["issue 12"]),
            ("@Test(\"linear time (A11)\")", ["A11"]), ("let x = E15", []), ("\"\\u{E4}\", \"%E4\"", []),
            ("/// U+10FFC0 is F4 8F BF, ED A0…BF", []), ("// H69-3, W10-2 and C1 controls", []),
            ("let a = [\"a\"]  // threat G10", []), ("\"http://h/\" // B8", ["B8"]),
        ] as [(String, [String])]
    )
    func citationsWithoutAListAreFound(text: String, expected: [String]) {
        #expect(Self.unresolved(in: text) == expected)
    }

    @Test func tablesAreRead() {
        #expect(Self.requirements.count >= 100)
        #expect(Self.threats.count >= 80)
        #expect(Self.inTranscripts.count >= 20)
        #expect(Self.threatsInCode.count >= 60)
    }

    // MARK: Rows and citations

    @Test func everyIdHasOneRow() {
        for (id, rows) in Dictionary(grouping: Self.requirements, by: \.id) where rows.count > 1 {
            Issue.record("\(id) has \(rows.count) rows: \(rows.map(\.file).joined(separator: ", "))")
        }
        for (id, rows) in Dictionary(grouping: Self.threats, by: \.id) where rows.count > 1 {
            Issue.record("threat \(id) has \(rows.count) rows")
        }
    }

    @Test func everyCitationHasARow() {
        let known = Set(Self.requirements.map(\.id))
        for places in [Self.inSources, Self.inTests, Self.inTranscripts, Self.inDocuments] {
            for (id, files) in places.sorted(by: { $0.key < $1.key }) where !known.contains(id) {
                Issue.record("\(id) has no row in Specs; cited in \(files.sorted().joined(separator: ", "))")
            }
        }
        let threats = Set(Self.threats.map(\.id))
        for (id, files) in Self.threatsInCode.sorted(by: { $0.key < $1.key }) where !threats.contains(id) {
            Issue.record("threat \(id) has no row in threats.md; cited in \(files.sorted().joined(separator: ", "))")
        }
    }

    @Test func noCitationLeavesTheRepository() {
        for file in Self.files(in: Self.code + Self.tests, ["swift"])
        where file.lastPathComponent != "CitationTests.swift" {
            let text = Self.citing(in: Self.text(of: file))
            for citation in Self.unresolved(in: text) {
                Issue.record(
                    "\(file.lastPathComponent) cites \(citation), which is in no list; threats are `threat B8`"
                )
            }
            for path in text.matches(of: /\bSpecs\/[A-Za-z0-9\/._-]*[A-Za-z0-9]/).map({ String($0.output) })
            where !FileManager.default.fileExists(atPath: Self.root.appending(path: path).path) {
                Issue.record("\(file.lastPathComponent) names \(path), which is not there")
            }
        }
    }

    /// A row names the files that it is about.
    @Test func specsNameFilesThatAreThere() {
        for file in Self.files(in: ["Specs"], ["md"]) {
            let paths = Self.text(of: file).matches(of: /\b(?:Sources|Command|Tests)\/[A-Za-z0-9\/.+_-]*[A-Za-z0-9]/)
            for path in Set(paths.map { String($0.output) })
            where !FileManager.default.fileExists(atPath: Self.root.appending(path: path).path) {
                Issue.record("\(file.lastPathComponent) names \(path), which is not there")
            }
        }
    }

    @Test func everyRequirementHasCodeAndTest() {
        for requirement in Self.requirements {
            let id = requirement.id
            if Self.inSources[id] == nil { Issue.record("\(id) (\(requirement.file)) is named by no code") }
            if Self.inTests[id] == nil, Self.inTranscripts[id] == nil {
                Issue.record("\(id) (\(requirement.file)) is named by no test or transcript")
            }
        }
    }

    /// A row tells where a threat is met and what shows it: types, functions or files that are there.
    @Test func everyThreatHasCodeAndTest() {
        let inCode = Self.names(declaredIn: ["Sources", "Command/Sources"])
        let inTests = Self.names(declaredIn: Self.tests)
        for threat in Self.threats {
            if threat.bound.isEmpty { Issue.record("threat \(threat.id) has no bound") }
            if threat.code.isEmpty { Issue.record("threat \(threat.id) is kept nowhere") }
            if threat.tests.isEmpty { Issue.record("threat \(threat.id) has no test") }
            for name in threat.code where !inCode.contains(name) && !Self.isFile(name) {
                Issue.record("threat \(threat.id) is said to be kept in \(name), which is not there")
            }
            for name in threat.tests where !inTests.contains(name) && !Self.isFile(name) {
                Issue.record("threat \(threat.id) is said to be tested by \(name), which is not there")
            }
        }
    }

    static func names(declaredIn folders: [String]) -> Set<String> {
        Set(
            self.files(in: folders, ["swift"]).flatMap { file in
                Self.text(of: file).split(separator: "\n")
                    .filter {
                        ["struct ", "class ", "enum ", "actor ", "func ", "protocol "].contains(where: $0.contains)
                    }
                    .joined(separator: "\n")
                    .matches(of: /\b(?:struct|class|enum|actor|protocol|func)\s+([A-Za-z0-9_]+)/)
                    .map { String($0.1) }
            }
        )
    }

    /// Paths from the root, and names of transcripts.
    static func isFile(_ name: String) -> Bool {
        [name, "Specs/transcripts/\(name)"].contains {
            FileManager.default.fileExists(atPath: Self.root.appending(path: $0).path)
        }
    }
}
