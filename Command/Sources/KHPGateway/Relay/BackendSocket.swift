// A backend that speaks WebSocket: messages keep their kind, and a close goes on with its code and reason.

import KHPClient
import NIOCore

final class BackendSocket: MessageHandler, BackendSide {
    /// Called once and let go of: it holds the promise of the link that holds this.
    private var opened: ((BackendSocket) -> Void)?
    private var socket: EventLoopSocket?
    private var taker: (any BackendTaker)?
    /// The end, where it comes before the session.
    private var end: BackendEnd?
    private var isFinishing = false

    /// - Parameter opened: called once, on the event loop.
    init(opened: @escaping (BackendSocket) -> Void) {
        self.opened = opened
    }

    var readsFromCongestedPeer: Bool { true }

    // MARK: The relay's

    var isWritable: Bool { self.socket?.isWritable ?? true }
    var bufferedBytes: Int { self.socket?.bufferedAmount ?? 0 }

    func begin(for taker: any BackendTaker) {
        if let end { return taker.backendEnded(end) }
        self.taker = taker
        self.socket?.resumeReading()
    }

    func send(_ kind: MessageKind, _ bytes: ByteBuffer, isFirst: Bool, isLast: Bool) {
        assert(isFirst && isLast, "a service with backends of WebSocket takes messages whole")
        // It throws where the socket closes, which `closed` tells.
        try? self.socket?.send(kind, bytes)
    }

    func pauseReading() { self.socket?.pauseReading() }

    func resumeReading() { self.socket?.resumeReading() }

    func finish(after end: SessionEnd) {
        guard !self.isFinishing else { return }
        self.isFinishing = true
        self.taker = nil
        guard let socket else { return }
        socket.resumeReading()
        let isClosed = end.cause == .clientClose || end.code?.passedOn != nil
        let code: WebSocketCloseCode = end.isOrderly && isClosed ? end.code?.passedOn ?? .normalClosure : .goingAway
        socket.close(code: code, reason: end.reason)
    }

    func reset() {
        self.isFinishing = true
        self.taker = nil
        self.socket?.resumeReading()
        self.socket?.close(code: .goingAway, reason: "")
    }

    // MARK: The library's

    func opened(_ socket: EventLoopSocket) {
        self.socket = socket
        // The session opens a moment later, and is the first to be told.
        socket.pauseReading()
        let opened = self.opened
        self.opened = nil
        opened?(self)
    }

    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        self.taker?.backendSent(message.kind, message.bytes)
    }

    func writabilityChanged(on socket: EventLoopSocket) { self.taker?.backendWritabilityChanged() }

    func closed(_ info: CloseInfo) {
        self.socket = nil
        let end = BackendEnd(info)
        self.end = end
        let taker = self.taker
        self.taker = nil
        taker?.backendEnded(end)
    }
}

extension BackendEnd {
    fileprivate init(_ info: CloseInfo) {
        if info.clean {
            self = .closed(info.code, info.reason)
        } else if info.initiator == .local, info.error?.isOverWhatThePeerSent ?? false {
            self = .failed(info.code, info.reason)
        } else {
            self = .reset(info.error?.message ?? "the connection ended")
        }
    }
}

extension WebSocketError {
    /// `true` where messages or frames of the peer have ended the connection.
    fileprivate var isOverWhatThePeerSent: Bool {
        [.messageTooBig, .protocolViolation, .limitExceeded].contains(self.code)
    }
}
