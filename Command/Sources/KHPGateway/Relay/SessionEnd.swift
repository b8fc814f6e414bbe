// The end of a session says who ended it and why: an operator reads it in the log, and a client in the close frame.

import KHPProtocol

/// The one reason for which a session ends; the first that is known counts.
struct SessionEnd: Sendable, Equatable {
    /// The side that ended it.
    enum Party: String, Sendable, CaseIterable {
        case client
        case backend
        case gateway
        case `operator`
    }

    /// The causes that logs and metrics know. A closed list: alarms are made of it.
    enum Cause: String, Sendable, CaseIterable {
        case clientClose = "client-close"
        case clientLost = "client-lost"
        case clientStalled = "client-stalled"
        /// The backend let go after the client had not kept up.
        case clientSlow = "client-slow"
        case pingTimeout = "ping-timeout"
        case backendFin = "backend-fin"
        case backendReset = "backend-reset"
        case backendStalled = "backend-stalled"
        case idle
        case lifetime
        case credentialsExpired = "credentials-expired"
        case messageTooBig = "message-too-big"
        case protocolViolation = "protocol-violation"
        case rate
        case `operator`
        case removed
        case shutdown
        case `internal`
    }

    var party: Party
    var cause: Cause
    /// The code that counts at the client; `nil` where its close had none.
    var code: WebSocketCloseCode?
    /// The reason of the close frame.
    var reason: String

    init(_ party: Party, _ cause: Cause, _ code: WebSocketCloseCode?, _ reason: String) {
        self.party = party
        self.cause = cause
        self.code = code
        self.reason = reason
    }
}

extension SessionEnd {
    static let shutdown = SessionEnd(.gateway, .shutdown, .goingAway, "the gateway shuts down")
    static let removed = SessionEnd(.gateway, .removed, .serviceRestart, "the service has changed")
    static let noLongerAllowed = SessionEnd(
        .gateway,
        .removed,
        .policyViolation,
        "the service's requirements have changed"
    )
    static let proofEnded = SessionEnd(
        .gateway,
        .credentialsExpired,
        .policyViolation,
        "the client's proof has ended"
    )
    static let proofRefused = SessionEnd(
        .gateway,
        .credentialsExpired,
        .policyViolation,
        "the client did not prove anew who it is"
    )
    /// A member of a room that does not keep up.
    static let tooSlow = SessionEnd(.gateway, .clientStalled, .policyViolation, "too slow")
    /// A member that says more than its room can take on.
    static let tooMuch = SessionEnd(.gateway, .rate, .tryAgainLater, "too much at once")
    static let backendFin = SessionEnd(.backend, .backendFin, .normalClosure, "")

    static func backendReset(_ failure: String) -> SessionEnd {
        SessionEnd(.backend, .backendReset, .badGateway, "the backend broke off: \(failure)".bounded)
    }

    /// A message of a backend is larger than one may be.
    static let backendTooBig = SessionEnd(
        .gateway,
        .messageTooBig,
        .messageTooBig,
        "a message of the backend is larger than limits.message"
    )

    /// A backend has broken the WebSocket protocol, or a bound of it.
    static func backendBroke(_ violation: String) -> SessionEnd {
        let reason = "the backend broke the WebSocket protocol: \(violation)".bounded
        return SessionEnd(.backend, .protocolViolation, .internalError, reason)
    }

    /// The backend let go of a client that had not kept up for so long.
    static func clientSlow(_ time: Duration) -> SessionEnd {
        SessionEnd(
            .backend,
            .clientSlow,
            .policyViolation,
            "the backend closed the connection after the client had not kept up for \(time.inSeconds)"
        )
    }

    static func stalled(_ party: Party, _ time: Duration) -> SessionEnd {
        let cause = party == .client ? Cause.clientStalled : .backendStalled
        return SessionEnd(.gateway, cause, .policyViolation, "the \(party.rawValue) took nothing for \(time.inSeconds)")
    }

    /// A timer that the configuration sets; the reason names its key.
    static func timer(_ cause: Cause, _ time: Duration, service: String) -> SessionEnd {
        let key = cause == .idle ? "idle" : "maxLifetime"
        let code: WebSocketCloseCode = cause == .idle ? .goingAway : .policyViolation
        return SessionEnd(.gateway, cause, code, "\(key) \(time.inSeconds) (services.\(service).\(key))".bounded)
    }

    /// The backend's bytes were to be text, and are none.
    static let noText = SessionEnd(.backend, .protocolViolation, .internalError, "the backend's bytes are no UTF-8")

    /// The backend has sent what is no text, and the client's dialect carries nothing else.
    static let noBinary = SessionEnd(
        .backend,
        .protocolViolation,
        .internalError,
        "the backend sent what is no text, and the client's dialect has no binary messages"
    )

    /// An end that the client, or the library on this side, has brought about.
    /// - Parameter isCongested: `true` while the client did not take what was sent to it.
    init(_ info: CloseInfo, isCongested: Bool) {
        switch (info.initiator, info.code) {
        case (.peer, _) where info.clean:
            self.init(.client, .clientClose, info.code, info.reason)
        case (.local, .some(.messageTooBig)):
            self.init(.gateway, .messageTooBig, info.code, info.reason)
        case (.local, .some(.protocolError)), (.local, .some(.invalidPayload)), (.local, .some(.unsupportedData)):
            self.init(.gateway, .protocolViolation, info.code, info.reason)
        case (.local, .some(.goingAway)):
            self.init(.gateway, .shutdown, info.code, info.reason)
        case (.local, .some(.policyViolation)) where info.error?.code == .limitExceeded:
            self.init(.gateway, .rate, info.code, info.reason)
        case (.local, .some(.policyViolation)) where info.error == nil:
            self.init(.gateway, .credentialsExpired, info.code, info.reason)
        default:
            if info.error?.code == .protocolViolation {
                self.init(.gateway, .protocolViolation, info.code, info.reason)
            } else if info.error?.code == .timeout, info.initiator == .local {
                self.init(.gateway, isCongested ? .clientStalled : .pingTimeout, info.code, info.reason)
            } else {
                self.init(.client, .clientLost, info.code, info.reason)
            }
        }
    }
}

extension WebSocketCloseCode {
    /// The code, where it may be sent on (RFC 6455 section 7.4).
    var passedOn: WebSocketCloseCode? {
        switch self.rawValue {
        case 1000...1003, 1007...1014, 3000...4999: self
        default: nil
        }
    }
}

extension Duration {
    /// As people read it: `30 s`, `1.5 s`.
    var inSeconds: String {
        let (seconds, attoseconds) = self.components
        let tenths = attoseconds / 100_000_000_000_000_000
        return tenths == 0 ? "\(seconds) s" : "\(seconds).\(tenths) s"
    }
}

extension String {
    /// As much of it as fits a close frame (RFC 6455 section 5.5).
    var bounded: String {
        var text = self
        while text.utf8.count > 123 { text.removeLast() }
        return text
    }
}
