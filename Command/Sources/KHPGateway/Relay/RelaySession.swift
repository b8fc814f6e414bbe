// The relay of one session: the client's messages out as bytes, the backend's bytes out as messages, both on one event loop,
// and the rules by which the end of one side becomes the end of the other.

import KHPServer
import NIOCore

/// Carries one client's messages to its backend, and back.
///
/// | one side            | the other side                                                            |
/// |---------------------|---------------------------------------------------------------------------|
/// | client's close      | all its bytes, then FIN; what the backend still says is dropped           |
/// | client lost         | the same, or a reset, as ``RelayEnds`` has it                             |
/// | backend's FIN       | all its bytes, then 1000                                                  |
/// | backend's reset     | all its bytes, then 1014                                                  |
/// | takes nothing       | not read from above the buffer, until half of it has left; ended in time  |
///
/// In memory are, at most: one buffer to each side, a read of 16 KiB and the head of a frame; after the end of a backend
/// that its client does not keep up with, what the system had taken from it.
final class RelaySession: MessageHandler, BackendTaker {
    private let session: Session
    private let backend: any BackendSide
    private let rules: GatewayConfiguration.Relay
    private let lifetime: GatewayConfiguration.Lifetime
    private let ends: RelayEnds
    private var frames: OutgoingFrames
    /// `true` once the client's dialect has turned out to have no binary messages: bytes become text, whatever was asked for.
    private var carriesTextAlone = false
    private var socket: EventLoopSocket?
    private var eventLoop: (any EventLoop)?
    /// Told how the client's socket has closed, before the backend is.
    private let onClose: (CloseInfo) -> Void
    /// The end, once one side has begun it.
    private var end: SessionEnd?
    private var watch = Watch()

    init(
        _ session: Session,
        to backend: any BackendSide,
        rules: GatewayConfiguration.Rules,
        frames: GatewayConfiguration.Frames,
        ends: RelayEnds = .ofBroker,
        on eventLoop: any EventLoop,
        onClose: @escaping (CloseInfo) -> Void = { _ in }
    ) {
        self.session = session
        self.onClose = onClose
        self.backend = backend
        self.rules = rules.relay
        self.lifetime = rules.lifetime
        self.ends = ends
        self.frames = OutgoingFrames(frames)
        self.eventLoop = eventLoop
    }

    /// Publishing goes on while a client takes in slowly what it subscribed to.
    var readsFromCongestedPeer: Bool { true }

    // MARK: The client

    func opened(_ socket: EventLoopSocket) {
        self.socket = socket
        self.session.close = { [weak self] in self?.close($0) }
        self.session.buffered = { [weak self] in self.map { socket.bufferedAmount + $0.backend.bufferedBytes } ?? 0 }
        self.backend.begin(for: self)
        self.session.opened(socket)
        if self.lifetime.idle != nil { self.watchOn() }
        self.endAtItsLifetime()
    }

