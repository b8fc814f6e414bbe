// The tests of extensions speak to a connection of ours in bytes, as a peer that obeys nobody.

import KHPProtocol
import NIOCore
import Testing

@testable import KHPTesting

/// A frame as a test writes it or reads it.
struct WireFrame: Equatable {
    var first: UInt8
    var payload: [UInt8]

    init(_ first: UInt8, _ payload: [UInt8]) {
        self.first = first
        self.payload = payload
    }
}

/// An open plain WebSocket of ours, with extensions negotiated in the opening handshake, and the test at its other end.
struct WirePeer {
    private(set) var driven: DrivenConnection
    private let role: Role
    /// Our side's value of Sec-WebSocket-Extensions.
    private(set) var extensionsField: String?

    /// A server of ours that supports these, asked for `offer`.
    static func server(
        _ extensions: [any WebSocketExtension],
        offer: String,
        limits: Limits = Limits(),
        delivery: MessageDelivery = .messages,
        keepAlive: KeepAliveConfiguration = KeepAliveConfiguration()
    ) throws -> WirePeer {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var settings = ConnectionSettings()
        settings.limits = limits
        settings.delivery = delivery
        settings.keepAlive = keepAlive
        let connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: now)
        let driven = DrivenConnection(connection, now: now)
        driven.feed(
            ByteBuffer(
                string: "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Key: \(Transcript.Constants.key)\r\nSec-WebSocket-Version: 13\r\n"
                    + "Sec-WebSocket-Extensions: \(offer)\r\n\r\n"
            )
        )
        #expect(driven.openingRequest != nil)
        var plan = EndpointPlan.Values()
        plan.extensions = extensions
        driven.connection.acceptOpening(EndpointPlan(plan), now: driven.now)
        driven.run()
        var peer = WirePeer(driven: driven, role: .server)
        peer.readHead()
        return peer
    }

    /// A client of ours that asks for these, answered with `answer`.
    static func client(
        _ extensions: [any WebSocketExtension],
        answer: String?,
        limits: Limits = Limits(),
        delivery: MessageDelivery = .messages,
        keepAlive: KeepAliveConfiguration = KeepAliveConfiguration()
    ) throws -> WirePeer {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var settings = ConnectionSettings()
        settings.limits = limits
        settings.delivery = delivery
        settings.keepAlive = keepAlive
        var plan = ClientPlan(url: try WebSocketURL("ws://example.com/"))
        plan.extended.policy = .off
        plan.extensions = extensions
        let connection = try Connection(
            client: plan,
            configuration: ConnectionConfiguration(settings),
            key: Transcript.Constants.key,
            masks: FixedMask(),
            deadline: nil,
            now: now
        )
        var peer = WirePeer(driven: DrivenConnection(connection, now: now), role: .client)
        peer.readHead()
        let field = answer.map { "Sec-WebSocket-Extensions: \($0)\r\n" } ?? ""
        peer.driven.feed(
            ByteBuffer(
                string: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: \(AcceptKey.accept(for: Transcript.Constants.key))\r\n\(field)\r\n"
            )
        )
        return peer
    }

    private init(driven: DrivenConnection, role: Role) {
        self.driven = driven
        self.role = role
    }

    private mutating func readHead() {
        let head = String(buffer: self.driven.output)
        self.driven.output = ByteBuffer()
        let line = head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Extensions: ") }
        self.extensionsField = line.map { String($0.dropFirst("Sec-WebSocket-Extensions: ".count)) }
    }

    /// Has our side ask the peer to re-validate.
    mutating func askToRevalidate(_ path: String) throws -> Bool {
        let now = self.driven.now
        defer { self.driven.run() }
        return try self.driven.connection.askToRevalidate(path, now: now)
    }

    /// Tells our side of the network or the application, as the shell does.
    mutating func tell(_ body: (inout Connection, NIODeadline) -> Void) {
        body(&self.driven.connection, self.driven.now)
        self.driven.run()
    }

    /// Sends frames to our side, in reads of so many bytes.
    mutating func feed(_ frames: WireFrame..., readBytes: Int? = nil) {
        self.feed(frames, readBytes: readBytes)
    }

    mutating func feed(_ frames: [WireFrame], readBytes: Int? = nil) {
        var bytes = ByteBuffer()
        for frame in frames {
            // A client masks; a mask of zeros leaves the bytes readable.
            let mask: UInt8 = self.role == .server ? 0x80 : 0
            bytes.writeInteger(frame.first)
            switch frame.payload.count {
            case ...125: bytes.writeInteger(mask | UInt8(frame.payload.count))
            case ...0xFFFF:
                bytes.writeInteger(mask | 126)
                bytes.writeInteger(UInt16(frame.payload.count))
            default:
                bytes.writeInteger(mask | 127)
                bytes.writeInteger(UInt64(frame.payload.count))
            }
            if self.role == .server { bytes.writeInteger(UInt32(0)) }
            bytes.writeBytes(frame.payload)
        }
        let size = readBytes ?? bytes.readableBytes
        while let piece = bytes.readSlice(length: min(size, bytes.readableBytes)), piece.readableBytes > 0 {
            self.driven.feed(piece)
        }
    }

    /// Sends a message of our application.
    mutating func send(_ message: WebSocketMessage, options: SendOptions = []) throws {
        try self.driven.connection.send(message, options: options, now: self.driven.now)
        self.driven.run()
    }

    /// Sends a message that others send as well.
    mutating func send(_ message: SharedMessage) throws {
        try self.driven.connection.send(message, now: self.driven.now)
        self.driven.run()
    }

    mutating func send(_ chunk: MessageChunk) throws {
        try self.driven.connection.send(chunk, now: self.driven.now)
        self.driven.run()
    }

    /// Takes what our side has to do and say, after a call that threw.
    mutating func run() {
        self.driven.run()
    }

    mutating func advance(by amount: TimeAmount) {
        self.driven.advance(by: amount)
    }

    mutating func close() {
        self.driven.connection.close(code: .normalClosure, reason: "", now: self.driven.now)
        self.driven.run()
    }

    mutating func endInput() {
        self.driven.endInput()
    }

    /// The frames that our side has sent since the last call.
    mutating func takeFrames() -> [WireFrame] {
        var bytes = self.driven.output
        self.driven.output = ByteBuffer()
        var frames: [WireFrame] = []
        while let first = bytes.readInteger(as: UInt8.self), let second = bytes.readInteger(as: UInt8.self) {
            var length = Int(second & 0x7F)
            if length == 126 { length = Int(bytes.readInteger(as: UInt16.self) ?? 0) }
            if length == 127 { length = Int(bytes.readInteger(as: UInt64.self) ?? 0) }
            let key = second & 0x80 != 0 ? bytes.readBytes(length: 4) ?? [] : []
            var payload = bytes.readBytes(length: length) ?? []
            if !key.isEmpty { for index in payload.indices { payload[index] ^= key[index % 4] } }
            frames.append(WireFrame(first, payload))
        }
        return frames
    }

    /// The messages that our application got since the last call.
    mutating func takeMessages() -> [WebSocketMessage] {
        defer { self.driven.received = [] }
        return self.driven.received.map { $0.kind == .text ? .text(String(buffer: $0.payload)) : .binary($0.payload) }
    }

    /// The code of the close frame that our side has sent; reads all frames.
    mutating func takeCloseCode() -> Int? {
        self.takeFrames().first { $0.first == 0x88 }.map { Int($0.payload[0]) << 8 | Int($0.payload[1]) }
    }

    var closed: CloseInfo? { self.driven.closed }
    var failure: WebSocketError? { self.driven.failure }
    var negotiated: HandshakeSummary? { self.driven.opened }
}
