// A transport that fails says how, and the stage in which it fails says what that means: before the first byte of an
// answer nothing answered; later a handshake was broken off, whichever way the stream ended (KHP-E12, D16).

import NIOCore

extension Connection {
    /// The transport's failure as the stage of the connection has it.
    func placed(_ error: WebSocketError) -> WebSocketError {
        var error = self.located(error)
        let stage = self.stage
        guard self.role == .client, self.isAnswered else {
            error.phase = error.phase ?? stage
            return error
        }
        error.phase = stage
        let prefix = "The connection failed"
        guard error.code == .connectFailed else { return error }
        error.code = .closedDuringHandshake
        error.detail = nil
        if error.message.hasPrefix(prefix) {
            error.message = "\(prefix) during the \(stage) handshake\(error.message.dropFirst(prefix.count))"
        }
        return error
    }

    /// True while a client has not heard a byte of the answer to its opening: whoever ends TLS then, without its close
    /// notification, may not have liked what TLS was shown, which TLS 1.3 tells behind its handshake alone.
    package var awaitsFirstByte: Bool { self.role == .client && self.phase == .opening && !self.isAnswered }

    /// True from the first byte of an answer to the end of our handshake.
    private var isAnswered: Bool {
        switch self.phase {
        case .extended: true
        case .opening:
            self.inbound.readableBytes > 0 || self.client?.openingChallenge != nil
                || self.client?.opening?.hasHeardNothing == false
        default: false
        }
    }

    private var stage: WebSocketError.Phase {
        switch self.phase {
        case .idle: .tls
        case .opening, .deciding, .awaitingKey: .opening
        case .extended: .extended
        case .open: self.link.closing.canSend ? .open : .closing
        case .leaving, .unread, .ended: .closing
        }
    }
}
