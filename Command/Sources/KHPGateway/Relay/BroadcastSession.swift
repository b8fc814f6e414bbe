// The service that sends each message to all of its clients, the author too. Nothing is dropped: who does not keep up is closed,
// and the rest go on.

import KHPServer
import NIOCore

final class BroadcastSession: MessageHandler {
    private let session: Session
    private let room: Room
    private let timers: SessionTimers
    private var member: WebSocketGroup.Member?
    private var end: SessionEnd?
    /// The client does not take what is sent to it.
    private var isCongested = false

    init(
        _ session: Session,
        in room: Room,
        _ lifetime: GatewayConfiguration.Lifetime,
        on eventLoop: any EventLoop
    ) {
        self.session = session
        self.room = room
        // The messages of all go to all.
        self.timers = SessionTimers(session, lifetime, on: eventLoop) { session.tally.inMessages + room.said }
    }

    func opened(_ socket: EventLoopSocket) {
        self.member = self.room.enter(socket) { [weak self] in self?.endsFirst(.tooSlow) }
        self.session.buffered = { socket.bufferedAmount }
        self.session.close = { [weak self] in self?.close($0, socket) }
        self.session.opened(socket)
        self.timers.begin()
    }

    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        self.session.tally += Tally(inBytes: message.bytes.readableBytes, inMessages: 1)
        if !self.room.say(message) { self.close(.tooMuch, socket) }
    }

    func writabilityChanged(on socket: EventLoopSocket) { self.isCongested = !socket.isWritable }

    private func close(_ end: SessionEnd, _ socket: EventLoopSocket) {
        // A session that the library has ended keeps that end.
        guard !socket.isClosing, self.endsFirst(end) else { return }
        socket.close(code: end.code ?? .normalClosure, reason: end.reason)
    }

    /// The first end counts.
    @discardableResult
    private func endsFirst(_ end: SessionEnd) -> Bool {
        guard self.end == nil else { return false }
        self.end = end
        return true
    }

    func closed(_ info: CloseInfo) {
        self.timers.cancel()
        self.member?.leave()
        self.member = nil
        self.session.ended(self.end ?? SessionEnd(info, isCongested: self.isCongested))
    }
}
