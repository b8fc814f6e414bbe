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
    /// The contents of the bytes that nobody has taken.
    struct Ahead {
        /// The peer's close frame, the last that counts.
        var close: ClosePayload?
        /// True when the stream ends in the middle of a message.
        var endsInside: Bool
    }

    /// The peer's stream has ended, and the application does not take what it said before.
    mutating func streamEndedUnread(now: NIODeadline) {
        if self.heldClose == nil, self.ahead == nil {
            let ahead = self.lookAhead()
            self.ahead = ahead
            if let close = ahead.close {
                // The peer has closed in order: how its stream ended then is no news.
                self.failure = nil
                self.heldClose = (close, now + self.configuration.waits.closeHold)
            }
        }
        // A peer that has ended its own stream may still read answers.
        if self.holdsClose, self.heldClose != nil, !self.isTransportGone { return }
        if self.ahead == nil { self.ahead = Ahead(close: nil, endsInside: false) }
        self.streamEnded(now: now)
    }

    /// Reads ahead with a copy of the reader, which drops all that it finds: nothing is inflated, nothing is kept.
    private func lookAhead() -> Ahead {
        var reader = self.link.codec.copy()
        var bytes = self.inbound
        do {
            while let event = try reader.next(&bytes) {
                if case .close(let code, let reason) = event {
                    return Ahead(close: ClosePayload(code: code, reason: reason), endsInside: false)
                }
            }
        } catch {
            // Whoever reads up to there is told.
        }
        return Ahead(close: nil, endsInside: reader.unfinishedMessage != nil)
    }

    /// True while messages are left that had arrived before the end.
    package var hasUnread: Bool { self.phase == .unread }

    /// The failure so far, if there is one; an unread message may turn out to be none.
    package var lastFailure: WebSocketError? { self.failure }

    /// Behind `closed`: the next message or chunk of what had arrived, `nil` behind the last one. Nothing is answered any
    /// more, and observers are told nothing.
    package mutating func nextUnread(now: NIODeadline) -> ConnectionAction? {
        while self.phase == .unread {
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

    /// Nobody will take what is left.
    package mutating func dropUnread() {
        guard self.phase == .unread else { return }
        self.phase = .ended
        self.forgetReceived()
    }

    /// Lets go of what was received, and of what would handle it.
    mutating func forgetReceived() {
        self.inbound = ByteBuffer()
        self.extensions?.closed()
        self.extensions = nil
    }

    /// Adds bytes behind those that are still there.
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
