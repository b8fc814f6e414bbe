// A Swift file as the layout tests see it: its code without comments and strings, and its comments.

import Foundation

struct SourceFile {
    /// The path from the root of the repository.
    let path: String
    let text: String

    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..").standardized

    /// All Swift files below a folder.
    static func all(in folder: String) -> [SourceFile] {
        let start = self.root.appending(path: folder).path + "/"
        let enumerator = FileManager.default.enumerator(atPath: start)
        let paths = (enumerator?.allObjects as? [String] ?? []).filter { path in
            path.hasSuffix(".swift") && !path.split(separator: "/").contains { $0.hasPrefix(".") }
        }
        return paths.sorted().map { path in
            let text = (try? String(contentsOfFile: start + path, encoding: .utf8)) ?? ""
            return SourceFile(path: folder + "/" + path, text: text)
        }
    }

    var lines: [Substring] { self.text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The code alone: comments are left out, and of a string nothing but its quotes stays. Code within a string's
    /// `\(…)` is left out too.
    var code: String { self.code(withInterpolations: false) }

    /// The code, with that of interpolations in parentheses behind their string's quotes or without it.
    func code(withInterpolations isWhole: Bool) -> String {
        var reader = CodeReader(bytes: Array(self.text.utf8), isWhole: isWhole)
        reader.read(until: nil)
        return String(decoding: reader.code, as: UTF8.self)
    }

    /// The comment at the head of the file, before or behind its imports; `nil` when code comes first.
    var headerComment: (isDocumentation: Bool, isBeforeImport: Bool)? {
        let lines = self.lines.map { $0.drop { $0 == " " } }
        let isImport = { (line: Substring) in SourceFile.words(of: line).prefix(3).contains("import") }
        guard
            let start = lines.firstIndex(where: {
                !$0.isEmpty && !$0.hasPrefix("#") && !isImport($0) || $0.hasPrefix("//")
            }),
            lines[start].hasPrefix("//")
        else { return nil }
        let next = lines[start...].first { !$0.isEmpty && !$0.hasPrefix("//") }
        return (lines[start].hasPrefix("///"), next.map(isImport) ?? false)
    }

    /// The words of the code that begin with a letter or an underscore, each once.
    var words: Set<Substring> {
        Set(Self.words(of: self.code[...]))
    }

    static func words(of code: Substring) -> [Substring] {
        code.utf8.split { byte in
            !(UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte
                || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || byte == UInt8(ascii: "_"))
        }
        .map { Substring($0) }
    }

    /// A type that the file declares, with its stored properties.
    struct Declaration {
        var name: String
        /// How many types it lies in.
        var depth: Int
        var storedProperties = 0
    }

    /// The types that the code declares, found by its braces: the sources are formatted, so a declaration has a line of
    /// its own.
    var declarations: [Declaration] {
        var found: [Declaration] = []
        /// The open braces: the index of the type that each opens, or `nil`.
        var open: [Int?] = []
        for line in self.code.split(separator: "\n") {
            let words = Self.words(of: line)
            let keyword = words.firstIndex {
                ["struct", "class", "enum", "actor", "protocol", "typealias"].contains($0)
            }
            let isType = keyword.map { words[..<$0].allSatisfy(Self.modifiers.contains) } ?? false
            var declared: Int?
            if isType, let keyword, keyword + 1 < words.count, words[keyword + 1] != "func", words[keyword + 1] != "var"
            {
                declared = found.count
                found.append(Declaration(name: String(words[keyword + 1]), depth: open.count { $0 != nil }))
            } else if let last = open.last, let type = last {
                found[type].storedProperties += Self.storedProperties(line, words)
            }
            for byte in line.utf8 {
                if byte == UInt8(ascii: "{") {
                    open.append(declared)
                    declared = nil
                } else if byte == UInt8(ascii: "}") {
                    _ = open.popLast()
                }
            }
        }
        return found
    }

    private static let modifiers: Set<Substring> = [
        "public", "package", "private", "fileprivate", "internal", "final", "indirect", "nonisolated", "open", "unsafe",
        "Sendable", "unchecked", "MainActor", "frozen",
    ]

    /// How many stored properties a line declares: `var a: Int`, `let a, b: Int`, `var a = 1 { didSet … }`.
    private static func storedProperties(_ line: Substring, _ words: [Substring]) -> Int {
        guard let keyword = words.firstIndex(where: { $0 == "var" || $0 == "let" }),
            words[..<keyword].allSatisfy({ Self.modifiers.contains($0) || ["set", "weak", "lazy"].contains($0) })
        else { return 0 }
        let isComputed =
            line.contains("{") && !line.contains("=") && !line.contains("didSet") && !line.contains("willSet")
        guard !isComputed else { return 0 }
        // `let a, b, c: Int`
        let names = line.prefix { $0 != ":" && $0 != "=" }
        return names.contains("(") && !names.contains("(set)") ? 1 : 1 + names.count { $0 == "," }
    }
}

/// Reads code as `SourceFile.code(withInterpolations:)` has it.
private struct CodeReader {
    let bytes: [UInt8]
    let isWhole: Bool
    private(set) var code: [UInt8] = []
    private var index = 0

    init(bytes: [UInt8], isWhole: Bool) {
        self.bytes = bytes
        self.isWhole = isWhole
        self.code.reserveCapacity(bytes.count)
    }

    private func isNext(_ text: StaticString) -> Bool {
        self.index + text.utf8CodeUnitCount <= self.bytes.count
            && (0..<text.utf8CodeUnitCount).allSatisfy { self.bytes[self.index + $0] == text.utf8Start[$0] }
    }

    /// Reads to the end, or through the parenthesis that closes an interpolation.
    mutating func read(until isClosed: UInt8?) {
        var depth = 0
        while self.index < self.bytes.count {
            let byte = self.bytes[self.index]
            if byte == UInt8(ascii: "/"), self.isNext("//") {
                while self.index < self.bytes.count, self.bytes[self.index] != UInt8(ascii: "\n") { self.index += 1 }
                continue
            }
            if byte == UInt8(ascii: "\"") {
                self.readString()
                continue
            }
            if byte == UInt8(ascii: "(") { depth += 1 }
            if byte == UInt8(ascii: ")") { depth -= 1 }
            self.code.append(byte)
            self.index += 1
            if byte == isClosed, depth == 0 { return }
        }
    }

    /// Reads a string, quotes included. Strings whose interpolations have a number sign are none of this house's.
    private mutating func readString() {
        let isLong = self.isNext("\"\"\"")
        let isRaw = self.index > 0 && self.bytes[self.index - 1] == UInt8(ascii: "#")
        self.index += isLong ? 3 : 1
        self.code += Array("\"\"".utf8)
        while self.index < self.bytes.count,
            isLong ? !self.isNext("\"\"\"") : self.bytes[self.index] != UInt8(ascii: "\"")
        {
            if self.bytes[self.index] == UInt8(ascii: "\n") {
                // A string of one line without an end is none.
                guard isLong else { return }
                self.code.append(self.bytes[self.index])
            }
            guard self.bytes[self.index] == UInt8(ascii: "\\"), !isRaw else {
                self.index += 1
                continue
            }
            guard self.isNext("\\(") else {
                self.index += 2
                continue
            }
            self.index += 1
            let before = self.code.count
            self.read(until: UInt8(ascii: ")"))
            if !self.isWhole { self.code.removeSubrange(before...) }
        }
        self.index += isLong ? 3 : 1
    }
}
