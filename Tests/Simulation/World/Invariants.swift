// The invariants: each holds after every step of every run, whatever the peer, the network, the clock and the application
// have done.

import Foundation
import HTTPTypes
import KHPProtocol
import NIOCore

extension World {
    /// Most bytes that a side may write in one step beside those that it was given to send.
    private static let mostWritten = 150_000
    /// One read of the channel.
    private static let read = 65_536
    /// The block for small payloads.
    private static let block = PayloadArena.blockBytes
    /// Most bytes that an open socket writes by itself to a peer that takes none: the answer to its latest ping, some pings,
    /// and a close frame.
    private static let mostUnasked = 512
    /// Most bytes that wait for more where nothing but a close frame counts: of a control frame.
    private static let mostUnread = 128

    func check(_ role: Role, bytes: Int) throws(Violation) {
        let side = self[role]
        if let broken = side.broken { throw broken }
        side.noteStage(self.now)
        try self.checkDeadline(side)
        let held = side.connection.heldBytes
        let most = self.mostHeld(by: side)
        if held > most {
            throw Violation(.boundedBytes, "the \(role) holds \(held) bytes in \(side.stage), and \(most) are allowed")
        }
        if side.stage == .leaving, side.connection.bufferedBytes > Self.mostUnread {
            throw Violation(.boundedBytes, "the \(role) does not read for the close frame, and is leaving")
        }
        if side.unasked > Self.mostUnasked {
            throw Violation(
                .boundedBytes,
                "the \(role) writes \(side.unasked) bytes by itself to a peer that takes none"
            )
        }
        if side.written > Self.mostWritten + 2 * bytes {
            throw Violation(.boundedWork, "the \(role) writes \(side.written) bytes in a step with \(bytes)")
        }
        try self.checkMessages(role)
        if self.scenario.extensions.contains(.revalidate) { try self.checkRevalidations() }
        for text in side.observed { try self.checkSecrecy(of: text, "an event of the \(role)") }
        side.observed.removeAll(keepingCapacity: true)
        for action in side.statusActions { self.coverage.visit(action) }
        side.statusActions.removeAll(keepingCapacity: true)
        for (status, layer) in side.statuses { self.coverage.visit(status: status, in: layer) }
        side.statuses.removeAll(keepingCapacity: true)
    }

    /// The sum of the limits that hold in its stage, as memory: buffers double as bytes come.
    private func mostHeld(by side: Side) -> Int {
        let limits = self.configuration.limits
        // One read, behind what is left of one before: less than a frame's header or a control frame, and a close frame's
        // reason or an answer to a ping beside it. Of a stream that has ended all is read.
        let read = Self.read + Self.mostUnasked + self[wireTo: side.role].pendingAtEnd
        let head = Self.memory(limits.headBytes)
        let body = Self.memory(limits.bodyBytes)
        switch side.stage {
        // A head and a body; a 401 beside them, whose fields are text.
        case .connecting, .opening, .challenged, .reading, .deciding, .decidingPlain, .awaitingKey:
            return read + 2 * (head + body)
        // A message that is put together out of fragments, a head and a body out of messages, and the head of the opening.
        case .extended, .challengedInside, .decidingInside:
            let message = Self.memory(Limits.extendedHandshakeMessages.messageBytes)
            return read + Self.block + message + 2 * head + body
        // Bytes are read for the peer's close frame alone, and behind the end not at all.
        case .leaving: return read + Self.block + Self.memory(limits.messages.messageBytes)
        case .ended: return read
        case .open, .closeHeld, .closing, .unread:
            var most = read + Self.block + max(Self.memory(limits.messages.messageBytes), 2 * body)
            // The pieces of the application's own message.
            if let streamed = side.streamed { most += Self.memory(streamed.readableBytes) }
            // The bytes that were inflated, and the piece that is.
            if self.scenario.deflates { most += Self.memory(limits.messages.messageBytes + 1) + Self.read }
            return most
        }
    }

    /// The memory of a buffer for so many bytes, which doubles as it grows.
    private static func memory(_ bytes: Int) -> Int {
        var memory = 1_024
        while memory < bytes { memory *= 2 }
        return memory
    }

    /// A time that a side asks for lies ahead when it is set.
    func checkDeadline(_ side: Side) throws(Violation) {
        guard !side.wasDue, !side.isOver, let deadline = side.connection.deadline, deadline <= self.now else { return }
        throw Violation(.deadlineAhead, "a deadline of the \(side.role) is due when it is set, in \(side.stage)")
    }

