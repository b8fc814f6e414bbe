// The code in the documentation of KHPTesting, kept compiling. scripts/check-docs.py holds the pages against these
// sources; Examples/Tests has more, which is run.

import KHPProtocol
import KHPTesting
import NIOCore

func playing(_ text: String) throws {
    let transcript = try Transcript(text, name: "complete")
    for role in transcript.roles { try transcript.play(against: role) }
}

func playingInPieces(_ transcript: Transcript) throws {
    try transcript.play(against: .client, reads: .pieces(of: 1))
    try transcript.playAtEverySplit(against: .server)
}

func kaazingClient(_ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async throws -> ScriptedKaazingClient.State {
    try await channel.executeThenClose { inbound, outbound in
        let url = "ws://localhost:8001/echo"
        var client = try ScriptedKaazingClient(.java, url: url)
        try await outbound.write(client.start())
        for try await bytes in inbound {
            let answer = client.receive(bytes)
            if answer.readableBytes > 0 { try await outbound.write(answer) }
            if client.state != .connecting { break }
        }
        return client.state
    }
}