    func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
        self.take(message.kind, message.bytes, isFirst: true, isLast: true, on: socket)
    }

    func received(_ chunk: MessageChunk, on socket: EventLoopSocket) {
        self.take(chunk.kind, chunk.bytes, isFirst: chunk.isFirst, isLast: chunk.isLast, on: socket)
    }

    @inline(__always)
    private func take(
        _ kind: MessageKind,
        _ bytes: ByteBuffer,
        isFirst: Bool,
        isLast: Bool,
        on socket: EventLoopSocket
    ) {
        self.session.tally.inBytes += bytes.readableBytes
        if isLast { self.session.tally.inMessages += 1 }
        self.frames.clientSent(kind)
        self.backend.send(kind, bytes, isFirst: isFirst, isLast: isLast)
        if !self.backend.isWritable, !self.session.clientPause.isOn {
            self.session.clientPause.begin(.now())
            socket.pauseReading()
            self.watchOn()
        }
    }

    func writabilityChanged(on socket: EventLoopSocket) {
        guard socket.isWritable, self.session.backendPause.isOn else { return }
        self.session.backendPause.end(.now())
        self.backend.resumeReading()
    }

    func closed(_ info: CloseInfo) {
        let isCongested = self.session.backendPause.isOn
        let end = self.end ?? SessionEnd(info, isCongested: isCongested)
        self.end = end
        let isWhole = self.socket?.hasLostMessages != true
        self.socket = nil
        self.watch.end()
        let now = NIODeadline.now()
        self.session.clientPause.end(now)
        self.session.backendPause.end(now)
        self.onClose(info)
        if isWhole, self.ends.isWhole(info) { self.backend.finish(after: end) } else { self.backend.reset() }
        self.session.ended(end)
    }

    // MARK: The backend

    func backendSent(_ bytes: ByteBuffer) {
        guard let socket, self.end == nil else { return }
        let isFirst = self.session.tally.outMessages == 0
        do throws(CharacterCut.NoText) {
            var isCarried = try self.send(messagesOf: bytes, on: socket)
            if !isCarried, isFirst {
                // Nothing has left yet, so nothing is sent twice.
                self.carriesTextAlone = true
                self.frames = OutgoingFrames(.text)
                isCarried = try self.send(messagesOf: bytes, on: socket)
            }
            if !isCarried { return self.close(self.ends.noBinary) }
        } catch {
            return self.close(self.noText)
        }
        self.pauseBackend(for: socket)
    }

    /// - Returns: `false` where the socket carries no messages of a kind that is needed; the rest is not sent then.
    private func send(
        messagesOf bytes: ByteBuffer,
        on socket: EventLoopSocket
    ) throws(CharacterCut.NoText) -> Bool {
        var isCarried = true
        try self.frames.forEach(of: bytes) { kind, bytes in
            if isCarried { isCarried = self.send(kind, bytes, on: socket) }
        }
        return isCarried
    }

    /// The end of a session whose backend has sent bytes that were to be text, and are none.
    private var noText: SessionEnd { self.carriesTextAlone ? self.ends.noBinary : self.ends.noText }

    func backendSent(_ kind: MessageKind, _ bytes: ByteBuffer) {
        guard let socket, self.end == nil else { return }
        guard self.send(kind, bytes, on: socket) else { return self.close(self.ends.noBinary) }
        self.pauseBackend(for: socket)
    }

    /// - Returns: `false` where the socket is open, and its dialect carries no messages of this kind.
    private func send(_ kind: MessageKind, _ bytes: ByteBuffer, on socket: EventLoopSocket) -> Bool {
        do throws(WebSocketError) {
            try socket.send(kind, bytes)
        } catch {
            if error.code == .invalidArgument { return false }
            // The socket closes, which `closed` tells.
        }
        self.session.tally.outBytes += bytes.readableBytes
        self.session.tally.outMessages += 1
        return true
    }

    private func pauseBackend(for socket: EventLoopSocket) {
        guard !socket.isWritable, !self.session.backendPause.isOn else { return }
        self.session.backendPause.begin(.now())
        self.backend.pauseReading()
        self.watchOn()
    }

    func backendWritabilityChanged() {
        guard self.backend.isWritable, self.session.clientPause.isOn else { return }
        self.session.clientPause.end(.now())
        self.socket?.resumeReading()
    }

    func backendEnded(_ end: BackendEnd) {
        guard self.end == nil else { return }
        self.session.backendLeft(.now())
        if end == .fin, !self.frames.mayEnd { return self.close(self.noText) }
        if end == .timedOut { return self.close(self.ends.stalled(.backend, self.rules.stalled)) }
        self.close(self.ends.backendEnded(end, clientPaused: self.session.backendPause.recent(.now())))
    }

    // MARK: Ending

    /// Begins the end: what was sent leaves, then the close frame. The first end counts, which may be the library's: a proof
    /// that has ended, or a bound of the client's messages.
    private func close(_ end: SessionEnd) {
        guard self.end == nil, let socket, !socket.isClosing else { return }
        self.end = end
        let isCut = end.cause == .clientStalled || end.cause == .backendStalled || end == self.ends.noBinary
        // A backend that was not heard out has to see that.
        if isCut { self.backend.reset() }
        // A client that waits for its backend has to have its own close read.
        socket.resumeReading()
        socket.close(code: end.code ?? .normalClosure, reason: end.reason)
    }

    private func endAtItsLifetime() {
        guard let maximum = self.lifetime.maximum, let eventLoop else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let service = self.session.facts.service
        self.watch.lifetime = eventLoop.scheduleTask(in: TimeAmount(maximum)) {
            bound.value.close(.timer(.lifetime, maximum, service: service))
        }
    }

    // MARK: Watching sides that take nothing, or say nothing

    /// The looks at a session, for as long as there is something to look at.
    private struct Watch {
        var next: Scheduled<Void>?
        var lifetime: Scheduled<Void>?
        /// The bytes that waited for each side at the last look, and since when it has taken none of them.
        var toClient = Waiting()
        var toBackend = Waiting()

        struct Waiting {
            var bytes = Int.max
            var since = NIODeadline.uptimeNanoseconds(0)

            /// - Returns: how long nothing has been taken.
            mutating func look(_ bytes: Int, _ now: NIODeadline) -> TimeAmount {
                if bytes < self.bytes { self.since = now }
                self.bytes = bytes
                return now - self.since
            }
        }

        mutating func end() {
            self.next?.cancel()
            self.lifetime?.cancel()
            self.next = nil
        }
    }

    private func watchOn() {
        guard self.watch.next == nil, let eventLoop else { return }
        let now = NIODeadline.now()
        self.watch.toClient = Watch.Waiting(bytes: .max, since: now)
        self.watch.toBackend = Watch.Waiting(bytes: .max, since: now)
        self.lookLater(on: eventLoop)
    }

    private func lookLater(on eventLoop: any EventLoop) {
        let shortest = min(self.rules.stalled, self.lifetime.idle ?? self.rules.stalled)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        self.watch.next = eventLoop.scheduleTask(in: max(TimeAmount(shortest / 8), .milliseconds(5))) {
            bound.value.watch.next = nil
            bound.value.look(.now())
        }
    }

    private func look(_ now: NIODeadline) {
        guard self.end == nil, let socket, let eventLoop else { return }
        let stalled = TimeAmount(self.rules.stalled)
        if self.session.backendPause.isOn {
            if self.watch.toClient.look(socket.bufferedAmount, now) >= stalled {
                return self.close(self.ends.stalled(.client, self.rules.stalled))
            }
        } else {
            self.watch.toClient = Watch.Waiting(bytes: .max, since: now)
        }
        if self.session.clientPause.isOn {
            if self.watch.toBackend.look(self.backend.bufferedBytes, now) >= stalled {
                return self.close(self.ends.stalled(.backend, self.rules.stalled))
            }
        } else {
            self.watch.toBackend = Watch.Waiting(bytes: .max, since: now)
        }
        self.session.look(now)
        if let idle = self.lifetime.idle, now - self.session.movedAt >= TimeAmount(idle) {
            return self.close(.timer(.idle, idle, service: self.session.facts.service))
        }
        let isPaused = self.session.backendPause.isOn || self.session.clientPause.isOn
        if isPaused || self.lifetime.idle != nil { self.lookLater(on: eventLoop) }
    }
}
