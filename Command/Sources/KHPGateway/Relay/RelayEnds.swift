// The end of one side becomes the end of the other: how, depends on the one who reads it. Behind a gateway stands a broker with
// a protocol of its own; behind `khp serve` and before `khp tunnel`, a stream that may tell of its end by nothing but the end.

import KHPProtocol
import NIOCore

/// The rules by which a relay ends, and their words.
enum RelayEnds: Sendable {
    /// Many clients leave without a close frame: a broker sees of them what it would see without a gateway.
    case ofBroker
    /// An end that lost something never looks like an orderly one. The name stands in the reasons of closes.
    case ofStream(named: String)

    /// `true` where the backend is to see an end in good order, as far as the client's close says.
    func isWhole(_ info: CloseInfo) -> Bool {
        switch self {
        case .ofBroker: true
        case .ofStream: info.saysNoFailure
        }
    }

    /// The end of a session whose backend has ended.
    /// - Parameter pause: how long the backend was not read before, for the client's sake.
    func backendEnded(_ end: BackendEnd, clientPaused pause: TimeAmount) -> SessionEnd {
        switch (self, end) {
        case (_, .closed(let code, let reason)):
            return SessionEnd(.backend, .backendFin, code?.passedOn ?? .normalClosure, reason.bounded)
        case (_, .failed(.some(.messageTooBig), _)):
            return .backendTooBig
        case (_, .failed(_, let violation)):
            return .backendBroke(violation)
        case (.ofBroker, _) where pause > .seconds(1):
            // The broker hung up on a client that did not keep up: not the broker is to be looked at.
            return .clientSlow(Duration(pause))
        case (_, .fin):
            return .backendFin
        case (.ofBroker, .reset(let failure)):
            return .backendReset(failure)
        case (.ofBroker, .timedOut):
            return .backendReset("it did not answer in time")
        case (.ofStream(let name), .reset), (.ofStream(let name), .timedOut):
            return SessionEnd(.backend, .backendReset, .badGateway, "\(name) was reset".bounded)
        }
    }

    /// The backend's bytes were to be text, and are none.
    var noText: SessionEnd {
        switch self {
        case .ofBroker:
            return .noText
        case .ofStream(let name):
            let reason = "the bytes of \(name) are no UTF-8, and text was asked for"
            return SessionEnd(.backend, .protocolViolation, .invalidPayload, reason.bounded)
        }
    }

    /// The backend has sent what is no text, and the client's dialect carries nothing else.
    var noBinary: SessionEnd {
        switch self {
        case .ofBroker:
            return .noBinary
        case .ofStream(let name):
            let reason = "the bytes of \(name) are no UTF-8, and this dialect has no binary messages"
            return SessionEnd(.backend, .protocolViolation, .invalidPayload, reason.bounded)
        }
    }

    /// A side took nothing for this time.
    func stalled(_ party: SessionEnd.Party, _ time: Duration) -> SessionEnd {
        guard case .ofStream(let name) = self, party == .backend else { return .stalled(party, time) }
        return SessionEnd(.gateway, .backendStalled, .badGateway, "\(name) takes nothing".bounded)
    }
}

extension CloseInfo {
    /// `true` where the peer has said all that it had to, and ended because of that.
    fileprivate var saysNoFailure: Bool {
        guard self.clean else { return false }
        guard let code else { return true }
        return code == .normalClosure || code == .goingAway || code.rawValue >= 3000
    }
}
