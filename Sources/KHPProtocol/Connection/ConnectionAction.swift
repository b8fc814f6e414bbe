package import NIOCore

/// An action that a ``Connection`` asks of the shell that drives it, taken one at a time from `Connection.next(now:)`.
///
/// Actions that come once in a connection are indirect: those of every message are then small enough for registers.
package enum ConnectionAction {
    /// A whole message for the application.
    case message(kind: MessageKind, payload: ByteBuffer)
    /// A piece of a message, where the application asked for chunks.
    case chunk(MessageChunk)
    /// The peer closes, and the answer is held back (``Connection/holdsClose``). Call `answerHeldClose` once the
    /// application has taken the messages before it.
    case peerClosing
    /// A pong answered our ping of this number, and all before it.
    indirect case pong(number: UInt64, payload: ByteBuffer, roundTrip: TimeAmount)
    /// A question of the client's handshakes.
    indirect case client(ClientStep)
    /// A question of the server's handshakes.
    case server(ServerStep)
    /// The handshake has failed; the connection closes after this.
    indirect case failed(WebSocketError)
    /// The socket is open.
    case opened(HandshakeSummary)
    /// The last action. The shell writes the remaining bytes and ends the transport.
    indirect case closed(CloseInfo)
    /// An event for the observer; made only where `ConnectionConfiguration` asks for events.
    indirect case event(ConnectionEvent)
}

/// A step of a client's handshakes that its shell takes part in.
package enum ClientStep: Sendable {
    /// The opening handshake is complete and the extended one begins: no longer CONNECTING (R-C1).
    case established(ResponseHead)
    /// A 401 wants credentials, and the connection waits for them. In the extended handshake call `answerChallenge`, in
    /// the opening one `replayOpening`.
    case challenge(HandshakeResponse, HandshakeLayer)
    /// The handshake ended without an open socket, in a way that a fresh connection may mend.
    case hopEnded(HopOutcome)
}

/// A step of a server's handshakes that its shell takes part in. Each holds one object, so that it needs no box.
package enum ServerStep: Sendable {
    /// A valid opening request arrived; call `acceptOpening`, `balanceOpening` or `refuseOpening`.
    case decideOpening(OpeningRequest)
    /// A valid extended request arrived; call `answerExtended`.
    case decideExtended(ExtendedRequest)
    /// The request is no WebSocket request; an ordinary HTTP handler may answer it through `refuseOpening`.
    case plainRequest(CheckedRequest)
    /// Another handler is to answer the request. The last action: the connection has ended, and the transport goes on with
    /// these bytes, and those to come, as if they had not been read.
    case handOn(UndecodedBytes)
    /// The bytes that were no request begin a PROXY header: a balancer names its clients where nobody asks for it. The
    /// refusal follows.
    case proxyHeader
}

/// All that a peer has sent so far.
package final class UndecodedBytes: Sendable {
    package let bytes: ByteBuffer

    package init(_ bytes: ByteBuffer) { self.bytes = bytes }
}

/// How a client's connection ended when it did not open a socket and the cause is an HTTP response.
package struct HopOutcome: Sendable {
    package enum Kind: Sendable, Equatable {
        /// 300.
        case choose
        /// 301, 302, 303, 307, 308.
        case redirect
        /// A balancer message with a URL (D7); `response` is the 302 that it stands for, made here.
        case balancer
        /// 401 that is to be answered on a fresh connection.
        case challenge
        /// The server closed instead of answering a replay on the same connection: to be sent on a fresh one. The
        /// response is the 401.
        case replayLost
        /// 426.
        case upgrade
    }

    package var kind: Kind
    package var layer: HandshakeLayer
    package var response: HandshakeResponse

    package init(kind: Kind, layer: HandshakeLayer, response: HandshakeResponse) {
        self.kind = kind
        self.layer = layer
        self.response = response
    }
}
