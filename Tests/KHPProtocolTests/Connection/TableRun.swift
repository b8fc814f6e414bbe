// One connection, led to a stage, and one event on it.

import NIOCore
import Testing

@testable import KHPProtocol

struct TableRun {
    private var connection: Connection
    private var now = NIODeadline.at(0)
    private let stage: String
    private let role: Role

    private struct ZeroMasks: MaskSource {
        func next() -> UInt32 { 0 }
    }

    static func stages(_ role: Role) -> [String] {
        let handshake =
            role == .client
            ? ["connecting", "opening", "challenged", "extended", "challenged inside"]
            : ["connecting", "reading", "deciding", "deciding plain", "awaiting key", "extended", "deciding inside"]
        return handshake + ["open", "close held", "closing", "leaving", "unread", "ended"]
    }

    init(_ role: Role, _ stage: String) throws {
        self.stage = stage
        self.role = role
        var settings = ConnectionSettings()
        settings.dialects = [.rfc6455, .hixie76]
        if role == .client {
            let plan = ClientPlan(url: try Sample.url())
            self.connection = try Connection(
                client: plan,
                configuration: ConnectionConfiguration(settings),
                key: Sample.key,
                masks: ZeroMasks(),
                deadline: .at(30),
                now: self.now
            )
        } else {
            self.connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: self.now)
        }
        self.connection.transportUp(now: self.now)
        guard stage != "connecting" else { return }
        self.connection.start(now: self.now)
        try self.reach()
        _ = self.take()
        #expect(self.name == Self.stageName(stage), "\(role): \(stage)")
    }

    private static func stageName(_ stage: String) -> String {
        switch stage {
        case "close held", "closing": "open"
        case "challenged inside", "deciding inside": "extended"
        case "deciding plain": "deciding"
        default: stage
        }
    }

    private mutating func reach() throws {
        switch (self.role, self.stage) {
        case (.client, "opening"): break
        case (.client, "challenged"):
            self.feed("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n")
        case (.client, _):
            self.feed(String(buffer: Sample.switching(adding: ["Sec-WebSocket-Protocol: x-kaazing-handshake"])))
            guard self.stage != "extended" else { return }
            if self.stage == "challenged inside" {
                return self.receive(self.message("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\n\r\n"))
            }
            if self.stage != "leaving" { self.receive(self.message(Sample.switching().text)) }
            try self.leave()
        case (.server, "reading"): self.feed("GET /")
        case (.server, "deciding plain"): self.feed("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        case (.server, "awaiting key"):
            self.feed(Self.hixie)
            self.accept(dialects: [.hixie76], extended: false)
        case (.server, _):
            self.feed(Sample.openingLines("/trades"))
            guard self.stage != "deciding" else { return }
            self.accept(extended: true)
            guard self.stage != "extended" else { return }
            if self.stage == "leaving" { return try self.leave() }
            self.receive(self.message("GET /trades HTTP/1.1\r\n\r\n"))
            guard self.stage != "deciding inside" else { return }
            self.connection.answerExtended(HandshakeResponse(status: 101), principal: nil, now: self.now)
            try self.leave()
        }
    }

    private mutating func leave() throws {
        _ = self.take()
        switch self.stage {
        case "close held":
            self.connection.socket.holdsClose = true
            self.receive(self.closeFrame)
        case "closing", "leaving": self.connection.close(code: .normalClosure, reason: "", now: self.now)
        case "unread":
            self.connection.receive(ByteBuffer(bytes: self.frame(0x81, "unread")), now: self.now)
            _ = self.connection.next(now: self.now, isPaused: true)
            self.connection.inputClosed(now: self.now)
            while self.connection.next(now: self.now, isPaused: true) != nil {}
        case "ended":
            self.connection.inputClosed(now: self.now)
        default: break
        }
    }

    private static let hixie =
        "GET /trades HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: example.com\r\n"
        + "Origin: http://example.com\r\nSec-WebSocket-Key1: 18x 6]8vM;54 *(5:  {   U1]8  z [  8\r\n"
        + "Sec-WebSocket-Key2: 1_ tx7X d  <  nw  334J702) 7]o}` 0\r\n\r\n"

    private mutating func accept(dialects: [Dialect] = [.rfc6455], extended: Bool) {
        var plan = EndpointPlan.Values()
        plan.dialects = dialects
        plan.extended = extended
        self.connection.acceptOpening(EndpointPlan(plan), now: self.now)
    }

    private mutating func feed(_ text: String) { self.receive(Array(text.utf8)) }

    private func frame(_ first: UInt8, _ text: String) -> [UInt8] {
        let length = UInt8(text.utf8.count)
        return self.role == .server
            ? [first, 0x80 | length, 0, 0, 0, 0] + Array(text.utf8) : [first, length] + Array(text.utf8)
    }

    /// The peer's message of the extended handshake.
    private func message(_ text: String) -> [UInt8] {
        let length = text.utf8.count
        guard length >= 126 else { return self.frame(0x82, text) }
        let mask: [UInt8] = self.role == .server ? [0, 0, 0, 0] : []
        let head: [UInt8] = [0x82, (self.role == .server ? 0x80 : 0) | 126, UInt8(length >> 8), UInt8(length & 0xFF)]
        return head + mask + Array(text.utf8)
    }

    private mutating func receive(_ bytes: [UInt8]) {
        self.connection.receive(ByteBuffer(bytes: bytes), now: self.now)
        while self.connection.next(now: self.now) != nil {}
    }

    // MARK: Events

    /// The stage that follows the event, the actions and the bytes that it leads to.
    mutating func outcome(of event: ConnectionTableTests.Event) -> String {
        var said = ""
        switch event {
        case .bytes: self.connection.receive(ByteBuffer(bytes: self.expected), now: self.now)
        case .garbage: self.connection.receive(ByteBuffer(bytes: [0xFF, 0xFF, 0x0D, 0x0A, 0x0D, 0x0A]), now: self.now)
        case .end: self.connection.inputClosed(now: self.now)
        case .reset:
            let error = WebSocketError(.connectFailed, "The connection failed: connection reset by the peer.")
            self.connection.transportFailed(error, now: self.now)
        case .gone: self.connection.transportEnded(now: self.now)
        case .deadline:
            guard let deadline = self.connection.deadline else { return "none" }
            self.now = deadline
            self.connection.timeReached(now: self.now)
        case .close: self.connection.close(code: .goingAway, reason: "", now: self.now)
        case .send:
            said = self.refusal { run throws(WebSocketError) in
                try run.connection.send(.text("a"), now: run.now)
            }
        case .ping:
            said = self.refusal { run throws(WebSocketError) in
                try run.connection.ping(now: run.now)
            }
        case .accept: self.connection.acceptOpening(EndpointPlan(), now: self.now)
        case .refuse: self.connection.refuseOpening(HandshakeResponse(status: 404), now: self.now)
        case .answer:
            self.connection.answerExtended(HandshakeResponse(status: 101), principal: nil, now: self.now)
        case .replay:
            let replay = OpeningReplay(authorization: RequestAuthorization("Basic eA=="), challenges: 1)
            let isSent = self.connection.replayOpening(replay, key: Sample.key, deadline: .at(60), now: self.now)
            said = isSent ? " sent" : " not sent"
        case .credentials:
            self.connection.answerChallenge(
                RequestAuthorization("Basic eA=="),
                challenges: 1,
                deadline: .at(60),
                now: self.now
            )
        }
        let actions = self.take()
        return self.name + said + actions
    }

    private mutating func refusal<Value>(_ body: (inout TableRun) throws(WebSocketError) -> Value) -> String {
        do throws(WebSocketError) {
            _ = try body(&self)
            return ""
        } catch {
            return " throws \(error.code)"
        }
    }

    private var expected: [UInt8] {
        switch (self.role, self.stage) {
        case (.client, "opening"): Array(Sample.switching().readableBytesView)
        case (.client, "extended"): self.message(Sample.switching().text)
        case (.server, "reading"): Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        case (.server, "awaiting key"): Array("Tm[K T2u".utf8)
        case (.server, "extended"): self.frame(0x82, "GET /trades HTTP/1.1\r\n\r\n")
        case (_, "leaving"): self.closeFrame
        default: self.frame(0x81, "a")
        }
    }

    /// The peer's, with 1000.
    private var closeFrame: [UInt8] {
        self.role == .server ? [0x88, 0x82, 0, 0, 0, 0, 3, 0xE8] : [0x88, 2, 3, 0xE8]
    }

    /// The stage, or the state of its handshake.
    var name: String {
        switch self.connection.stage {
        case .handshake(.client(let client)):
            switch client.state {
            case .connecting: "connecting"
            case .opening: "opening"
            case .challenged: "challenged"
            case .extended: "extended"
            }
        case .handshake(.server(let server)):
            switch server.state {
            case .connecting: "connecting"
            case .reading: "reading"
            case .deciding: "deciding"
            case .awaitingKey: "awaiting key"
            case .extended: "extended"
            }
        case .open: "open"
        case .leaving: "leaving"
        case .unread: "unread"
        case .ended: "ended"
        }
    }

    /// The actions that wait, and the kinds of bytes that go out.
    private mutating func take() -> String {
        var words: [String] = []
        while let action = self.connection.next(now: self.now) { words.append(Self.word(action)) }
        var bytes: [UInt8] = []
        while let buffer = self.connection.output.next() { bytes += buffer.readableBytesView }
        if !bytes.isEmpty { words.append("→ " + Self.word(bytes, self.role)) }
        return words.isEmpty ? "" : ": " + words.joined(separator: ", ")
    }

    private static func word(_ action: ConnectionAction) -> String {
        switch action {
        case .message: "message"
        case .chunk: "chunk"
        case .peerClosing: "peerClosing"
        case .pong: "pong"
        case .client(.established): "established"
        case .client(.challenge): "challenge"
        case .client(.hopEnded(let outcome)): "hopEnded \(outcome.kind)"
        case .server(.decideOpening): "decideOpening"
        case .server(.decideExtended): "decideExtended"
        case .server(.plainRequest): "plainRequest"
        case .server(.handOn): "handOn"
        case .server(.proxyHeader): "proxyHeader"
        case .opened: "opened"
        case .failed(let error): "failed \(error.code)"
        case .closed(let info): "closed" + (info.code.map { " \($0.rawValue)" } ?? "")
        case .event: "event"
        }
    }

    /// A head, or the first frame.
    private static func word(_ bytes: [UInt8], _ role: Role) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        if text.hasPrefix("HTTP/1.1 ") { return String(text.dropFirst(9).prefix(3)) }
        if text.hasPrefix("GET ") { return "request" }
        switch bytes.first.map({ $0 & 0x0F }) {
        case 1: return "text"
        case 2: return "binary"
        case 8:
            let start = role == .client ? 6 : 2
            guard bytes.count >= start + 2 else { return "close" }
            return "close \(Int(bytes[start]) << 8 | Int(bytes[start + 1]))"
        case 9: return "ping"
        case 10: return "pong"
        default: return "bytes"
        }
    }
}
