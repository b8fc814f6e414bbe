// The two sides of a relay, as each sees the other: both live on one event loop, and call each other there.

import KHPProtocol
import NIOCore

/// The backend's side, once it is connected.
protocol BackendSide: AnyObject {
    /// `false` while more waits to be written than the relay's buffer.
    var isWritable: Bool { get }
    /// How many bytes wait to be written.
    var bufferedBytes: Int { get }

    /// Hands over what the backend has sent, and will send, to `taker`; also an end that has come already.
    func begin(for taker: any BackendTaker)
    /// Writes a client's message or a piece of one. All of one turn of the event loop leave together.
    func send(_ kind: MessageKind, _ bytes: ByteBuffer, isFirst: Bool, isLast: Bool)
    /// Takes no more from the backend, which has to wait.
    func pauseReading()
    func resumeReading()
    /// The client has ended: all that was sent leaves, then the end. Nothing that the backend sends is of use any more.
    /// - Parameter end: how the client ended.
    func finish(after end: SessionEnd)
    /// Breaks off, so that the backend sees that something is missing.
    func reset()
}

/// The relay, as its backend sees it.
protocol BackendTaker: AnyObject {
    /// Bytes without a message's ends.
    func backendSent(_ bytes: ByteBuffer)
    /// A message.
    func backendSent(_ kind: MessageKind, _ bytes: ByteBuffer)
    func backendWritabilityChanged()
    /// All that the backend has sent was handed over.
    func backendEnded(_ end: BackendEnd)
}

/// How a backend ends its connection.
enum BackendEnd: Sendable, Equatable {
    /// In good order.
    case fin
    /// Not so, for this reason.
    case reset(String)
    /// The system has given it up: it took nothing of what was written for too long.
    case timedOut
    /// With a close frame.
    case closed(WebSocketCloseCode?, String)
    /// By this side, which has sent this code over what the backend has sent.
    case failed(WebSocketCloseCode?, String)
}
