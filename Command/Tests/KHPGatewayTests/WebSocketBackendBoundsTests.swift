// The bounds on what a backend sends that speaks WebSocket: they are the service's, and an end over them says whose they are.

import CommandTestSupport
import Foundation
import KHPClient
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("The messages of a backend that speaks WebSocket", .timeLimit(.minutes(1)))
struct WebSocketBackendBoundsTests {
    private static func backend(_ port: Int) -> GatewayConfiguration.Backend {
        GatewayConfiguration.Backend(scheme: .ws, host: "127.0.0.1", port: port, path: "/in")
    }

    /// Runs a backend that sends one message of so many bytes to each client, behind a service.
    private static func withBackend(
        sending count: Int,
        most: Int,
        body: (ServiceView) async throws -> Void
    ) async throws {
        try await withServer {
            Endpoint("/in") { socket in
                try await socket.send(ByteBuffer(repeating: 7, count: count))
                for try await _ in socket.messages {}
            }
        } body: { port in
            try await withService(backends: [Self.backend(port)]) {
                _ in
            } rules: {
                $0.limits.message = most
            } body: { view in
                try await body(view)
            }
        }
    }

    @Test("may be as large as the service says")
    func large() async throws {
        let count = 1_500_000
        try await Self.withBackend(sending: count, most: 2_097_152) { view in
            var configuration = WebSocketClient.Configuration()
            configuration.limits.messages.messageBytes = count
            let socket = try await WebSocketClient(configuration: configuration).connect(to: view.url)
            #expect(try await socket.receive() == .binary(ByteBuffer(repeating: 7, count: count)))
            try await socket.close()
            #expect(await view.ends.next()?.end.cause == .clientClose)
        }
    }

    @Test("end the session with 1009 where they are larger, which is not the backend's breaking off")
    func tooLarge() async throws {
        try await Self.withBackend(sending: 10_001, most: 10_000) { view in
            let socket = try await WebSocketClient().connect(to: view.url)
            let info = try await socket.closed()
            #expect(info.code == .messageTooBig)
            #expect(info.reason.contains("limits.message"))
            let end = await view.ends.next()?.end
            #expect(end?.cause == .messageTooBig && end?.party == .gateway, "\(String(describing: end))")
        }
    }

    @Test(
        "that break the protocol end the session with 1011, and the log says what they broke",
        arguments: [
            // A text that is no UTF-8, and a frame that is masked.
            ([0x81, 0x01, 0xFF], "UTF-8"), ([0x82, 0x81, 1, 2, 3, 4, 5], "mask"),
        ] as [([UInt8], String)]
    )
    func broken(_ frame: [UInt8], _ word: String) async throws {
        _ = try await BlockingSocket.serving { socket in
            let field = try socket.receiveHead().components(separatedBy: "\r\n")
                .first { $0.lowercased().hasPrefix("sec-websocket-key: ") }
            let accept = acceptValue(for: String((field ?? "").dropFirst("sec-websocket-key: ".count)))
            try socket.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: \(accept)\r\n\r\n"
            )
            try socket.send(frame)
            _ = socket.receiveAll()
        } body: { port in
            try await withService(backends: [Self.backend(port)]) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                #expect(try await socket.closed().code == .internalError)
                let end = await view.ends.next()?.end
                #expect(end?.cause == .protocolViolation && end?.party == .backend, "\(String(describing: end))")
                #expect(end?.reason.contains(word) ?? false, "\(String(describing: end))")
            }
        }
    }

    @Test("and those of clients may come in pieces of 1 KiB, however large they may be")
    func fragments() {
        var limits = GatewayConfiguration.Limits()
        #expect(limits.messages.fragments == 1024)
        limits.message = 8 * 1_048_576
        #expect(limits.messages.fragments == 8192 && limits.messages.messageBytes == limits.message)
        limits.message = 1
        #expect(limits.messages.fragments == 1024)
    }
}
