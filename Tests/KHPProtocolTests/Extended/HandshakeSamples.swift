// Values that the tests of both handshakes share: the sample of RFC 6455, a clock, and short ways to make machines.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

enum Sample {
    static let key = "dGhlIHNhbXBsZSBub25jZQ=="
    static let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    static let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    static let server = "swift-khp"

    /// Lines joined and ended as a head.
    static func head(_ lines: String...) -> ByteBuffer {
        ByteBuffer(string: lines.map { $0 + "\r\n" }.joined() + "\r\n")
    }

    static func openingLines(
        _ target: String = "/trades",
        replacing replacements: [String: String?] = [:],
        adding: [String] = []
    ) -> String {
        let lines = [
            "Host: example.com:8080", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: \(key)",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: x-kaazing-handshake",
        ]
        var text = "GET \(target) HTTP/1.1\r\n"
        for line in lines {
            let name = String(line.prefix { $0 != ":" })
            if let replacement = replacements[name] {
                if let replacement { text += "\(name): \(replacement)\r\n" }
            } else {
                text += line + "\r\n"
            }
        }
        return text + adding.map { $0 + "\r\n" }.joined() + "\r\n"
    }

    static func opening(
        _ target: String = "/trades",
        replacing replacements: [String: String?] = [:],
        adding: [String] = []
    ) throws -> OpeningRequest {
        var server = OpeningServer()
        var input = ByteBuffer(string: openingLines(target, replacing: replacements, adding: adding))
        return try #require(try server.receive(&input))
    }

    static let acceptance = [
        "HTTP/1.1 101 Web Socket Protocol Handshake", "Connection: Upgrade", "Date: \(date)",
        "Sec-WebSocket-Accept: \(accept)", "Server: \(server)", "Upgrade: websocket",
    ]

    /// The 101 with some lines put in behind the accept value.
    static func switching(adding: [String] = [], accept: String = accept) -> ByteBuffer {
        var lines = acceptance
        lines[3] = "Sec-WebSocket-Accept: \(accept)"
        lines.insert(contentsOf: adding, at: 4)
        return ByteBuffer(string: lines.map { $0 + "\r\n" }.joined() + "\r\n")
    }

    /// A response with content.
    static func response(_ status: Int, fields: [String] = [], content: String? = nil) -> ByteBuffer {
        var text = "HTTP/1.1 \(status) Some Reason\r\n"
        for field in fields { text += field + "\r\n" }
        if let content { text += "Content-Length: \(content.utf8.count)\r\n" }
        return ByteBuffer(string: text + "\r\n" + (content ?? ""))
    }

    static func url(_ text: String = "ws://example.com:8080/trades") throws -> WebSocketURL {
        try WebSocketURL(text)
    }

    static func clientPlan(
        method: String = "GET",
        subprotocols: [String] = [],
        extensions: [any WebSocketExtension] = [],
        fields: HTTPFields = [:],
        body: String? = nil,
        follows308: Bool = false
    ) throws -> ExtendedClientPlan {
        ExtendedClientPlan(
            url: try url(),
            method: method,
            subprotocols: subprotocols,
            extensions: try OfferedExtensions(extensions),
            extraFields: fields,
            body: body.map { ByteBuffer(string: $0) },
            acceptValue: accept,
            followsPermanentRedirect: follows308
        )
    }

    static func serverMachine(
        _ opening: OpeningRequest? = nil,
        negotiated: [NegotiatedExtension] = [],
        limits: Limits = Limits()
    ) throws -> ExtendedServer {
        ExtendedServer(
            opening: try opening ?? Self.opening(),
            acceptValue: AcceptValue(accept),
            negotiatedExtensions: negotiated,
            server: server,
            limits: limits,
            now: .at(0)
        )
    }
}

extension NIODeadline {
    /// Seconds on the test's own clock.
    static func at(_ seconds: Double) -> NIODeadline {
        .uptimeNanoseconds(UInt64((seconds + 1000) * 1_000_000_000))
    }
}

extension ByteBuffer {
    var text: String { String(buffer: self) }

    /// The bytes in `count` parts or fewer, cut at the given places.
    func cut(at places: [Int]) -> [ByteBuffer] {
        var rest = self
        var parts: [ByteBuffer] = []
        var position = 0
        for place in places {
            if let part = rest.readSlice(length: place - position) { parts.append(part) }
            position = place
        }
        parts.append(rest)
        return parts
    }
}

/// An action without the values that it carries.
enum ServerStep: Equatable {
    case none
    case request
    case sendContinue
    case refuse(status: Int?, close: UInt16)
    case open(status: Int)
    case waitForReplay(status: Int, until: NIODeadline)
    case waitForAnswer(status: Int, until: NIODeadline)
    case balance(status: Int, KaazingLegacyMessage)
    case close(status: Int, code: UInt16)

    init(_ action: ExtendedServer.Action) {
        switch action {
        case .none: self = .none
        case .request: self = .request
        case .sendContinue: self = .sendContinue
        case .refuse(let message, let close, _):
            self = .refuse(status: message.flatMap { Self.status(of: $0.bytes) }, close: close.rawValue)
        case .send(let message, let next):
            let status = Self.status(of: message.bytes) ?? 0
            switch next {
            case .open: self = .open(status: status)
            case .waitForReplay(let until): self = .waitForReplay(status: status, until: until)
            case .waitForAnswer(let until): self = .waitForAnswer(status: status, until: until)
            case .balance(let message): self = .balance(status: status, message)
            case .close(let code): self = .close(status: status, code: code.rawValue)
            }
        }
    }

    private static func status(of message: ByteBuffer) -> Int? {
        let text = message.text
        guard text.hasPrefix("HTTP/1.1 ") else { return nil }
        return Int(text.dropFirst(9).prefix(3))
    }
}

/// An action without the values that it carries.
enum ClientStep: Equatable {
    case none
    case complete(status: Int)
    case settled(status: Int)
    case sendRequest(String)
    case balanced(to: String)
    case waiting(until: NIODeadline)
    case sendBody(String)
    case challenge(status: Int)
    case challengeAfresh(status: Int)
    case continued(status: Int)
    case redirect(status: Int)
    case choose(status: Int)
    case upgrade(status: Int)
    case proxyAuthentication(status: Int)
    case fail(WebSocketError.Code, close: UInt16)

    init(_ action: ExtendedClient.Action) {
        switch action {
        case .none: self = .none
        case .complete(let result): self = .complete(status: result.status)
        case .settled(let result): self = .settled(status: result.status)
        case .sendRequest(let request): self = .sendRequest(request.text)
        case .balanced(let target): self = .balanced(to: target)
        case .waiting(_, let until): self = .waiting(until: until)
        case .sendBody(let body, _): self = .sendBody(body.text)
        case .challenge(let response): self = .challenge(status: response.status)
        case .challengeAfresh(let response): self = .challengeAfresh(status: response.status)
        case .continued(let response): self = .continued(status: response.status)
        case .redirect(let response): self = .redirect(status: response.status)
        case .choose(let response): self = .choose(status: response.status)
        case .upgrade(let response): self = .upgrade(status: response.status)
        case .proxyAuthentication(let response): self = .proxyAuthentication(status: response.status)
        case .fail(let error, let close): self = .fail(error.code, close: close.rawValue)
        }
    }
}
