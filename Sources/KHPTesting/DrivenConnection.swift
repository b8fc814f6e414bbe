// Drives one `Connection` without a transport: bytes and virtual time in, bytes and what happened out. A test that goes
// on from the same place many times takes a `copy()`.

import KHPProtocol
import NIOCore

final class DrivenConnection {
    var connection: Connection
    var now: NIODeadline
    /// The bytes that the connection has written and nobody has taken yet.
    var output = ByteBuffer()
    var received: [(kind: MessageKind, payload: ByteBuffer)] = []
    private(set) var opened: HandshakeSummary?
    private(set) var failure: WebSocketError?
    private(set) var closed: CloseInfo?
    private(set) var hop: HopOutcome?
    /// The 101 of the opening, where the extended handshake followed.
    private(set) var established: ResponseHead?
    /// The challenge that waits for a decision. The code that decides takes it.
    var challenge: (response: HandshakeResponse, layer: HandshakeLayer)?
    var openingRequest: OpeningRequest?
    var extendedRequest: ExtendedRequest?
    var plainRequest: CheckedRequest?
    /// The chunks of the message that is arriving.
    private var partial = ByteBuffer()

    init(_ connection: Connection, now: NIODeadline) {
        self.connection = connection
        self.now = now
        self.connection.transportUp(now: now)
        self.connection.start(now: now)
        self.run()
    }

    private init(copying other: DrivenConnection) {
        self.connection = other.connection.copy()
        self.now = other.now
        self.output = other.output
        self.received = other.received
        self.opened = other.opened
        self.failure = other.failure
        self.closed = other.closed
        self.hop = other.hop
        self.established = other.established
        self.challenge = other.challenge
        self.openingRequest = other.openingRequest
        self.extendedRequest = other.extendedRequest
        self.plainRequest = other.plainRequest
        self.partial = other.partial
    }

    /// Goes on from the same place.
    func copy() -> DrivenConnection { DrivenConnection(copying: self) }

    var hasEnded: Bool { self.closed != nil }

    func feed(_ bytes: ByteBuffer) {
        guard !self.hasEnded, bytes.readableBytes > 0 else { return }
        self.connection.receive(bytes, now: self.now)
        self.run()
    }

    func endInput() {
        guard !self.hasEnded else { return }
        self.connection.inputClosed(now: self.now)
        self.run()
    }

    /// Lets time pass, stopping at each deadline on the way.
    func advance(by amount: TimeAmount) {
        let target = self.now + amount
        while !self.hasEnded, let deadline = self.connection.deadline, deadline <= target {
            self.now = max(deadline, self.now)
            self.connection.timeReached(now: self.now)
            self.run()
            // A deadline that stays where it was would be reached for ever.
            if let next = self.connection.deadline, next <= self.now { break }
        }
        self.now = target
    }

    /// Takes what there is to do, after any call of the connection's own.
    func run() {
        while !self.hasEnded, let action = self.connection.next(now: self.now) {
            switch action {
            case .message(let kind, let payload): self.received.append((kind, payload))
            case .chunk(let chunk):
                if chunk.isFirst { self.partial.clear() }
                self.partial.writeImmutableBuffer(chunk.bytes)
                if chunk.isLast { self.received.append((chunk.kind, self.partial)) }
            case .server(.decideOpening(let request)): self.openingRequest = request
            case .server(.decideExtended(let request)): self.extendedRequest = request
            case .server(.plainRequest(let request)): self.plainRequest = request
            case .server(.handOn): assertionFailure("all requests are this server's")
            case .server(.proxyHeader): break
            case .failed(let error): self.failure = self.failure ?? error
            case .client(.challenge(let response, let layer)): self.challenge = (response, layer)
            case .opened(let negotiation): self.opened = negotiation
            case .client(.hopEnded(let outcome)): self.hop = outcome
            case .closed(let info): self.closed = info
            case .peerClosing: self.connection.answerHeldClose(now: self.now)
            case .client(.established(let head)): self.established = head
            case .event, .pong: break
            }
        }
        while let buffer = self.connection.output.next() { self.output.writeImmutableBuffer(buffer) }
    }
}

/// The same masking key for each frame.
struct FixedMask: MaskSource {
    func next() -> UInt32 { Transcript.Constants.mask }
}
