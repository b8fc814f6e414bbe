// Names and passwords that `khp hash` reads from a pipe.

import Foundation
import KHPServer
import Testing

@testable import KHPCommand

@Suite("Input of khp hash", .timeLimit(.minutes(1)))
struct HashInputTests {
    @Test("bytes that are no UTF-8 make no line: they would be another name or password", arguments: [["joe"], []])
    func wrongBytes(name: [String]) async throws {
        let bytes = Data([0x6A, 0xF6, 0x65, 0x0A]) + Data("welcome\n".utf8)
        let ended = try await RunningCommand.run(["hash", "--algorithm", "sha256"] + name, bytes: bytes)
        #expect(ended.status == 2 && ended.output.isEmpty)
        #expect(ended.errors.contains("is not UTF-8"), "\(ended.errors)")
    }

    @Test("the name stands in the first line and the password in the second, where no argument names one")
    func bothLines() async throws {
        let ended = try await RunningCommand.run(["hash", "--digest", "desk"], input: "joe\r\nwélcome\n")
        let users = try UsersFile(ended.output, name: "users")
        #expect(
            users.digestKey(user: "joe", realm: "desk", algorithm: .sha256)
                == DigestAlgorithm.sha256.key(user: "joe", realm: "desk", password: "wélcome")
        )
    }

    @Test("a line is taken alone, with an end or without, and nothing comes behind the last")
    func lines() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-lines-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: file) }
        let bytes = Data("one\n\nthr\u{E9}e\r\n".utf8) + Data([0xFF, 0x0A]) + Data("last".utf8)
        try bytes.write(to: file)
        let handle = try FileHandle(forReadingFrom: file)
        defer { try? handle.close() }
        let descriptor = handle.fileDescriptor
        #expect(try StandardInput.answer(at: descriptor) == "one")
        #expect(try StandardInput.answer(at: descriptor) == "")
        #expect(try StandardInput.answer(at: descriptor) == "thr\u{E9}e")
        #expect(throws: CommandFailure.self) { try StandardInput.answer(at: descriptor) }
        #expect(try StandardInput.answer(at: descriptor) == "last")
        #expect(try StandardInput.answer(at: descriptor) == nil)
    }
}
