// One reading of a configuration: its findings, and the places of its keys for the checks after the last key.

/// The environment that a configuration is read in: variables, files, names and times.
package struct ConfigurationSurroundings: Sendable {
    /// The variables of the environment.
    package var environment: [String: String]
    /// The name of this machine, for `instance`.
    package var hostName: String
    /// The bytes of a file, up to a bound.
    package var readFile: @Sendable (_ path: String, _ maximumBytes: Int) throws(FileFailure) -> [UInt8]
    /// Returns `true` where others than the owner can read a file.
    package var isReadableByOthers: @Sendable (_ path: String) -> Bool
    /// Seconds since 1970.
    package var now: @Sendable () -> Int64
    /// The most file descriptors that the gateway may have; `nil` for any number.
    package var descriptors: Int?
    /// The folder that relative paths count from; `nil` leaves them as they are where a configuration is printed.
    package var workingFolder: String?

    package init(
        environment: [String: String],
        hostName: String,
        readFile: @escaping @Sendable (_ path: String, _ maximumBytes: Int) throws(FileFailure) -> [UInt8],
        isReadableByOthers: @escaping @Sendable (_ path: String) -> Bool,
        now: @escaping @Sendable () -> Int64,
        descriptors: Int? = nil
    ) {
        self.environment = environment
        self.hostName = hostName
        self.readFile = readFile
        self.isReadableByOthers = isReadableByOthers
        self.now = now
        self.descriptors = descriptors
    }
}

/// A file that cannot be read, as the rest of a sentence: `does not exist`.
package struct FileFailure: Error, Sendable {
    package var sentence: String

    package init(_ sentence: String) {
        self.sentence = sentence
    }
}

struct Reading {
    /// The configuration's file, as it was named.
    let file: String
    /// Paths in the file are relative to it.
    let folder: String
    let surroundings: ConfigurationSurroundings
    private(set) var findings: [Finding] = []
    private var places: [String: Position] = [:]
    private var plain: Set<String> = []
    /// The keys whose values could not be read, and those that somebody has probably meant by a word that is none.
    private var doubts: Set<String> = []
    /// Every key around one of ``doubts``.
    private var doubtsWithin: Set<String> = []
    /// How many names words that are none may still be compared with.
    private var comparisons = 10_000
    private var checks = false
    /// The hashes of all files that were read, one after the other.
    private var hashes: [UInt8] = []

    init(file: String, surroundings: ConfigurationSurroundings) {
        self.file = file
        self.folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? ""
        self.surroundings = surroundings
    }

    var hasErrors: Bool { self.findings.contains { $0.severity == .error } }

    // MARK: Files

    /// The bytes of a file, which count for the hash of all.
    mutating func readFile(_ path: String, _ maximumBytes: Int) throws(FileFailure) -> [UInt8] {
        let bytes = try self.surroundings.readFile(path, maximumBytes)
        self.hashes += SHA256.hash(bytes)
        return bytes
    }

