// Each file says what it uses: the modules of ours whose types it names, and the C library of every platform. The compiler
// takes a type through the re-exports of another file of the module, and reads one branch of each `canImport` chain only.

import Foundation
import Testing

@Suite struct ImportTests {
    static let modules = [
        "KHPProtocol", "KHPWebSocket", "KHPClient", "KHPServer", "KHPJSON", "KHPHTTP2", "KHPNIOHTTP1", "KHPMetrics",
        "KHPTracing", "KHPHummingbird", "KHPTesting",
    ]
    static let cLibraries = ["Glibc", "Musl", "Android", "Darwin"]

    /// Files with the C library of some systems only, each with the reason.
    static let partial: [String: String] = [
        "Sources/KHPWebSocket/LoopTimer.swift": "timers as descriptors are Linux's, and nothing else there is of C"
    ]

    @Test func filesImportTheModulesThatTheyName() {
        let files = Self.modules.map { module in (module, SourceFile.all(in: "Sources/\(module)")) }
        var homes: [String: Set<String>] = [:]
        for (module, files) in files {
            for type in files.flatMap(\.declarations) where type.depth == 0 {
                homes[type.name, default: []].insert(module)
            }
        }
        for (module, files) in files {
            let own = Set(files.flatMap(\.declarations).map(\.name))
            for file in files {
                let imports = file.imports
                for word in file.leadingWords.subtracting(own) {
                    guard let home = homes[word], home.count == 1, let other = home.first else { continue }
                    if other != module, !imports.contains(other) {
                        Issue.record("\(file.path) names \(word) and does not import \(other)")
                    }
                }
            }
        }
        #expect(homes.count > 200)
    }

    @Test func chainsOfTheCLibraryAreComplete() {
        for file in LayoutTests.house where !file.imports.isDisjoint(with: Self.cLibraries) {
            let missing = Self.cLibraries.filter { !file.imports.contains($0) }
            if !missing.isEmpty, Self.partial[file.path] == nil {
                Issue.record("\(file.path) imports no \(missing.joined(separator: ", no "))")
            }
            if missing.isEmpty, Self.partial[file.path] != nil {
                Issue.record("\(file.path) is complete: strike it from the list")
            }
        }
    }

    @Test func importsAndWordsAreRead() {
        let file = SourceFile(
            path: "a.swift",
            text: """
                package import A
                @testable import struct B.C
                #if canImport(D)
                    import D
                #endif
                // import No
                struct E { let f: F.G = .H(I()) }
                """
        )
        #expect(file.imports == ["A", "B", "D"])
        #expect(file.leadingWords.isSuperset(of: ["E", "F", "I"]))
        #expect(file.leadingWords.isDisjoint(with: ["G", "H", "No"]))
    }
}

extension SourceFile {
    /// The modules that the file imports, in any branch.
    var imports: Set<String> {
        var found: Set<String> = []
        for line in self.code.split(separator: "\n") {
            let words = SourceFile.words(of: line)
            guard let keyword = words.firstIndex(of: "import"), words[..<keyword].allSatisfy(Self.isAccess) else {
                continue
            }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "typealias", "func", "var", "let"]
            if let module = words[(keyword + 1)...].first(where: { !kinds.contains($0) }) {
                found.insert(String(module))
            }
        }
        return found
    }

    private static func isAccess(_ word: Substring) -> Bool {
        ["public", "package", "internal", "private", "fileprivate", "testable", "preconcurrency", "_exported"].contains(
            word
        )
    }

    /// The words of the code that stand behind no full stop, so that they are looked up from the file and not in a type.
    var leadingWords: Set<String> {
        let code = self.code
        return Set(
            SourceFile.words(of: code[...]).filter { word in
                word.startIndex == code.startIndex
                    || code.utf8[code.utf8.index(before: word.startIndex)] != UInt8(ascii: ".")
            }
            .map(String.init)
        )
    }
}
