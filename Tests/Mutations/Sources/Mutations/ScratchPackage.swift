// The copy of the package that holds the mutants, and its build.

package import Foundation

/// A copy of the package under `.build/mutations`, rewritten and built there; the working tree stays as it is.
package struct ScratchPackage {
    /// The folders whose sources get mutants.
    package static let mutated = [
        "Sources/KHPProtocol", "Sources/KHPWebSocket", "Sources/KHPClient", "Sources/KHPServer", "Sources/KHPHTTP2",
        "Sources/KHPNIOHTTP1",
        "Command/Sources/KHPCommand", "Command/Sources/KHPGateway",
    ]

    package let root: URL
    package let folder: URL
    package private(set) var mutants: [Mutant] = []

    var tree: URL { self.folder.appending(path: "tree") }
    var build: URL { self.folder.appending(path: "build") }

    /// The test programs that the last build has made.
    package private(set) var programs: [URL] = []

    /// - Parameter root: the folder of the package.
    package init(root: URL) throws {
        self.root = root
        self.folder = root.appending(path: ".build/mutations")
        try FileManager.default.createDirectory(at: self.folder, withIntermediateDirectories: true)
    }

    // MARK: Rewriting

    /// Ids of mutants that do not compile, kept from one run to the next.
    private var droppedFile: URL { self.folder.appending(path: "dropped.txt") }

    private func dropped() -> Set<String> {
        let text = (try? String(contentsOf: self.droppedFile, encoding: .utf8)) ?? ""
        return Set(text.split(separator: "\n").map(String.init))
    }

    /// Brings the copy up to date. Files that are the same stay untouched, so that a build goes on from the last one.
    package mutating func write() throws {
        let files = try self.files()
        let dropped = self.dropped()
        var written: Set<String> = []
        self.mutants = []
        var number = 0
        var writtenNumber = MutatedSource.firstWritten
        let guards = try GuardTable(root: self.root)
        for file in files {
            let source = self.root.appending(path: file)
            let target = self.tree.appending(path: file)
            written.insert(file)
            if let link = try? FileManager.default.destinationOfSymbolicLink(atPath: source.path) {
                try? FileManager.default.removeItem(at: target)
                try Self.makeFolder(of: target)
                try FileManager.default.createSymbolicLink(atPath: target.path, withDestinationPath: link)
                continue
            }
            var data = try Data(contentsOf: source)
            if file.hasSuffix(".swift"), Self.mutated.contains(where: { file.hasPrefix($0 + "/") }) {
                let rewritten = MutatedSource(
                    path: file,
                    source: String(decoding: data, as: UTF8.self),
                    firstNumber: number,
                    dropped: dropped,
                    written: guards.written(for: file),
                    firstWritten: writtenNumber
                )
                self.mutants += rewritten.mutants
                number = rewritten.nextNumber
                writtenNumber = rewritten.nextWritten
                data = Data(rewritten.text.utf8)
            }
            try Self.replace(target, data)
        }
        for module in Self.mutated {
            let file = "\(module)/KHPMutantSwitch.swift"
            written.insert(file)
            try Self.replace(self.tree.appending(path: file), Data(MutatedSource.switchFile.utf8))
        }
        try self.removeOthers(than: written)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(self.mutants).write(to: self.folder.appending(path: "mutants.json"))
    }

    /// The files of the package, but for what is hidden or built.
    private func files() throws -> [String] {
        guard let paths = FileManager.default.enumerator(at: self.root, includingPropertiesForKeys: [.isDirectoryKey])
        else { throw Failure("\(self.root.path) cannot be read") }
        var files: [String] = []
        for case let path as URL in paths {
            let values = try path.resourceValues(forKeys: [.isDirectoryKey, .isSymbolicLinkKey])
            if path.lastPathComponent.hasPrefix(".") {
                if values.isDirectory == true { paths.skipDescendants() }
            } else if values.isDirectory != true || values.isSymbolicLink == true {
                files.append(String(path.path.dropFirst(self.root.path.count + 1)))
            }
        }
        return files.sorted()
    }

    private static func makeFolder(of file: URL) throws {
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(),
            withIntermediateDirectories: true
        )
    }

    private static func replace(_ file: URL, _ data: Data) throws {
        if let old = try? Data(contentsOf: file), old == data { return }
        try Self.makeFolder(of: file)
        try data.write(to: file)
    }

    private func removeOthers(than files: Set<String>) throws {
        guard let paths = FileManager.default.enumerator(atPath: self.tree.path) else { return }
        for case let path as String in paths where path.hasSuffix(".swift") || path.hasSuffix(".khp") {
            if !files.contains(path) { try? FileManager.default.removeItem(at: self.tree.appending(path: path)) }
        }
    }

    /// Takes the copy as the last run has built it, whatever has changed since.
    package mutating func takeAsBuilt(withCommand: Bool) throws {
        let data = try Data(contentsOf: self.folder.appending(path: "mutants.json"))
        self.mutants = try JSONDecoder().decode([Mutant].self, from: data)
        self.programs = Self.programNames.prefix(withCommand ? 2 : 1).map { self.build.appending(path: "debug/\($0)") }
    }

    private static let programNames = ["swift-khpPackageTests.xctest", "khp-commandPackageTests.xctest"]

    // MARK: Building

    /// Builds the tests of the library once, and those of the command. Mutants that do not compile are dropped until all
    /// do.
    package mutating func compile(withCommand: Bool) throws {
        let library = (path: self.tree.path, flags: [String](), program: Self.programNames[0])
        let command = (
            path: self.tree.path + "/Command", flags: ["--disable-build-manifest-caching"],
            program: Self.programNames[1]
        )
        for round in 1...20 {
            var errors: [CompilerError] = []
            self.programs = []
            for package in withCommand ? [library, command] : [library] {
                let log = self.folder.appending(path: "build.log")
                let result = try Tool.run(
                    [
                        "swift", "build", "--package-path", package.path, "--scratch-path", self.build.path,
                        "--build-tests",
                    ] + package.flags
                )
                try Data(result.output.utf8).write(to: log)
                if result.status == 0 {
                    self.programs.append(self.build.appending(path: "debug/\(package.program)"))
                    continue
                }
                errors = self.errors(in: result.output)
                if errors.isEmpty { throw Failure("the copy does not build; see \(log.path)") }
                break
            }
            if errors.isEmpty { return }
            let gone = self.blamed(for: errors)
            say("round \(round): \(errors.count) errors, \(gone.count) mutants dropped")
            if gone.isEmpty { throw Failure("errors that no mutant explains: \(errors)") }
            let all = self.dropped().union(gone).sorted().joined(separator: "\n") + "\n"
            try Data(all.utf8).write(to: self.droppedFile)
            try self.write()
        }
        throw Failure("mutants that do not compile are left after 20 rounds")
    }

    private func errors(in output: String) -> [CompilerError] {
        var errors: [CompilerError] = []
        for line in output.split(whereSeparator: \.isNewline) {
            guard let mark = line.range(of: ": error:") else { continue }
            let parts = line[..<mark.lowerBound].split(separator: ":")
            guard parts.count >= 2, let number = Int(parts[1]), let inTree = parts[0].range(of: "/tree/") else {
                continue
            }
            let sentence = line[mark.upperBound...]
            errors.append(
                CompilerError(
                    file: String(parts[0][inTree.upperBound...]),
                    line: number,
                    isOfAnExit: sentence.contains("before being initialized") || sentence.contains("missing return")
                )
            )
        }
        return errors
    }

    private struct CompilerError {
        var file: String
        var line: Int
        /// True where a way out is missing somewhere before the line, which has no part in it.
        var isOfAnExit: Bool
    }

    /// The mutants on the line of an error; where there are none, all of the declaration around it.
    private func blamed(for errors: [CompilerError]) -> Set<String> {
        var gone: Set<String> = []
        for error in errors {
            let here = self.mutants.filter { $0.file == error.file }
            let around = here.filter { $0.scope.contains(error.line) }
            let exits = around.filter { $0.kind == .exit }
            var culprits = here.filter { $0.lines.contains(error.line) }
            if !exits.isEmpty, error.isOfAnExit || culprits.isEmpty {
                culprits = exits
            } else if culprits.isEmpty {
                culprits = around
            }
            gone.formUnion(culprits.map(\.id))
        }
        return gone
    }
}

package struct Failure: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
