// A backend's byte stream before any session has it.

import CommandTestSupport
import Dispatch
import KHPProtocol
import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

@Suite("The byte stream of a backend", .timeLimit(.minutes(1)))
struct BackendStreamTests {
    /// Told of a backend's end.
    private final class Taker: BackendTaker {
        var end: BackendEnd?

        func backendSent(_ bytes: ByteBuffer) {}
        func backendSent(_ kind: MessageKind, _ bytes: ByteBuffer) {}
        func backendWritabilityChanged() {}
        func backendEnded(_ end: BackendEnd) { self.end = end }
    }

    @Test("a backend that broke off before its session began is an end for that session")
    func brokeOffBefore() async throws {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        // It breaks off behind the connect, which would fail otherwise, and before the session.
        let isConnected = DispatchSemaphore(value: 0)
        _ = try await BlockingSocket.serving { socket in
            _ = try socket.receive()
            isConnected.wait()
            socket.reset()
        } body: { port in
            let connector = BackendConnector(backend: .local(port), proxyHeader: .v1, tls: nil, serverName: nil)
            defer { isConnected.signal() }
            let link = try await connector.connect(BackendCall(on: eventLoop), within: .seconds(5))
            isConnected.signal()
            let (gone, isGone) = AsyncStream.makeStream(of: Void.self)
            link.whenGoneUntaken { isGone.finish() }
            for await _ in gone {}
            let end = try await eventLoop.submit {
                let taker = Taker()
                link.take().begin(for: taker)
                return taker.end
            }.get()
            #expect(end == .reset("the connection ended") || end == .reset("the connection was reset"))
        }
    }
}
