// The house's layout, read from its sources: which floor may name which, how long a file and how wide a type may be, and
// how comments begin. The compiler holds the targets apart; within KHPProtocol nothing else does.

import Testing

@Suite struct LayoutTests {
    /// The folders of KHPProtocol from the ground up. A file may name the types of its own floor and of those below.
    /// Folders of one floor know nothing of each other, but for ``neighbours``.
    static let floors: [[String]] = [
        ["Grammar"],
        ["Words"],
        ["Framing", "Authentication", "Cookies", "Redirects", "Proxies", "Identity"],
        ["Extensions"],
        ["Opening"],
        ["Extended"],
        ["Connection"],
        ["Client", "Server"],
    ]

    /// Observing lies beside the floors. What hides credentials stands on Words and serves every floor; the events stand
    /// on Extended and serve Connection and the floors above.
    static let redactionFloor = 1
    static let eventsFloor = 5

    /// Arrows between folders of one floor that are there for a reason.
    static let neighbours: Set<String> = []

    /// Arrows upwards that are still owed: `File.swift → Type`, each with the reason.
    static let owedArrows: [String: String] = [:]

    /// Types with more than fifteen stored properties, each with the reason.
    static let wideTypes: [String: String] = [
        "Limits": "a list of bounds, each read by another part; no two change together",
        "Configuration": "the client's settings, one for each decision a user can take",
    ]

    static let longestFile = 500
    static let mostStoredProperties = 15

    /// Comments that open with one of these words instead of naming the thing. The bound only falls.
    static let mostRelativeOpenings = 0
    static let relativeWords: Set<String> = ["what", "whether", "who", "whom", "those"]

    static let house = ["Sources", "Tests", "Examples", "Benchmarks", "Command"].flatMap { SourceFile.all(in: $0) }
    static let protocolFiles = SourceFile.all(in: "Sources/KHPProtocol")

    // MARK: Floors

    /// Where a file of KHPProtocol may look: `sees` is the highest floor that it may name, `floor` the one that others
    /// see it on.
    static func place(of file: SourceFile) -> (folder: String, floor: Int, sees: Int)? {
        let folder = String(file.path.split(separator: "/")[2])
        if folder == "Observing" {
            let name = file.path.split(separator: "/").last ?? ""
            return name.hasPrefix("Redaction")
                ? (folder, -1, self.redactionFloor) : (folder, self.eventsFloor, self.eventsFloor)
        }
        guard let floor = self.floors.firstIndex(where: { $0.contains(folder) }) else { return nil }
        return (folder, floor, floor)
    }

    @Test func everyFolderHasAFloor() {
        for file in Self.protocolFiles where Self.place(of: file) == nil {
            Issue.record("\(file.path) lies on no floor")
        }
        #expect(Self.protocolFiles.count > 100)
    }

    @Test func noArrowGoesUp() {
        var homes: [String: [(folder: String, floor: Int)]] = [:]
        var own: [String: Set<String>] = [:]
        for file in Self.protocolFiles {
            guard let place = Self.place(of: file) else { continue }
            for declaration in file.declarations {
                own[place.folder, default: []].insert(declaration.name)
                if declaration.depth == 0 { homes[declaration.name, default: []].append((place.folder, place.floor)) }
            }
        }
        var arrows: Set<String> = []
        for file in Self.protocolFiles {
            guard let place = Self.place(of: file) else { continue }
            for word in file.words.map(String.init) where own[place.folder]?.contains(word) != true {
                for home in homes[word] ?? [] where home.floor >= place.sees && home.folder != place.folder {
                    let isNeighbour = home.floor == place.sees && Self.neighbours.contains("\(place.folder) → \(word)")
                    if !isNeighbour, home.floor > place.sees || place.folder != "Observing" {
                        arrows.insert("\(file.path.split(separator: "/").last ?? "") → \(word)")
                    }
                }
            }
        }
        for arrow in arrows.sorted() where Self.owedArrows[arrow] == nil {
            Issue.record("\(arrow): a type of a floor above, or of a neighbour")
        }
        for arrow in Self.owedArrows.keys.sorted() where !arrows.contains(arrow) {
            Issue.record("\(arrow) is gone: strike it from the list")
        }
    }

    /// Foundation makes a program larger and slower to start; of ours, the module for JSON alone uses it.
    @Test func foundationStaysInItsModule() {
        for file in SourceFile.all(in: "Sources") where !file.path.hasPrefix("Sources/KHPJSON/") {
            for line in file.lines where line.contains("import Foundation") {
                Issue.record("\(file.path): \(line)")
            }
        }
    }

    // MARK: Sizes

    @Test func filesAreShort() {
        for file in Self.house where file.lines.count - 1 > Self.longestFile {
            Issue.record("\(file.path) has \(file.lines.count - 1) lines, more than \(Self.longestFile)")
        }
    }

    @Test func typesAreNarrow() {
        var wide: Set<String> = []
        for file in ["Sources", "Command/Sources"].flatMap({ SourceFile.all(in: $0) }) {
            for type in file.declarations where type.storedProperties > Self.mostStoredProperties {
                wide.insert(type.name)
                if Self.wideTypes[type.name] == nil {
                    Issue.record("\(type.name) in \(file.path) has \(type.storedProperties) stored properties")
                }
            }
        }
        for type in Self.wideTypes.keys.sorted() where !wide.contains(type) {
            Issue.record("\(type) is no longer wide: strike it from the list")
        }
    }

    // MARK: Comments

