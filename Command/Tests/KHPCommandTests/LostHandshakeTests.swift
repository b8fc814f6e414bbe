// The exit statuses of `khp connect` where the peer goes during the handshakes, or its answer does not end (D16, D28).

import CommandTestSupport
import KHPClient
import NIOCore
import Testing

@Suite(.serialized)
struct LostHandshakeTests {
    @Test(
        "exit 3 before the first byte of an answer, then 4, and 5 inside; an orderly end counts for its handshake",
        arguments: [
            (GoingPeer.Stage.opening, GoingPeer.End.reset, 3), (.opening, .end, 4), (.openingBegun, .reset, 4),
            (.extended, .reset, 5), (.extended, .end, 5), (.extendedBegun, .reset, 5), (.extended, .halfClose, 5),
        ]
    )
    func exits(_ stage: GoingPeer.Stage, _ end: GoingPeer.End, _ status: Int) async throws {
        try await GoingPeer.run(stage, end) { port in
            let ended = try await RunningCommand.run(["connect", "ws://127.0.0.1:\(port)/"])
            #expect(Int(ended.status) == status, "\(ended.errors)")
            #expect(!ended.errors.contains("is a server listening"), "\(ended.errors)")
        }
    }

    @Test(
        "a refusal that does not end: its status, what came of its text, and the hint where the offer may be at fault"
    )
    func refusal() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                var reads = inbound.makeAsyncIterator()
                _ = try await reads.next()
                try await outbound.write(ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\n\r\nNo such protocol.\n"))
                while try await reads.next() != nil {}
            }
        } body: { port in
            let ended = try await RunningCommand.run(["connect", "ws://127.0.0.1:\(port)/"])
            #expect(ended.status == 4)
            #expect(ended.errors.contains("No such protocol"), "\(ended.errors)")
            #expect(ended.errors.contains("--extended off"), "\(ended.errors)")
        }
    }

    @Test("--extended-header Host names the authority of the URL, or is a mistake in what was typed (D25)")
    func host() async throws {
        let (_, status) = try await RunningCommand.serving(["--route", "/a=echo"]) { port in
            let url = "ws://127.0.0.1:\(port)/a"
            let right = ["connect", "--message", "hi", "--extended-header", "Host: 127.0.0.1:\(port)", url]
            #expect(try await RunningCommand.run(right).output == "hi\n")
            let wrong = try await RunningCommand.run(["connect", "--extended-header", "Host: other", url])
            #expect(wrong.status == 2)
            #expect(wrong.errors.contains("127.0.0.1:\(port)"), "\(wrong.errors)")
        }
        #expect(status == 0)
    }
}
