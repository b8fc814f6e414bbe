// The service that answers each message with itself: for operators who try a listener without a broker.

import KHPServer
import NIOCore

final class EchoSession: MessageHandler {
    private let session: Session
    private let timers: SessionTimers
    private var end: SessionEnd?
    /// The client does not take what is sent to it.
    private var isCongested = false

    init(_ session: Session, _ lifetime: GatewayConfiguration.Lifetime, on eventLoop: any EventLoop) {
        self.session = session
        self.timers = SessionTimers(session, lifetime, on: eventLoop) { session.tally.inMessages }
    }

    func opened(_ socket: EventLoopSocket) {
        self.session.buffered = { socket.bufferedAmount }
        self.session.close = { [weak self] end in
            // A session that the library has ended keeps that end.
            guard let self, self.end == nil, !socket.isClosing else { return }
            self.end = end
            socket.close(code: end.code ?? .normalClosure, reason: end.reason)
        }
        self.session.opened(socket)
        self.timers.begin()
    }

    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        let bytes = message.bytes.readableBytes
        self.session.tally += Tally(inBytes: bytes, inMessages: 1, outBytes: bytes, outMessages: 1)
        try? socket.send(message.kind, message.bytes)
    }

    func writabilityChanged(on socket: EventLoopSocket) { self.isCongested = !socket.isWritable }

    func closed(_ info: CloseInfo) {
        self.timers.cancel()
        self.session.ended(self.end ?? SessionEnd(info, isCongested: self.isCongested))
    }
}
