// What the application says and asks, on the event loop: sending, pings, closing, and the waits of its tasks.

package import KHPProtocol
package import NIOCore

extension ConnectionHandler {
    package var isWritable: Bool { !self.hasEnded && self.isChannelWritable }

    package func waitUntilWritable(_ wait: Wait, _ continuation: UnsafeContinuation<Void, any Error>) {
        if wait.isGivenUp {
            continuation.resume(throwing: CancellationError())
        } else if let info = self.closeInfo {
            continuation.resume(throwing: WebSocketError.closed(info))
        } else if self.isWritable {
            continuation.resume()
        } else {
            self.blockedSenders.append((wait, continuation))
        }
    }

    package func sendMessage(_ message: WebSocketMessage) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in try connection.send(message, now: now) }
    }

    package func sendMessage(_ kind: MessageKind, _ payload: ByteBuffer) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in try connection.send(kind, payload, now: now) }
    }

    package func sendMessage(_ message: WebSocketMessage, options: SendOptions) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in
            try connection.send(message, options: options, now: now)
        }
    }

    package func sendChunk(_ chunk: MessageChunk, options: SendOptions = []) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in
            try connection.send(chunk, options: options, now: now)
        }
    }

    @inline(__always)
    private func send(
        _ body: (inout Connection, NIODeadline) throws(WebSocketError) -> Int
    ) throws(WebSocketError) {
        if self.hasEnded, let info = self.closeInfo { throw WebSocketError.closed(info) }
        if self.isTaken {
            throw WebSocketError(.invalidArgument, "An extension cannot send while it handles a message.", phase: .open)
        }
        self.isTaken = true
        defer { self.isTaken = false }
        let pending: Int
        do throws(WebSocketError) {
            pending = try body(&self.connection, self.isDriving || self.isBursting ? self.drivenAt : .now())
        } catch {
            // An extension that failed has ended the connection, and nobody else says so.
            self.flushSoon()
            throw error
        }
        // Small messages of one turn leave together; large ones leave at once, so that writability tells the truth.
        if pending >= 32_768 {
            self.flushNow()
            // What observers are told waits for a drive, and holds the payload until then.
            if self.connection.settings.isObserved { self.flushSoon() }
        } else {
            self.scheduleFlush()
        }
    }

    package func sendPing(_ wait: Wait, _ continuation: UnsafeContinuation<Duration, any Error>) {
        if wait.isGivenUp { return continuation.resume(throwing: CancellationError()) }
        if let info = self.closeInfo {
            continuation.resume(throwing: WebSocketError.closed(info))
            return
        }
        do {
            let number = try self.connection.ping(now: .now())
            self.pings.append((number, wait, continuation))
            self.flushSoon()
        } catch {
            continuation.resume(throwing: error)
        }
    }

    func pongReceived(_ number: UInt64, _ roundTrip: TimeAmount) {
        let duration = Duration.nanoseconds(roundTrip.nanoseconds)
        if self.connection.settings.isObserved { self.delegate?.perform(.event(.pong(roundTrip: duration)), on: self) }
        let answered = self.pings.filter { $0.number <= number }
        self.pings.removeAll { $0.number <= number }
        for ping in answered { ping.continuation.resume(returning: duration) }
    }

    /// Begins the closing handshake; `closed` tells how it ended.
    package func close(code: WebSocketCloseCode, reason: String) {
        guard self.closeInfo == nil else { return }
        if self.isTaken {
            let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
            return self.eventLoop.execute { bound.value.close(code: code, reason: reason) }
        }
        self.connection.close(code: code, reason: reason, now: .now())
        // Whatever the application does not take any more must not keep the closing handshake from being read.
        self.flushSoon()
    }

    package func whenClosed(_ wait: Wait, _ continuation: UnsafeContinuation<CloseInfo, Never>) {
        if let info = self.closeInfo {
            continuation.resume(returning: info)
        } else if wait.isGivenUp {
            continuation.resume(returning: Self.notClosedYet)
        } else {
            self.closeWaiters.append((wait, continuation))
        }
    }

    /// A task that waited was cancelled.
    package func giveUp(_ wait: Wait) {
        if let index = self.blockedSenders.firstIndex(where: { $0.wait === wait }) {
            self.blockedSenders.remove(at: index).continuation.resume(throwing: CancellationError())
        } else if let index = self.pings.firstIndex(where: { $0.wait === wait }) {
            self.pings.remove(at: index).continuation.resume(throwing: CancellationError())
        } else if let index = self.closeWaiters.firstIndex(where: { $0.wait === wait }) {
            self.closeWaiters.remove(at: index).continuation.resume(returning: Self.notClosedYet)
        }
    }

    /// What those get who no longer wait for the end.
    private static let notClosedYet = CloseInfo(
        code: nil,
        reason: "",
        clean: false,
        initiator: .local,
        error: WebSocketError(.cancelled, "The wait for the socket's end was cancelled.")
    )

    /// Nobody holds the socket any more: it is closed, since nothing could ever be done with it.
    package func abandoned() {
        self.close(code: .goingAway, reason: "")
        self.resumeReading()
    }

    /// Drops the connection without a closing handshake.
    package func abort() {
        self.context?.close(promise: nil)
    }

    package var channel: (any Channel)? { self.context?.channel }
}
