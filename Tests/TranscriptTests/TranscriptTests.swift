// Every conversation in Specs/transcripts against our client and our server: whole, byte by byte, and cut at every
// place at which it can be cut.

import Foundation
import KHPProtocol
import KHPTesting
import Testing

/// A transcript of the specification and one of the roles that it is played against.
struct Performance: Sendable, CustomTestStringConvertible {
    var name: String
    var role: Role
    var testDescription: String { "\(self.name) against the \(self.role.rawValue)" }

    static let folder = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Specs/transcripts")

    static let transcripts: [String: Transcript] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        var result: [String: Transcript] = [:]
        for name in names where name.hasSuffix(".khp") {
            do {
                let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
                result[name] = try Transcript(text, name: name)
            } catch {
                Issue.record(error)
            }
        }
        return result
    }()

    static let all = transcripts.sorted { $0.key < $1.key }.flatMap { name, transcript in
        transcript.roles.map { Performance(name: name, role: $0) }
    }
}

@Suite struct TranscriptTests {
    @Test func foundAll() {
        #expect(Performance.transcripts.count >= 126)
        #expect(Performance.all.count >= 170)
    }

    @Test(arguments: Performance.all)
    func whole(_ performance: Performance) throws {
        let transcript = try #require(Performance.transcripts[performance.name])
        try transcript.play(against: performance.role)
        try transcript.play(against: performance.role, isObserved: true)
        for size in [1, 2, 7] { try transcript.play(against: performance.role, reads: .pieces(of: size)) }
    }

    @Test(arguments: Performance.all)
    func atEverySplit(_ performance: Performance) throws {
        let transcript = try #require(Performance.transcripts[performance.name])
        let count = try transcript.playAtEverySplit(against: performance.role)
        #expect(count > 0 || transcript.scriptedBytes(against: performance.role) < 2)
    }
}
