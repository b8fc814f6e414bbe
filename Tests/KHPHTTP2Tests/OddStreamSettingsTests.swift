// The bounds of HTTP/2 at values that make no sense: the library has preconditions of its own.

import KHPClient
import KHPHTTP2
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("A bound of HTTP/2 at any value stops no process (threat H1)", .serialized)
struct OddStreamSettingsTests {
    @Test(
        "all of them",
        arguments: [(0, .zero), (1, .nanoseconds(1)), (-1, .seconds(-1)), (Int.max, .seconds(Int64.max))]
            as [(Int, Duration)]
    )
    func bounds(_ number: Int, _ time: Duration) async throws {
        try await withHTTP2Server {
            $0.limits.headBytes = number
            $0.limits.sendBufferHighMark = number
            $0.http2?.streamsPerConnection = number
            $0.http2?.windowBytes = number
            $0.http2?.resets = number
            $0.http2?.controlFrames = number
            $0.http2?.floodWindow = time
            $0.http2?.idleTime = time
        } endpoints: {
            echo()
        } body: { url in
            let client = try makeClient(.init(.required, sharesConnections: true)) {
                $0.limits.headBytes = number
                $0.limits.sendBufferHighMark = number
                $0.limits.sendBufferLowMark = number
                $0.timeouts.opening = time
                $0.http2.idleTime = time
            }
            // A refusal will do, and so will a connection that ends early.
            _ = try? await client.withConnection(to: url + "/echo") { socket in
                try await socket.send("hello")
                _ = try await socket.receive()
            }
        }
    }
}