    /// More control frames than 100, and 20 for each second, end a connection (threat B9).
    func checkFlood(_ role: Role) throws(Violation) {
        let side = self[role]
        guard let flood = self.flood, flood.role == role, side.read >= flood.end else { return }
        self.flood = nil
        guard side.connection.stageName == .open, side.connection.bufferedBytes == 0,
            self.now < flood.since + .seconds(5)
        else { return }
        throw Violation(.boundedWork, "the \(role) takes a flood of control frames")
    }

    // MARK: Messages

    /// True where this side reads the messages that its peer sent. A wire with bytes of somebody else's may bring
    /// anything. A peer that was lied to still says what it accepts, unless that was in the handshake: one end may
    /// then take for a message what the other has sent as its part of the handshake inside, or the other way round.
    private func isHonest(to role: Role) -> Bool {
        !self[wireTo: role].isTampered && !self[wireTo: Self.other(role)].isForged
    }

    func checkMessages(_ role: Role) throws(Violation) {
        let side = self[role]
        let sent = self[Self.other(role)].accepted
        guard self.isHonest(to: role) else { return }
        while side.compared < side.received.count {
            let place = side.compared
            guard place < sent.count, side.received[place] == sent[place] else {
                throw Violation(.order, "message \(place + 1) of the \(role) is not what was sent")
            }
            side.compared += 1
        }
    }

    /// After a clean end on both sides all that was accepted has arrived; so it has at the side that was closed, where its
    /// peer began and had its close frame answered.
    func checkEnd() throws(Violation) {
        guard let first = self.client.closed, let second = self.server.closed else { return }
        try self.checkSecrecy(of: "\(first)", "the client's end")
        try self.checkSecrecy(of: "\(second)", "the server's end")
        guard self.client.opened != nil, self.server.opened != nil else { return }
        let hasCodes = self.scenario.dialect == .rfc6455
        for (side, info) in [(self.client, first), (self.server, second)] {
            if side.isLost, info.clean {
                throw Violation(.errorTold, "the \(side.role) ends clean, whose transport has failed")
            }
            guard !info.clean, info.error == nil else { continue }
            // In hixie-76 many peers end the stream without a word, which is not clean and no failure (H69-8).
            let hasEnded = side.hasGone || self[wireTo: side.role].endIsDelivered
            if hasEnded, self.scenario.dialect == .hixie76 { continue }
            throw Violation(.errorTold, "the \(side.role) ends without both close frames, and no error says so")
        }
        let isOrdinary = self.scenario.shortWait == .none && self.scenario.messageLimit > 200_000 && hasCodes
        if self.isCalm, isOrdinary, let failure = first.error ?? second.error {
            throw Violation(.calm, "an end is not clean: \(failure)")
        }
        if first.clean, second.clean, hasCodes, !self.toClient.isTampered, self.isHonest(to: .client) {
            let lost = self.revalidations.sent.count - self.revalidations.heard.count
            if lost > 0 { throw Violation(.nothingLost, "\(lost) requests for another proof are lost") }
        }
        if !hasCodes, self.scenario.dialect != .hixie75 { try self.checkLosses(first, second) }
        for role in Self.roles {
            let sender = self[role]
            let receiver = self[Self.other(role)]
            guard let end = sender.closed, let other = receiver.closed, self.isHonest(to: receiver.role),
                self.scenario.dialect != .hixie75
            else { continue }
            let bothClean = end.clean && other.clean
            // Somebody else may have answered the sender's close frame.
            let wasAnswered =
                end.clean && end.initiator == .local && other.initiator == .peer && hasCodes
                && !self[wireTo: role].isTampered
            // A receiver takes none from the first on that is too long for it.
            let lost = sender.messages(upTo: self.scenario.messageLimit) - receiver.received.count
            guard bothClean || wasAnswered, lost > 0 else { continue }
            throw Violation(.nothingLost, "the \(role) ends clean, and \(lost) of its messages are lost")
        }
    }

    /// The older dialects name no codes: where the network has lost messages of a side that closes, its end is not clean,
    /// or an error says why. A side that is closed cannot know how far its last words came, nor can one whose peer has
    /// closed by itself, so that the two close frames cross, nor either of hixie-75, which has no closing handshake.
    private func checkLosses(_ client: CloseInfo, _ server: CloseInfo) throws(Violation) {
        for (role, end, other) in [(Role.client, client, server), (.server, server, client)]
        where other.initiator == .peer {
            let receiver = Self.other(role)
            let wire = self[wireTo: receiver]
            guard wire.isCut || wire.end == .reset, self.isHonest(to: receiver),
                end.clean, end.error == nil, end.initiator == .local
            else { continue }
            let lost = self[role].messages(upTo: self.scenario.messageLimit) - self[receiver].received.count
            guard lost > 0 else { continue }
            throw Violation(.errorTold, "\(lost) messages of the \(role) are lost on the way, and it ends clean")
        }
    }

