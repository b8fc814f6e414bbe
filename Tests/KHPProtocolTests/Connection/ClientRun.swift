// A client's connection without a transport, on the test's clock, and what became of it.

import KHPProtocol
import NIOCore
import Testing

struct ClientRun {
    var connection: Connection
    private(set) var now: NIODeadline
    /// The bytes written since the server last said something.
    private(set) var written = ByteBuffer()
    private(set) var failure: WebSocketError?
    private(set) var closed: CloseInfo?
    private(set) var hop: HopOutcome?
    private(set) var challenge: (response: HandshakeResponse, layer: HandshakeLayer)?
    private(set) var opened: HandshakeSummary?

    private struct Mask: MaskSource {
        func next() -> UInt32 { 0 }
    }

    /// A client that has sent its opening request at second 0, and has 30 seconds for all of it.
    init(total: Double = 30, configure: (inout ClientPlan) -> Void = { _ in }) throws {
        var plan = ClientPlan(url: try Sample.url())
        configure(&plan)
        self.now = .at(0)
        self.connection = try Connection(
            client: plan,
            configuration: ConnectionConfiguration(),
            key: Sample.key,
            masks: Mask(),
            deadline: .at(total),
            now: self.now
        )
        self.connection.transportUp(now: self.now)
        self.connection.start(now: self.now)
        self.run()
    }

    /// One whose extended request is out, at second 0.
    static func inExtended(total: Double = 30, configure: (inout ClientPlan) -> Void = { _ in }) throws -> ClientRun {
        var run = try ClientRun(total: total, configure: configure)
        run.feed(Sample.switching(adding: ["Sec-WebSocket-Protocol: x-kaazing-handshake"]))
        return run
    }

    static func open() throws -> ClientRun {
        var run = try Self.inExtended()
        run.say(Sample.switching().text)
        #expect(run.opened != nil)
        return run
    }

    /// True while nothing is decided.
    var isWaiting: Bool { self.failure == nil && self.hop == nil && self.closed == nil }

    /// The code of the close frame that it has sent, with a mask of zero.
    var closeCode: UInt16? {
        var bytes = self.written
        while let first: UInt8 = bytes.readInteger(), let second: UInt8 = bytes.readInteger() {
            var length = Int(second & 0x7F)
            if length == 126 { length = bytes.readInteger(as: UInt16.self).map(Int.init) ?? 0 }
            bytes.moveReaderIndex(forwardBy: min(4, bytes.readableBytes))
            guard var payload = bytes.readSlice(length: min(length, bytes.readableBytes)) else { return nil }
            if first == 0x88 { return payload.readInteger() }
        }
        return nil
    }

    mutating func feed(_ bytes: ByteBuffer) {
        guard self.closed == nil else { return }
        self.written.clear()
        self.connection.receive(bytes, now: self.now)
        self.run()
    }

    mutating func feed(_ text: String) { self.feed(ByteBuffer(string: text)) }

    /// The server says this in one binary message.
    mutating func say(_ text: String) {
        var frame = ByteBuffer(integer: UInt8(0x82))
        if text.utf8.count < 126 {
            frame.writeInteger(UInt8(text.utf8.count))
        } else {
            frame.writeMultipleIntegers(UInt8(126), UInt16(text.utf8.count))
        }
        frame.writeString(text)
        self.feed(frame)
    }

    mutating func close() {
        self.connection.close(code: .normalClosure, reason: "", now: self.now)
        self.run()
    }

    mutating func endInput() {
        self.connection.inputClosed(now: self.now)
        self.run()
    }

    mutating func endTransport() {
        self.connection.transportEnded(now: self.now)
        self.run()
    }

    /// The stream is reset, as the shell has it.
    mutating func reset() {
        let reset = WebSocketError(.connectFailed, "The connection failed: connection reset by the peer.")
        self.connection.transportFailed(reset, now: self.now)
        self.run()
        self.endTransport()
    }

    mutating func answerOpening(_ authorization: String, cookies: String? = nil) -> Bool {
        self.written.clear()
        let isSent = self.connection.replayOpening(
            OpeningReplay(authorization: RequestAuthorization(authorization), cookies: cookies, challenges: 1),
            key: Sample.key,
            deadline: .at(60),
            now: self.now
        )
        self.run()
        return isSent
    }

    /// Lets the clock run to this second, with a stop at each deadline: none of them may stay in the past.
    mutating func advance(to second: Double) {
        while self.closed == nil, let deadline = self.connection.deadline, deadline <= .at(second) {
            self.now = max(self.now, deadline)
            self.connection.timeReached(now: self.now)
            self.run()
            if let next = self.connection.deadline, next <= self.now {
                Issue.record("a deadline stays in the past")
                break
            }
        }
        self.now = .at(second)
    }

    private mutating func run() {
        while self.closed == nil, let action = self.connection.next(now: self.now) {
            switch action {
            case .failed(let error): self.failure = self.failure ?? error
            case .client(.hopEnded(let outcome)): self.hop = outcome
            case .client(.challenge(let response, let layer)): self.challenge = (response, layer)
            case .opened(let negotiation): self.opened = negotiation
            case .closed(let info): self.closed = info
            default: break
            }
        }
        while let bytes = self.connection.output.next() { self.written.writeImmutableBuffer(bytes) }
    }
}
