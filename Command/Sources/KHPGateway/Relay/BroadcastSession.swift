// The service that sends each message to all of its clients, the author too. Nothing is dropped: who does not keep up is closed,
// and the rest go on.

import KHPServer
import NIOCore

final class BroadcastSession: MessageHandler {
    private let session: Session
    private let room: Room
    private var member: WebSocketGroup.Member?
    private var end: SessionEnd?

    init(_ session: Session, in room: Room) {
        self.session = session
        self.room = room
    }

    func opened(_ socket: EventLoopSocket) {
        self.member = self.room.enter(socket)
        self.session.buffered = { socket.bufferedAmount }
        self.session.close = { [weak self] end in
            guard let self, self.end == nil else { return }
            self.end = end
            socket.close(code: end.code ?? .normalClosure, reason: end.reason)
        }
        self.session.opened(socket)
    }

    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        self.session.tally += Tally(inBytes: message.bytes.readableBytes, inMessages: 1)
        self.room.say(message, by: socket)
    }

    func closed(_ info: CloseInfo) {
        self.member?.leave()
        self.member = nil
        self.session.ended(self.end ?? SessionEnd(info, isCongested: false))
    }
}
