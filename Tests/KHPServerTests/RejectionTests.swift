// Connections that get no place, as instruments are told of them.

import KHPProtocol
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Rejected connections", .timeLimit(.minutes(1))) struct RejectionTests {
    private final class Recorder: ServerInstrument {
        let accepted = Mutex(0)
        let rejected = Mutex<[String]>([])

        func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? {
            self.accepted.withLock { $0 += 1 }
            return nil
        }

        func rejected(_ reason: ConnectionRejection, _ connection: ConnectionInfo) {
            let host = connection.peer.split(separator: ":").first ?? ""
            self.rejected.withLock { $0.append("\(reason) \(host)") }
        }
    }

    typealias Row = (reason: String, configure: @Sendable (inout WebSocketServer.Configuration) -> Void, bytes: String)

    /// The second of two connections is one too many, or each is where no proxy that is known says for whom it speaks.
    private static let rows: [Row] = [
        ("too-many-connections", { $0.limits.connections = 1 }, ""),
        ("too-many-handshakes", { $0.limits.pendingHandshakes = 1 }, ""),
        ("too-many-of-address", { $0.limits.pendingHandshakesPerAddress = 1 }, ""),
        ("too-many-of-listener", { $0.listener.connections = 1 }, ""),
        ("untrusted-proxy", { $0.proxyProtocol = .required(from: ["192.0.2.1"]) }, ""),
        ("proxy-header", { $0.proxyProtocol = .required(from: ["127.0.0.1"]) }, "GET / HTTP/1.1\r\n\r\n"),
    ]

    @Test("are told with their reason and their address, once each, and an accepted one never is", arguments: 0..<6)
    func reasons(_ index: Int) async throws {
        let row = Self.rows[index]
        let recorder = Recorder()
        try await withServer {
            $0.instruments = [recorder]
            row.configure(&$0)
        } endpoints: {
            echo()
        } body: { port in
            let isBehindProxy = row.reason.contains("proxy")
            let first = try await RawClient.connect(port)
            if !isBehindProxy {
                // Once it has an answer it is known to have been accepted, and it stays in its handshake.
                try await first.send("GET / HTTP/1.1\r\n")
                while recorder.accepted.withLock({ $0 }) == 0 { await Task.yield() }
            }
            let second = isBehindProxy ? first : try await RawClient.connect(port)
            if !row.bytes.isEmpty { try await second.send(row.bytes) }
            _ = try? await second.receiveAll()
            #expect(recorder.rejected.withLock { $0 } == ["\(row.reason) 127.0.0.1"])
            try? await first.close()
            try? await second.close()
        }
    }
}
