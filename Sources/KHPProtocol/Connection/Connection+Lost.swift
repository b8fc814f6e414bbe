// The meaning of a failed transport by the stage in which it fails: before the first byte of an answer the server has not
// answered; later a handshake was broken off, whichever way the stream ended (KHP-E12, D16).

import NIOCore

extension Connection {
    /// The transport's failure as an error of the stage in which it came.
    func placed(_ error: WebSocketError) -> WebSocketError {
        var error = self.located(error)
        let phase = self.errorPhase
        guard self.isAnswered else {
            error.phase = error.phase ?? phase
            return error
        }
        error.phase = phase
        let prefix = "The connection failed"
        guard error.code == .connectFailed else { return error }
        error.code = .closedDuringHandshake
        error.detail = nil
        if error.message.hasPrefix(prefix) {
            error.message = "\(prefix) during the \(phase) handshake\(error.message.dropFirst(prefix.count))"
        }
        return error
    }

    /// True while a client has not heard a byte of the answer to its opening: whoever ends TLS then, without its close
    /// notification, may have refused this side's TLS, which TLS 1.3 reports only after its handshake.
    package var awaitsFirstByte: Bool {
        guard let client = self.stage.client, case .opening = client.state else { return false }
        return !self.isAnswered
    }

    /// Client: true from the first byte of an answer to the end of our handshake.
    private var isAnswered: Bool {
        self.stage.client?.isAnswered(hasUnreadBytes: self.inbound.readableBytes > 0) ?? false
    }

    /// The stage as errors name it.
    var errorPhase: WebSocketError.Phase {
        switch self.stage {
        case .handshake(let handshake):
            handshake.isConnecting ? .tls : handshake.isExtended ? .extended : .opening
        case .open: self.link.closing.canSend ? .open : .closing
        case .leaving, .unread, .ended: .closing
        }
    }
}
