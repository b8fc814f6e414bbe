// What the documentation of KHPTesting shows, kept compiling. scripts/check-docs.py holds the pages against these
// sources; Examples/Tests has more, which is run.

import KHPProtocol
import KHPTesting

func playing(_ text: String) throws {
    let transcript = try Transcript(text, name: "complete")
    for role in transcript.roles { try transcript.play(against: role) }
}

func playingInPieces(_ transcript: Transcript) throws {
    try transcript.play(against: .client, reads: .pieces(of: 1))
    try transcript.playAtEverySplit(against: .server)
}
