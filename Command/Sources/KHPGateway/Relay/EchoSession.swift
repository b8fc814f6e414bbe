// The service that answers each message with itself: for operators who try a listener without a broker.

import KHPServer
import NIOCore

final class EchoSession: MessageHandler {
    private let session: Session
    private var end: SessionEnd?

    init(_ session: Session) {
        self.session = session
    }

    func opened(_ socket: EventLoopSocket) {
        self.session.buffered = { socket.bufferedAmount }
        self.session.close = { [weak self] end in
            guard let self, self.end == nil else { return }
            self.end = end
            socket.close(code: end.code ?? .normalClosure, reason: end.reason)
        }
        self.session.opened(socket)
    }

    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        let bytes = message.bytes.readableBytes
        self.session.tally += Tally(inBytes: bytes, inMessages: 1, outBytes: bytes, outMessages: 1)
        try? socket.send(message.kind, message.bytes)
    }

    func closed(_ info: CloseInfo) {
        self.session.ended(self.end ?? SessionEnd(info, isCongested: false))
    }
}
