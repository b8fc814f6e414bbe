// Frames both ways over one codec, the closing handshake and the rate of control frames: from the first 101 to the end.
//
// Three kinds of invalid: frames that are written before the 101 are our own bug; the peer's violations are the codec's
// and the rate's to tell; what comes after a close frame is ignored by the codec.

import NIOCore

package struct FrameLink {
    package let role: Role
    package var codec: FrameCodec
    var closing: ClosingHandshake
    private var controlRate: ControlFrameRate
    /// The source of a client's masks; `nil` for a server.
    private var masks: MaskBox?
    /// True from the 101 on.
    var isUp = false
    /// True while the socket is open and nothing stands between the wire and the application: no extension and no
    /// observer of frames, and whole messages are wanted.
    var isPlain = false

    /// A copy that shares no state with this one.
    func copy() -> FrameLink {
        var copy = self
        copy.codec = self.codec.copy()
        copy.masks = self.masks?.copy()
        return copy
    }

    /// Sets the dialect of the frames and of the closing handshake.
    mutating func speak(_ dialect: Dialect, configuration: ConnectionConfiguration) {
        // Read until the socket opens, so within the extended handshake alone, whose messages may be of either kind.
        self.codec = FrameCodec(
            dialect,
            role: self.role,
            limits: Limits.extendedHandshakeMessages,
            agreesOnBinary: true
        )
        self.closing = ClosingHandshake(role: self.closingRole, timeout: min(configuration.waits.close, .seconds(2)))
    }

    /// The socket opens: what comes now is the application's.
    /// - Parameter agreesOnBinary: as in ``FrameCodec``.
    mutating func open(configuration: ConnectionConfiguration, mode: MessageReader.Mode, agreesOnBinary: Bool) {
        self.codec.begin(limits: configuration.limits.messages, mode: mode, agreesOnBinary: agreesOnBinary)
        self.closing = ClosingHandshake(role: self.closingRole, timeout: configuration.waits.close)
    }

    /// RFC 6455 leaves it to the server to end TCP first; before, the side that has seen both closing frames did (W10-9).
    private var closingRole: Role { self.codec.abilities.contains(.closeCodes) ? self.role : .server }

    /// 32 fresh unpredictable bits for a client's frame (RFC 6455 section 5.3); servers do not mask.
    @inline(__always)
    mutating func nextMask() -> UInt32 { self.masks?.next() ?? 0 }

    /// Counts one control frame; false if it is one too many.
    mutating func admitsControlFrame(_ now: NIODeadline) -> Bool { self.controlRate.admit(now) }

    /// True while this side closes in a dialect in which the peer may just drop the stream.
    var mayPeerDropStream: Bool { self.codec.abilities.contains(.plainEnds) && !self.closing.canSend }

    /// True where an end of the stream without closing frames is no failure: it is how hixie-75 closes (H69-8), and how
    /// many peers of hixie-76 do. Not in the middle of a message.
    func mayEndWithoutClose(insideMessage isInside: Bool) -> Bool {
        self.codec.abilities.contains(.plainEnds) && (!isInside || !self.closing.canSend)
    }

    /// The report of the end for the application.
    /// - Parameters:
    ///   - clean: true where both sides have closed in order.
    ///   - failure: the reason that is known already.
    ///   - wasOpen: true where an application was told of an open socket.
    func closeInfo(clean: Bool, failure: WebSocketError?, wasOpen: Bool) -> CloseInfo {
        let abilities = self.codec.abilities
        var code: WebSocketCloseCode?
        var reason = ""
        var isClean = clean
        if !abilities.contains(.closeCodes) {
            isClean = abilities.contains(.nothingElseEnds) ? failure == nil : self.closing.isClean
        } else if clean {
            let received = self.closing.received
            code = received == nil ? .abnormal : received?.code
            if let said = received?.reason { reason = said }
        } else if !self.closing.isUnanswered, let sent = self.closing.sent {
            code = sent.code ?? .abnormal
            reason = sent.reason
        } else {
            code = .abnormal
        }
        var error = failure
        // Where the end of the stream is no failure, a peer that answers nothing in time still is.
        let mayEnd = abilities.contains(.plainEnds) && !self.closing.isOverdue
        if failure == nil, !isClean, wasOpen, !mayEnd {
            error = WebSocketError(
                .closed,
                "The connection ended before the closing handshake was complete.",
                closeCode: code,
                phase: .closing
            )
        }
        return CloseInfo(
            code: code,
            reason: reason,
            clean: isClean,
            initiator: self.closing.isLocal ? .local : .peer,
            error: error
        )
    }
}

extension FrameLink {
    /// A link as the handshakes use it.
    // From its parts at once, as its codec is.
    @inline(__always)
    init(role: Role, configuration: ConnectionConfiguration, masks: any MaskSource, now: NIODeadline) {
        self.init(
            role: role,
            codec: FrameCodec(.rfc6455, role: role, limits: Limits.extendedHandshakeMessages),
            // A peer that never completed a handshake is not owed the patience that an open one is.
            closing: ClosingHandshake(role: role, timeout: min(configuration.waits.close, .seconds(2))),
            controlRate: ControlFrameRate(limits: configuration.limits.messages, now: now),
            masks: role == .client ? MaskBox(masks) : nil
        )
    }
}
