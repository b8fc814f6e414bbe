// An open connection of ours without a transport, and what the tests of the open socket do to it.

import KHPProtocol
import NIOCore
import Testing

struct OpenConnection {
    static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    var connection: Connection
    let role: Role
    var now = start
    /// `true` while the application takes no messages.
    var isPaused = false
    /// Payloads of whole messages and of chunks, as text.
    private(set) var messages: [String] = []
    private(set) var events: [ConnectionEvent] = []
    private(set) var closed: CloseInfo?

    /// A key of zeros: what a client writes can be read as it is.
    private struct ZeroMasks: MaskSource {
        func next() -> UInt32 { 0 }
    }

    init(
        _ role: Role,
        dialect: Dialect = .rfc6455,
        extensions: [any WebSocketExtension] = [],
        sessionLifetime: TimeAmount? = nil,
        _ configure: (inout ConnectionSettings) -> Void = { _ in }
    ) throws {
        self.role = role
        var settings = ConnectionSettings()
        settings.dialects = [dialect]
        configure(&settings)
        let names = extensions.map(\.name).joined(separator: ", ")
        let field = names.isEmpty ? "" : "Sec-WebSocket-Extensions: \(names)\r\n"
        if role == .server {
            self.connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: Self.start)
            self.connection.transportUp(now: Self.start)
            self.connection.start(now: Self.start)
            var request = "GET /trades HTTP/1.1\r\nHost: example.com\r\n"
            switch dialect.opening {
            case .acceptKey:
                request += "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                request += "Sec-WebSocket-Key: \(Sample.key)\r\nSec-WebSocket-Version: 13\r\n\(field)\r\n"
            case .invariant, .twoKeys:
                request =
                    "GET /trades HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: example.com\r\n"
                    + "Origin: http://example.com\r\n"
                if dialect.opening == .twoKeys {
                    request += "Sec-WebSocket-Key1: 18x 6]8vM;54 *(5:  {   U1]8  z [  8\r\n"
                    request += "Sec-WebSocket-Key2: 1_ tx7X d  <  nw  334J702) 7]o}` 0\r\n"
                }
                request += "\r\n" + (dialect.opening == .twoKeys ? "Tm[K T2u" : "")
            }
            self.connection.receive(ByteBuffer(string: request), now: Self.start)
            var isAsked = false
            while let action = self.connection.next(now: Self.start) {
                if case .server(.decideOpening) = action { isAsked = true }
            }
            #expect(isAsked)
            var plan = EndpointPlan.Values()
            plan.dialects = [dialect]
            plan.extensions = extensions
            plan.sessionLifetime = sessionLifetime
            self.connection.acceptOpening(EndpointPlan(plan), now: Self.start)
        } else {
            var plan = ClientPlan(url: try WebSocketURL("ws://example.com/trades"))
            plan.extended.policy = .off
            plan.extensions = extensions
            self.connection = try Connection(
                client: plan,
                configuration: ConnectionConfiguration(settings),
                key: Sample.key,
                masks: ZeroMasks(),
                deadline: nil,
                now: Self.start
            )
            self.connection.transportUp(now: Self.start)
            self.connection.start(now: Self.start)
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(Sample.accept)\r\n\(field)\r\n"
            self.connection.receive(ByteBuffer(string: answer), now: Self.start)
        }
        self.run()
        _ = self.written()
        self.events = []
    }

    /// The peer's frame of less than 126 bytes.
    func frame(_ first: UInt8, _ payload: [UInt8] = []) -> [UInt8] {
        let isMasked = self.role == .server
        return [first, (isMasked ? 0x80 : 0) | UInt8(payload.count)] + (isMasked ? [0, 0, 0, 0] : []) + payload
    }

    func text(_ text: String) -> [UInt8] { self.frame(0x81, Array(text.utf8)) }

    mutating func receive(_ bytes: [UInt8]) {
        self.connection.receive(ByteBuffer(bytes: bytes), now: self.now)
        self.run()
    }

    mutating func endInput() {
        self.connection.inputClosed(now: self.now)
        self.run()
    }

    /// Takes what there is to do.
    mutating func run() {
        while self.closed == nil, let action = self.connection.next(now: self.now, isPaused: self.isPaused) {
            switch action {
            case .message(_, let payload): self.messages.append(String(buffer: payload))
            case .chunk(let chunk): self.messages.append(String(buffer: chunk.bytes))
            case .event(let event): self.events.append(event)
            case .closed(let info): self.closed = info
            default: break
            }
        }
    }

    /// Lets time pass, waking the connection when it wants to be.
    mutating func advance(to time: NIODeadline) {
        while self.closed == nil, let deadline = self.connection.deadline, deadline <= time {
            self.now = max(self.now, deadline)
            if self.isPaused { self.connection.readingIsPaused(now: self.now) }
            let isDue = self.connection.deadline.map { $0 <= self.now } ?? false
            guard isDue else { continue }
            self.connection.timeReached(now: self.now)
            let next = self.connection.deadline
            guard next.map({ $0 > self.now }) ?? true else {
                Issue.record("the deadline stays where it was")
                return
            }
            self.run()
        }
        self.now = time
    }

    mutating func advance(by amount: TimeAmount) { self.advance(to: self.now + amount) }

    /// The bytes written since the last call.
    mutating func written() -> [UInt8] {
        var bytes: [UInt8] = []
        while let next = self.connection.output.next() { bytes += next.readableBytesView }
        return bytes
    }

    /// The first bytes of the frames that were said since the last call.
    mutating func writtenFrames() -> [(first: UInt8, payload: [UInt8])] {
        var bytes = self.written()[...]
        var frames: [(UInt8, [UInt8])] = []
        while bytes.count >= 2 {
            let first = bytes.removeFirst()
            let second = bytes.removeFirst()
            if second & 0x80 != 0 { bytes.removeFirst(4) }
            let count = Int(second & 0x7F)
            frames.append((first, Array(bytes.prefix(count))))
            bytes.removeFirst(count)
        }
        return frames
    }
}
