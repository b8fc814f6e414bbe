// Sessions whose end has begun in the library, and that are told to end once more while their client takes its time.

import CommandTestSupport
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("The first end of a session", .timeLimit(.minutes(1)))
struct FirstEndTests {
    enum Kind: CaseIterable {
        case echo
        case broadcast
        case relay
    }

    /// A backend that says nothing and takes everything.
    private final class Silent: BackendSide {
        var isWritable: Bool { true }
        var bufferedBytes: Int { 0 }

        func begin(for taker: any BackendTaker) {}
        func send(_ kind: MessageKind, _ bytes: ByteBuffer, isFirst: Bool, isLast: Bool) {}
        func pauseReading() {}
        func resumeReading() {}
        func finish(after end: SessionEnd) {}
        func reset() {}
    }

    /// Another handler's socket, whose proof ends as soon as it is open.
    private final class Expiring: MessageHandler {
        private let inner: any MessageHandler

        init(_ inner: any MessageHandler) {
            self.inner = inner
        }

        func opened(_ socket: EventLoopSocket) {
            self.inner.opened(socket)
            socket.endSession(at: .now())
        }

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
            self.inner.received(message, on: socket)
        }

        func closed(_ info: CloseInfo) { self.inner.closed(info) }
    }

    private static func handler(_ kind: Kind, _ session: Session, on eventLoop: any EventLoop) -> any MessageHandler {
        let rules = GatewayConfiguration.Rules()
        switch kind {
        case .echo:
            return EchoSession(session, rules.lifetime, on: eventLoop)
        case .broadcast:
            return BroadcastSession(session, in: Room(patience: nil), rules.lifetime, on: eventLoop)
        case .relay:
            return RelaySession(session, to: Silent(), rules: rules, frames: .binary, on: eventLoop)
        }
    }

    @Test("a drain does not take the place of a proof that has ended", arguments: Kind.allCases)
    func expired(_ kind: Kind) async throws {
        let ends = AsyncStream.makeStream(of: SessionEnd.self)
        let opened = AsyncStream.makeStream(of: (session: NIOLoopBound<Session>, eventLoop: any EventLoop).self)
        try await withServer {
            Endpoint(
                "/x",
                context: { _ in true },
                messageHandler: { request, _ in
                    let eventLoop = request.eventLoop
                    let session = Session(SessionFacts(id: "1", service: "s")) { _, end in
                        ends.continuation.yield(end)
                    }
                    opened.continuation.yield((NIOLoopBound(session, eventLoop: eventLoop), eventLoop))
                    return Expiring(Self.handler(kind, session, on: eventLoop))
                }
            )
        } body: { port in
            let client = try BlockingSocket.connect(port)
            try client.send(openingRequest("/x"))
            _ = try await offThread { try client.receiveHead() }
            // The close frame, which is not answered yet.
            let frame = try await offThread { try client.receive() }
            #expect(frame.first == 0x88)
            for await (session, eventLoop) in opened.stream {
                try await eventLoop.submit { _ = session.value.close?(.shutdown) }.get()
                break
            }
            try client.send(maskedFrame(8, [0x03, 0xF0]))
            let end = await ends.stream.first { _ in true }
            #expect(end?.cause == .credentialsExpired)
            client.close()
        }
    }
}