    /// SHA-256 over the contents of all files, in hexadecimal.
    var hash: String { SHA256.hash(self.hashes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

    // MARK: Places

    mutating func note(_ key: String, _ position: Position) { self.places[key] = position }

    func isWritten(_ key: String) -> Bool { self.places[key] != nil }

    /// True for a value that stands in the file itself, and comes from nowhere else.
    func isPlain(_ key: String) -> Bool { self.plain.contains(key) }

    /// The place of a key, or of the nearest one around it that is written.
    func position(of key: String) -> Position {
        var key = key[...]
        while !key.isEmpty {
            if let place = self.places[String(key)] { return place }
            key = key.lastIndex(of: ".").map { key[..<$0] } ?? ""
        }
        return .start
    }

    // MARK: Findings that follow from others

    /// The value of a key is not the one that its writer meant.
    mutating func doubt(_ key: String) {
        guard self.doubts.insert(key).inserted else { return }
        var around = key[...]
        while let dot = around.lastIndex(of: ".") {
            around = around[..<dot]
            // The keys around one that is there are there.
            guard self.doubtsWithin.insert(String(around)).inserted else { return }
        }
    }

    /// True where a key, or one below it, has an error that stands by itself.
    func isDoubtful(_ key: String) -> Bool { self.doubts.contains(key) || self.doubtsWithin.contains(key) }

    /// Takes from the comparisons that are left: nobody reads the suggestions for so many wrong names that they would take
    /// more time than all else.
    ///
    /// - Returns: `false` where too few are left.
    mutating func takesComparisons(_ count: Int) -> Bool {
        guard count <= self.comparisons else { return false }
        self.comparisons -= count
        return true
    }

    /// All keys are read: findings from here on compare their values, and are not told where one of these is in doubt.
    mutating func beginChecks() { self.checks = true }

    private func follows(_ key: String, _ causes: [String]) -> Bool {
        self.checks && (self.doubts.contains(key) || causes.contains { self.isDoubtful($0) })
    }

    // MARK: Findings

    /// - Parameter causes: other keys of which the sentence speaks.
    mutating func error(_ key: String, at position: Position? = nil, _ sentence: String, from causes: [String] = []) {
        if self.follows(key, causes) { return }
        if !self.checks { self.doubt(key) }
        self.add(.error, key, at: position, sentence)
    }

    /// - Parameter causes: other keys of which the sentence speaks.
    mutating func warning(
        _ key: String,
        at position: Position? = nil,
        _ sentence: String,
        from causes: [String] = []
    ) {
        if self.follows(key, causes) { return }
        self.add(.warning, key, at: position, sentence)
    }

    /// About a line of another file.
    mutating func error(in file: String, line: Int, key: String, _ sentence: String) {
        let position = Position(line: line, column: 1)
        self.add(Finding(.error, file: file, position: position, key: key, sentence: sentence))
    }

    /// About a line of another file.
    mutating func warning(in file: String, line: Int, key: String, _ sentence: String) {
        let position = Position(line: line, column: 1)
        self.add(Finding(.warning, file: file, position: position, key: key, sentence: sentence))
    }

    mutating func add(_ finding: Finding) { self.findings.append(finding) }

    func hasErrors(in file: String) -> Bool { self.findings.contains { $0.file == file && $0.severity == .error } }

    private mutating func add(_ severity: Finding.Severity, _ key: String, at position: Position?, _ sentence: String) {
        let position = position ?? self.position(of: key)
        self.findings.append(Finding(severity, file: self.file, position: position, key: key, sentence: sentence))
    }

    /// In the order of the file; those of other files after.
    var sorted: [Finding] {
        let own = self.findings.filter { $0.file == self.file }.enumerated().sorted {
            ($0.element.position, $0.offset) < ($1.element.position, $1.offset)
        }
        return own.map(\.element) + self.findings.filter { $0.file != self.file }
    }

    // MARK: Texts

    func path(_ text: String) -> String { Self.path(text, in: self.folder) }

    static func path(_ text: String, in folder: String) -> String { text.hasPrefix("/") ? text : folder + text }

    /// The text of a value; `nil` after a finding.
    mutating func text(_ node: ConfigurationNode, _ key: String, expected: String) -> SubstitutedText? {
        guard case .text(let written) = node.content else {
            self.error(key, at: node.position, "here stands \(node.kind); it takes \(expected)")
            return nil
        }
        if !written.contains("${") { self.plain.insert(key) }
        let environment = self.surroundings.environment
        do throws(SubstitutedText.Failure) {
            return try SubstitutedText(written, environment: environment) {
                name throws(SubstitutedText.Failure) in try self.firstLine(name)
            }
        } catch {
            self.error(key, at: node.position, error.sentence)
            return nil
        }
    }

    private mutating func firstLine(_ name: String) throws(SubstitutedText.Failure) -> String {
        guard !name.isEmpty else { throw SubstitutedText.Failure(sentence: "`${file:}` names no file") }
        let bytes: [UInt8]
        do throws(FileFailure) {
            bytes = try self.readFile(self.path(name), 65_536)
        } catch {
            throw SubstitutedText.Failure(sentence: "the file \(name.shown) \(error.sentence)")
        }
        let line = bytes.prefix { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
        guard let text = String(validating: line, as: UTF8.self), !text.isEmpty else {
            throw SubstitutedText.Failure(sentence: "the first line of \(name.shown) is empty or not UTF-8")
        }
        return text
    }
}
