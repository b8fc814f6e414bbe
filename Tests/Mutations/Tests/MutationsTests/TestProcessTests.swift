import Testing

@testable import Mutations

@Suite("The test that goes red")
struct TestProcessTests {
    private static let played =
        "✘ Test whole(_:) recorded an issue with 1 argument performance → path-differs.khp against the server"
        + " at TranscriptTests.swift:55:13: Caught error: of no use"

    @Test("of a row's transcripts one counts; another says nothing about the row's threat")
    func transcripts() {
        let name = "TranscriptTests: whole(_:)"
        #expect(TestProcess.issue(in: Self.played, transcripts: []) == .of(name))
        #expect(
            TestProcess.issue(in: Self.played, transcripts: ["host-differs.khp", "path-differs.khp"])
                == .of("\(name), path-differs.khp")
        )
        // Not a part of a name.
        #expect(TestProcess.issue(in: Self.played, transcripts: ["differs.khp"]) == .another)
        #expect(TestProcess.issue(in: "◇ Test whole(_:) started.", transcripts: ["path-differs.khp"]) == .none)
    }
}
