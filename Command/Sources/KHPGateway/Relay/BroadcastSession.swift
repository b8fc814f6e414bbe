// The service that sends each message to all of its clients, the author too. Nothing is dropped: who does not keep up is closed,
// and the rest go on.

import KHPServer
import NIOCore

final class BroadcastSession: MessageHandler {
    private let session: Session
    private let group: WebSocketGroup
    private var member: WebSocketGroup.Member?
    private var end: SessionEnd?

    init(_ session: Session, in group: WebSocketGroup) {
        self.session = session
        self.group = group
    }

    func opened(_ socket: EventLoopSocket) {
        self.member = self.group.add(socket)
        self.session.buffered = { socket.bufferedAmount }
        self.session.close = { [weak self] end in
            guard let self, self.end == nil else { return }
            self.end = end
            socket.close(code: end.code ?? .normalClosure, reason: end.reason)
        }
    }

    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        self.session.tally += Tally(inBytes: message.bytes.readableBytes, inMessages: 1)
        if !self.group.offer(message.message) { socket.close(code: .tryAgainLater, reason: "too much at once") }
    }

    func closed(_ info: CloseInfo) {
        self.member?.leave()
        self.member = nil
        self.session.ended(self.end ?? SessionEnd(info, isCongested: false))
    }
}
