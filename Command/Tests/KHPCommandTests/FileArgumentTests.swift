// Files that options name: regular ones, pipes and devices, up to a bound.

import CommandTestSupport
import Foundation
import Testing

@testable import KHPCommand

@Suite("Files of options", .timeLimit(.minutes(1)))
struct FileArgumentTests {
    /// Runs the body with the path of a new pipe that has a name.
    private static func withPipe(_ body: (_ path: String) async throws -> Void) async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("khp-pipe-\(UUID().uuidString)").path
        try #require(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        try await body(path)
    }

    @Test("a pipe is read to its end, in as many pieces as it is written")
    func pipes() async throws {
        signal(SIGPIPE, SIG_IGN)
        try await Self.withPipe { path in
            // More than a pipe holds.
            let pieces = (0..<40).map { Data(repeating: UInt8($0), count: 5000) }
            async let written: Void = offThread {
                // No process that another test starts shall hold it open.
                let pipe = FileHandle(fileDescriptor: open(path, O_WRONLY | O_CLOEXEC), closeOnDealloc: true)
                for piece in pieces { try pipe.write(contentsOf: piece) }
                try pipe.close()
            }
            let bytes = try await offThread { try FileArgument.bytes(path, option: "--binary") }
            try await written
            #expect(bytes == pieces.flatMap { Array($0) })
        }
    }

    @Test("a device without bytes is empty, and one without an end a mistake")
    func devices() throws {
        #expect(try FileArgument.bytes("/dev/null", option: "--netrc") == [])
        #expect(try FileArgument.text("/dev/null", option: "--users").isEmpty)
        let failure = #expect(throws: CommandFailure.self) {
            try FileArgument.bytes("/dev/zero", option: "--cacert", most: 1 << 20)
        }
        #expect(failure?.status == .usage)
        #expect(failure?.sentence == "the file `/dev/zero` of --cacert is larger than 1 MiB")
    }

    @Test("a file of the bound is read, and an empty one; a folder and none at all are mistakes")
    func files() throws {
        let folder = FileManager.default.temporaryDirectory
        let file = folder.appendingPathComponent("khp-file-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        for count in [0, 100_000] {
            try Data(repeating: 7, count: count).write(to: file)
            let bytes = try FileArgument.bytes(file.path, option: "--key", most: 100_000)
            #expect(bytes == [UInt8](repeating: 7, count: count))
        }
        #expect(throws: CommandFailure.self) { try FileArgument.bytes(file.path, option: "--key", most: 99_999) }
        for (path, reason) in [(folder.path, "cannot be read"), (file.path + "-none", "does not exist")] {
            let failure = #expect(throws: CommandFailure.self) { try FileArgument.bytes(path, option: "--key") }
            #expect(failure?.sentence == "the file `\(path)` of --key \(reason)")
        }
    }
}
