// How code that uses the client is tested against servers that are hard to come by: a transcript is the server, on a
// real socket, and checks what it hears. `Specs/transcripts/README.md` describes the format.

import KHPClient
import KHPTesting
import NIOCore
import NIOPosix
import Testing

@Suite struct ScriptedServerTests {
    static let transcript = """
        title: A server that has had enough
        client: ws://example.com/trades
        server: /trades

        C opening
          GET /trades HTTP/1.1
          Host: example.com
          Upgrade: websocket
          Connection: Upgrade
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
          Sec-WebSocket-Version: 13
          Sec-WebSocket-Protocol: x-kaazing-handshake
        \("  ")
        S opening
          HTTP/1.1 101 Switching Protocols
          Upgrade: websocket
          Connection: Upgrade
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
          Sec-WebSocket-Protocol: x-kaazing-handshake
        \("  ")
        C binary
          GET /trades HTTP/1.1
        \("  ")
        S text
          HTTP/1.1 503 Service Unavailable
          Content-Length: 20
        \("  ")
          ==
          The market is closed
        S close 1000
        C close 1000
        S eof
        """

    @Test func theServersReasonReachesTheCaller() async throws {
        let transcript = try Transcript(Self.transcript, name: "closed market")
        let group = MultiThreadedEventLoopGroup.singleton
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                let loop = channel.eventLoop
                return loop.makeCompletedFuture {
                    let peer = ScriptedPeer(transcript, as: .server)
                    let handler = ScriptedPeerHandler(peer, eventLoop: loop)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { listener.close(promise: nil) }
        let url = "ws://127.0.0.1:\(listener.localAddress?.port ?? 0)/trades"

        let error = try await #require(throws: WebSocketError.self) {
            try await WebSocketClient().withConnection(to: url) { _ in }
        }
        #expect(error.code == .extendedRefused)
        #expect(error.response.map { String(buffer: $0.body) } == "The market is closed")
    }
}
