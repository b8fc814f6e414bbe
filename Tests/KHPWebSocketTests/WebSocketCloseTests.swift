// The codes and reasons with which an application may close its socket.

import KHPProtocol
import KHPWebSocket
import NIOCore
import TestSupport
import Testing

@Suite("Closing a socket", .timeLimit(.minutes(1)))
struct WebSocketCloseTests {
    @Test("a reason of 123 bytes fits a close frame, one of 124 is refused (RFC 6455 section 5.5)")
    func reasons() async throws {
        try await withServedSocket { served in
            let socket = served.socket
            let reason = String(repeating: "r", count: 123)
            let error = await #expect(throws: WebSocketError.self) { try await socket.close(reason: reason + "r") }
            #expect(error?.code == .invalidArgument)
            let closing = Task { try await socket.close(reason: reason) }
            let all = try await served.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
            #expect(serverFrames(all).map(\.payload) == [[3, 232] + Array(reason.utf8)])
            try await served.client.send(maskedFrame(8, [3, 232]))
            #expect(try await closing.value.clean)
        }
    }

    @Test("a code that must not go on the wire is refused, and the socket goes on (RFC 6455 section 7.4)")
    func codes() async throws {
        try await withServedSocket { served in
            let socket = served.socket
            for code in [999, 1004, 1005, 1006, 1015, 2999, 5000] as [UInt16] {
                let error = await #expect(throws: WebSocketError.self) {
                    try await socket.close(code: WebSocketCloseCode(rawValue: code))
                }
                #expect(error?.code == .invalidArgument)
            }
            try await socket.send("still open")
            let all = try await served.client.receive { !serverFrames($0).isEmpty }
            #expect(serverFrames(all).map(\.first) == [0x81])
        }
    }
}
