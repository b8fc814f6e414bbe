// Transcripts as peers on real sockets, against the public client and server. They stand apart from the transcripts in
// memory: those compute on every core for longer than a client waits for its handshake.

import Foundation
import KHPClient
import KHPServer
import KHPTesting
import NIOCore
import NIOPosix
import TestSupport
import Testing

@Suite struct ScriptedPeerTests {
    private struct NeverFinished: Error {}

    private func transcript(_ name: String) throws -> Transcript {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Specs/transcripts/\(name).khp")
        return try Transcript(try String(contentsOf: file, encoding: .utf8), name: file.lastPathComponent)
    }

    /// The outcome of our client at a scripted server.
    private func connect(_ name: String, path: String) async throws -> Result<HandshakeSummary, WebSocketError> {
        let transcript = try self.transcript(name)
        let finished = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: Void.self)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let peer = ScriptedPeer(transcript, as: .server)
                    let handler = ScriptedPeerHandler(peer, eventLoop: channel.eventLoop)
                    try channel.pipeline.syncOperations.addHandler(handler)
                    handler.finished.cascade(to: finished)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = listener.localAddress?.port ?? 0
        let result: Result<HandshakeSummary, WebSocketError>
        do {
            let client = WebSocketClient()
            result = .success(
                try await client.withConnection(to: "ws://127.0.0.1:\(port)\(path)") { socket in
                    if name == "declined" {
                        try await socket.send("hello")
                        for try await message in socket.messages {
                            #expect(message == .text("hello"))
                            break
                        }
                    }
                    return socket.negotiated
                }
            )
        } catch let error as WebSocketError {
            result = .failure(error)
        }
        try await listener.close().get()
        // A client whose time was over before it could dial, as on a busy machine, has left the peer nothing to do.
        let bound = finished.futureResult.eventLoop.scheduleTask(in: .seconds(60)) { finished.fail(NeverFinished()) }
        try await finished.futureResult.get()
        bound.cancel()
        return result
    }

    @Test(
        "our client fails as it should at hostile servers",
        arguments: [
            ("garbage-extended-answer", "extended-invalid"), ("early-message-from-server", "extended-invalid"),
            ("wrong-accept-inside", "extended-invalid"), ("close-in-the-middle", "closed-during-handshake"),
            ("end-in-an-answer", "closed-during-handshake"), ("not-actionable-200", "extended-refused"),
            ("frame-masked", "protocol-violation"), ("opening-subprotocol-unasked", "opening-invalid"),
        ]
    )
    func hostileServers(_ name: String, _ code: String) async throws {
        let url = try WebSocketURL(try self.transcript(name)["client"] ?? "")
        let result = try await self.connect(name, path: url.resource)
        guard case .failure(let error) = result else {
            Issue.record("open")
            return
        }
        #expect(error.code.description == code)
    }

    @Test("our client completes at a scripted server")
    func completes() async throws {
        let result = try await self.connect("declined", path: "/trades")
        #expect(try result.get().status == nil)
    }

    @Test("our server answers a scripted client as the transcript says", arguments: ["trailing-bytes", "host-differs"])
    func hostileClients(_ name: String) async throws {
        let transcript = try self.transcript(name)
        try await withServer {
            Endpoint(transcript["server"] ?? "/") { (_: WebSocket) in }
        } body: { port in
            let finished = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: Void.self)
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let peer = ScriptedPeer(transcript, as: .client)
                        let handler = ScriptedPeerHandler(peer, eventLoop: channel.eventLoop)
                        try channel.pipeline.syncOperations.addHandler(handler)
                        handler.finished.cascade(to: finished)
                    }
                }
                .connect(host: "127.0.0.1", port: port).get()
            try await finished.futureResult.get()
            try await channel.closeFuture.get()
        }
    }

    @Test("a peer that says something else is told apart, with its line")
    func leavesTheScript() throws {
        let transcript = try self.transcript("complete")
        var peer = ScriptedPeer(transcript, as: .server)
        #expect(peer.start().isEmpty)
        #expect(throws: TranscriptError.self) {
            _ = try peer.receive(ByteBuffer(string: "GET /other HTTP/1.1\r\nHost: a\r\n\r\n"))
        }
    }
}
