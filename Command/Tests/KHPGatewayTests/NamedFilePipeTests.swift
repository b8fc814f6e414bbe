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
}
