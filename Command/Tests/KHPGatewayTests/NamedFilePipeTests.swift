// A configuration that comes through a pipe, as `--config <(command)` has it.

import CommandTestSupport
import Foundation
import Testing

@testable import KHPGateway

@Suite("Files that are pipes", .timeLimit(.minutes(1)))
struct NamedFilePipeTests {
    @Test("one whose writer takes its time is read to its end, up to the bound", arguments: [100, 5])
    func slowWriter(_ most: Int) async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("khp-pipe-\(UUID().uuidString)").path
        try #require(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        // No process that another test starts shall hold it open.
        let reading = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        defer { close(reading) }
        let pipe = FileHandle(fileDescriptor: open(path, O_WRONLY | O_CLOEXEC), closeOnDealloc: true)
        // It writes when all that it has written before is taken, and so the reader has come to an empty pipe each time.
        @Sendable func isTaken() -> Bool? {
            var state = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
            return poll(&state, 1, 0) == 0 ? true : nil
        }
        try pipe.write(contentsOf: Data("one".utf8))
        async let read = offThread {
            try ConfigurationSurroundings.system(environment: [:]).readFile(path, most)
        }
        for piece in ["two", "three"] {
            #expect(await Patience.wait { isTaken() } != nil)
            try pipe.write(contentsOf: Data(piece.utf8))
        }
        try pipe.close()
        #expect(try await read == Array("onetwothree".utf8.prefix(most)))
    }

    @Test(
        "one that nobody has opened for writing yet is waited for, and one that is ended so is empty",
        arguments: ["late", ""]
    )
    func lateWriter(_ text: String) async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("khp-pipe-\(UUID().uuidString)").path
        try #require(mkfifo(path, 0o600) == 0)
        defer { unlink(path) }
        async let read = offThread {
            try ConfigurationSurroundings.system(environment: [:]).readFile(path, 100)
        }
        // It can be opened for writing while somebody reads, who has found nobody so far.
        let opened = await Patience.wait { () -> Int32? in
            let descriptor = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
            return descriptor < 0 ? nil : descriptor
        }
        let pipe = FileHandle(fileDescriptor: try #require(opened), closeOnDealloc: true)
        try pipe.write(contentsOf: Data(text.utf8))
        try pipe.close()
        #expect(try await read == Array(text.utf8))
    }
}
