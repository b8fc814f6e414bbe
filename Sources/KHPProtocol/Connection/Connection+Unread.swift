// The end of a peer whose messages the application has not taken: it is told at once, so that the transport can go, and
// what had arrived is handed out later, as the application takes it.
//
//   open ── stream ends, nothing unread ──────────────────▶ ended
//    │ └─── stream ends while nobody reads ── no close frame ahead, or transport gone ──▶ unread ── taken ──▶ ended
//    └───── the same, a close frame ahead, transport still there: its answer is held back as any ──▶ unread
//
// Bounded by what the transport hands over at its end, which is at most its receive buffer: messages are made of it, and
// inflated, one at a time.

package import NIOCore

extension Connection {
    /// The peer's stream has ended, and the application does not take what it said before.
    mutating func streamEndedUnread(now: NIODeadline) {
        if self.socket.heldClose == nil, self.socket.ahead == nil {
            let ahead = self.lookAhead()
            self.socket.ahead = ahead
            if let close = ahead.close {
                // The peer has closed in order: a failure of its stream after that is none of the connection.
                self.failure = nil
                self.socket.heldClose = (close, now + self.configuration.waits.closeHold)
            }
        }
        // A peer that has ended its own stream may still read answers.
        if self.socket.holdsClose, self.socket.heldClose != nil, !self.isTransportGone { return }
        if self.socket.ahead == nil { self.socket.ahead = OpenSocket.Ahead(close: nil, endsInside: false) }
        self.streamEnded(now: now)
    }

    /// This side ends at once, where there is no closing handshake: what had arrived and nobody has taken stays.
    mutating func keepUnread() {
        guard self.stage.isOpen, self.inbound.readableBytes > 0, self.socket.ahead == nil else { return }
        self.socket.ahead = OpenSocket.Ahead(close: nil, endsInside: false)
    }

    /// Reads ahead with a copy of the reader, which drops all that it finds: nothing is inflated, nothing is kept.
    private func lookAhead() -> OpenSocket.Ahead {
        var reader = self.link.codec.copy()
        var bytes = self.inbound
        do {
            while let event = try reader.next(&bytes) {
                if case .close(let code, let reason) = event {
                    return OpenSocket.Ahead(close: ClosePayload(code: code, reason: reason), endsInside: false)
                }
            }
        } catch {
            // The application gets the violation when it has taken the messages before it.
        }
        return OpenSocket.Ahead(close: nil, endsInside: reader.unfinishedMessage != nil)
    }

    /// True while messages are left that had arrived before the end.
    package var hasUnread: Bool { self.stage.isUnread }

    /// The failure so far, if there is one; an unread message may turn out to be invalid.
    package var lastFailure: WebSocketError? { self.failure }

    /// After `closed`: the next message or chunk of what had arrived, `nil` after the last one. Nothing is answered any
    /// more, and observers are told nothing.
    package mutating func nextUnread(now: NIODeadline) -> ConnectionAction? {
        while self.stage.isUnread {
            let before = self.inbound.readableBytes
            let action = self.actions.popFirst() ?? self.nextWhileOpen(now: now)
            switch action {
            case .message?, .chunk?:
                return action
            case nil where self.inbound.readableBytes == before && self.actions.isEmpty:
                self.dropUnread()
            default:
                break
            }
        }
        return nil
    }

    /// Drops the messages that are left: the application takes no more.
    package mutating func dropUnread() {
        guard self.stage.isUnread else { return }
        self.becomeEnded()
    }

    /// Releases the bytes that were received, and the extensions.
    mutating func forgetReceived() {
        self.inbound = ByteBuffer()
        // Nothing completes the part of a message that has come.
        self.link.codec.forgetMessage()
        self.socket.forgetExtensions()
    }

    /// Adds bytes after those that are still there.
    @inline(never)
    mutating func join(_ bytes: ByteBuffer) {
        // In place only where no message that was handed out is a slice of this memory.
        let isJoined: Void? = self.inbound.modifyIfUniquelyOwned { inbound in
            if inbound.readerIndex > inbound.readableBytes { inbound.discardReadBytes() }
            inbound.writeImmutableBuffer(bytes)
        }
        guard isJoined == nil else { return }
        var joined = ByteBuffer()
        joined.reserveCapacity(self.inbound.readableBytes + bytes.readableBytes)
        joined.writeImmutableBuffer(self.inbound)
        joined.writeImmutableBuffer(bytes)
        self.inbound = joined
    }
}