    /// Returns `true` for a comment that opens with one of the ``relativeWords``. A marker before it is skipped: `MARK:`,
    /// `- Returns:`, `- Parameter name:` or `- name:`, behind which the word may have a small letter. Without a marker a
    /// small letter is in the middle of a sentence.
    static func opensRelatively(_ line: Substring) -> Bool {
        let text = line.drop { $0 == " " }
        guard text.hasPrefix("//") else { return false }
        var comment = text.drop { $0 == "/" || $0 == " " }
        let whole = comment
        if comment.hasPrefix("MARK:") { comment = comment.dropFirst(5).drop { $0 == " " } }
        if comment.hasPrefix("- ") {
            comment = comment.dropFirst(2)
            if let colon = comment.firstIndex(of: ":"), comment[..<colon].split(separator: " ").count <= 2 {
                comment = comment[colon...].dropFirst()
            }
        }
        guard let word = SourceFile.words(of: comment).first else { return false }
        let hasMarker = comment.startIndex != whole.startIndex
        return Self.relativeWords.contains(word.lowercased()) && (hasMarker || word.first?.isUppercase == true)
    }

    @Test func commentsNameTheThing() {
        let openings = Self.house.flatMap { file in
            file.lines.filter { Self.opensRelatively($0) }.map { "\(file.path): \($0.drop { $0 == " " })" }
        }
        #expect(
            openings.count <= Self.mostRelativeOpenings,
            "\(openings.count) comments open with What, Whether, Who or Those:\n\(openings.suffix(20).joined(separator: "\n"))"
        )
    }

    @Test(
        "a marker does not hide how a comment opens",
        arguments: [
            "// Who waits.", "    /// - Returns: whether it is.", "///   - name: what is meant.",
            "// MARK: What is sent",
            "/// - Parameter name: Those that stay.", "/// - whether it is",
        ]
    )
    func relativeOpening(_ line: String) {
        #expect(Self.opensRelatively(line[...]))
    }

    @Test(
        "a comment names the thing",
        arguments: [
            "who waits", "/// who waits, and for how long.", "/// - Returns: `true` for those.", "/// - Parameters:",
            "// MARK: Whatever", "/// - that is: a pause, which those need", "//",
        ]
    )
    func plainOpening(_ line: String) {
        #expect(!Self.opensRelatively(line[...]))
    }

    /// A file says why it exists, in a sentence of its own (`// Sentence.`) or in the documentation of what it declares
    /// first. A documentation comment never stands before an import, which it would document.
    @Test func headersArePlain() {
        for file in Self.house {
            let comment = file.headerComment
            if comment == nil, file.path.hasPrefix("Sources/") {
                Issue.record("\(file.path) does not say why it exists")
            }
            if let comment, comment.isDocumentation, comment.isBeforeImport {
                Issue.record("\(file.path): a header is `// Sentence.`")
            }
        }
    }

    // MARK: Members

    @Test func instanceMembersAreWrittenWithSelf() {
        let files = Self.house.map { SelfUses($0) }
        let members = MemberTable(files)
        for use in files.flatMap({ $0.uses(of: members) }) { Issue.record("\(use), is written without self") }
    }

    // MARK: The reader itself

    @Test func codeIsRead() {
        let file = SourceFile(
            path: "a.swift",
            text: #"""
                // struct No {}
                public final class A: B {
                    static let none = 1, other = 2
                    private(set) var a: Int
                    let b, c: String  // var no = 1
                    var d: Int { 1 }
                    var e = "struct No { \(f) }" {
                        didSet { self.f = 1 }
                    }
                    struct Inner { var x: Int }
                    func f() {
                        let local = 1
                    }
                    package enum Kind { case a }
                }
                """#
        )
        #expect(file.declarations.map(\.name) == ["A", "Inner", "Kind"])
        #expect(file.declarations.map(\.depth) == [0, 1, 1])
        #expect(file.declarations.first?.storedProperties == 4)
        #expect(!file.words.contains("No"))
        #expect(file.words.contains("Inner"))
    }

    /// Names whose first letter is m are members, and used where they should have `self.`; all others are used as they
    /// may be.
    @Test func membersWithoutSelfAreFound() {
        let file = SourceFile(
            path: "Sources/A/a.swift",
            text: #"""
                struct A: B {
                    static let shared = 1
                    var m1 = 1, m2: Int
                    let a = shared, b: [Int: String]
                    var c: Int { m1 + self.b.count }
                    var text: String {
                        get { "\(self.m1) \(self.f(["a": "b"]))" }
                        set { m2 = newValue.count }
                    }
                    func f(_ values: [String: String]) -> Int { values.count }
                    func f1(a: Int, of b: Int) { print(a, b, f: 1, other.m1, shared) }
                    mutating func g() throws {
                        let a = 1
                        if let b = self.b[a], b.isEmpty { print(b) }
                        guard case .some(let text) = optional, text != "" else { return print(m3()) }
                        for (b, c) in pairs where b == c { self.c(a, b) }
                        pairs.forEach { (b, c) in print(b, c, text) }
                        if pairs.contains(where: { c in c == a }), let c, c > a { print(c) }
                        let d = a == 1 ? m1 : a
                        func local() { print("a \(d) of \(m1 + 1)") }
                        local()
                    }
                    func m3() -> Int { 1 }
                    static func h() { print(a, m1) }
                }
                extension A {
                    var e: Int {
                        do { return try m3() } catch { return m2 }
                    }
                }
                """#
        )
        let uses = SelfUses(file)
        let found = uses.uses(of: MemberTable([uses])).compactMap { $0.split(separator: " ").dropFirst().first }
        #expect(found == ["m1", "m2", "m3", "m1", "m1", "m3", "m2"])
    }
}
