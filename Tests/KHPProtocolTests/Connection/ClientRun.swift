// A client's connection without a transport, on the test's clock, and what became of it.

import KHPProtocol
import NIOCore
import Testing

struct ClientRun {
    private(set) var connection: Connection
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
        now = .at(0)
        connection = try Connection(
            client: plan,
            configuration: ConnectionConfiguration(),
            key: Sample.key,
            masks: Mask(),
            deadline: .at(total),
            now: now
        )
        connection.transportUp(now: now)
        connection.start(now: now)
        run()
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
    var isWaiting: Bool { failure == nil && hop == nil && closed == nil }

    /// The code of the close frame that it has sent, with a mask of zero.
    var closeCode: UInt16? {
        var bytes = written
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
        guard closed == nil else { return }
        written.clear()
        connection.receive(bytes, now: now)
        run()
    }

    mutating func feed(_ text: String) { feed(ByteBuffer(string: text)) }

    /// The server says this in one binary message.
    mutating func say(_ text: String) {
        var frame = ByteBuffer(integer: UInt8(0x82))
        if text.utf8.count < 126 {
            frame.writeInteger(UInt8(text.utf8.count))
        } else {
            frame.writeMultipleIntegers(UInt8(126), UInt16(text.utf8.count))
        }
        frame.writeString(text)
        feed(frame)
    }

    mutating func close() {
        connection.close(code: .normalClosure, reason: "", now: now)
        run()
    }

    mutating func endInput() {
        connection.inputClosed(now: now)
        run()
    }

    mutating func endTransport() {
        connection.transportEnded(now: now)
        run()
    }

    /// The stream is reset, as the shell has it.
    mutating func reset() {
        let reset = WebSocketError(.connectFailed, "The connection failed: connection reset by the peer.")
        connection.transportFailed(reset, now: now)
        run()
        endTransport()
    }

    mutating func answerOpening(_ authorization: String, cookies: String? = nil) -> Bool {
        written.clear()
        let isSent = connection.replayOpening(
            OpeningReplay(authorization: RequestAuthorization(authorization), cookies: cookies, challenges: 1),
            key: Sample.key,
            deadline: .at(60),
            now: now
        )
        run()
        return isSent
    }

    /// Lets the clock run to this second, with a stop at each deadline: none of them may stay in the past.
    mutating func advance(to second: Double) {
        while closed == nil, let deadline = connection.deadline, deadline <= .at(second) {
            now = max(now, deadline)
            connection.timeReached(now: now)
            run()
            if let next = connection.deadline, next <= now {
                Issue.record("a deadline stays in the past")
                break
            }
        }
        now = .at(second)
    }

    private mutating func run() {
        while closed == nil, let action = connection.next(now: now) {
            switch action {
            case .failed(let error): failure = failure ?? error
            case .client(.hopEnded(let outcome)): hop = outcome
            case .client(.challenge(let response, let layer)): challenge = (response, layer)
            case .opened(let negotiation): opened = negotiation
            case .closed(let info): closed = info
            default: break
            }
        }
        while let bytes = connection.output.next() { written.writeImmutableBuffer(bytes) }
    }
}