    /// A connect has one outcome: a socket, an error, or a caller who has given it up.
    func checkOutcome() throws(Violation) {
        let isSettled = self.client.opened != nil || self.caller.failure != nil || self.client.hasCalledClose
        guard !isSettled || self.client.opened != nil && self.caller.failure != nil else { return }
        throw Violation(.once, isSettled ? "the connect opens and fails" : "the connect neither opens nor fails")
    }

    /// Where both ends rest, and nothing is on its way between them, each ping of an application has had its answer.
    func checkPings() throws(Violation) {
        for role in Self.roles {
            let wire = self[wireTo: role]
            guard self[role].connection.stageName == .open, !self[role].isPaused, !self[role].isCongested,
                !wire.isStalled, wire.heldUntil <= self.now, !wire.isCut, !wire.isTampered, wire.end == nil
            else { return }
        }
        for role in Self.roles where self[role].unansweredPing != nil {
            throw Violation(.once, "ping \(self[role].unansweredPing ?? 0) of the \(role) has no answer")
        }
    }

    /// An answer that refuses counts with what came of its content, whether that ends or not (D28).
    func checkPromise() throws(Violation) {
        guard let promise = self.promise, promise.isDelivered, !self.client.hasCalledClose else { return }
        let status =
            self.client.hop?.response.status ?? self.client.failure?.response?.status
            ?? self.client.challenge?.response.status
        guard status != promise.status, self.client.isOver || self.now > promise.until + self.time.slack else { return }
        throw Violation(.nothingLost, "the answer \(promise.status) is lost, whose content did not end")
    }

    /// Messages that had arrived before the end are there for the application, whoever ended: all but those that a
    /// side's own failure dropped.
    func checkArrived(_ role: Role) throws(Violation) {
        let receiver = self[role]
        guard let end = receiver.closed, receiver.opened != nil, self.isHonest(to: role),
            end.error == nil || end.initiator == .peer
        else { return }
        let arrived = self[Self.other(role)].messages(inFirst: receiver.read, upTo: self.scenario.messageLimit)
        guard receiver.received.count < arrived else { return }
        throw Violation(
            .nothingLost,
            "\(arrived) messages have arrived at the \(role), and it takes \(receiver.received.count)"
        )
    }

    // MARK: Secrets

    func checkSecrecy(of text: String, _ place: String) throws(Violation) {
        guard Secrets.isShown(in: text) else { return }
        throw Violation(.secrecy, "\(place) shows a secret: \(text.prefix(1_000))")
    }

    /// The host of this hop gets its own secrets and no others, in all that the client writes before its socket is open:
    /// in requests that no endpoint comes to see, too.
    func checkBelonging(_ bytes: ByteBuffer) throws(Violation) {
        let host = Secrets.host(self.caller.attempt.url)
        for text in self.texts(in: bytes) {
            for line in text.split(separator: "\r\n") {
                // Credentials of Basic are found where a value begins with them.
                let value = line.firstRange(of: ": ").map { line[$0.upperBound...] } ?? line
                for (owner, kind) in Secrets.secrets(in: String(value))
                where !Secrets.mayGo(kind, from: owner, to: host) {
                    // A balancer carries the query of the opening to its member, as gateways do (D7): the server's own doing.
                    if kind == .token, self.caller.isBalanced(tokenOf: owner, to: host) { continue }
                    throw Violation(.secrecy, "host \(host) is told a \(kind) of host \(owner): \(line.prefix(300))")
                }
            }
        }
    }

    /// A head as it is, frames of RFC 6455 by their messages, and those of older dialects, which mask nothing, as they are.
    private func texts(in bytes: ByteBuffer) -> [String] {
        let isHead = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self).map { (0x41...0x5A).contains($0) } ?? false
        guard self.scenario.dialect == .rfc6455, !isHead else { return [String(buffer: bytes)] }
        var reader = MessageReader(role: .server)
        var bytes = bytes
        var texts: [String] = []
        while let event = try? reader.next(&bytes) {
            if case .message(_, let payload, _) = event { texts.append(String(buffer: payload)) }
        }
        return texts
    }
}
