import KHPProtocol
public import NIOCore

/// A Kaazing gateway as a scripted peer: its bytes, in both of its dialects, as they were measured.
///
/// For tests of a client that is to connect to gateways. Sans-I/O: bytes in, bytes out; one value is one connection.
/// It shares no handshake with this package's own server. Once open, it echoes.
public struct ScriptedKaazingGateway {
    /// The service behind the gateway.
    public struct Service: Sendable {
        /// The path.
        public var path = "/echo"
        /// The subprotocols, in order of preference; none has to be chosen.
        public var subprotocols: [String] = []
        /// The extensions that it grants: its answers by name.
        public var extensions: [String: String] = ["x-kaazing-ping-pong": "x-kaazing-ping-pong; 01010102"]
        /// The realm with an Application Basic challenge; `nil` lets everyone in.
        public var realm: String?
        /// The value of Authorization that lets in.
        public var authorization = "Basic am9lOndlbGNvbWU="
        /// The balancer's answer in place of service: a URL, or an empty string where it has no member.
        public var balancer: String?
        /// `true` when challenges come in a 200, as old gateways sent them.
        public var wrapsChallenges = false

        /// An echo service at `/echo` for everyone.
        public init() {}
    }

    private enum Stage {
        case opening, extended, open, closed
    }

    private static let forbidden: Set<String> = [
        "accept-charset", "accept-encoding", "content-length", "content-transfer-encoding", "date", "expect",
        "keep-alive", "referer", "te", "trailer", "transfer-encoding", "upgrade", "via",
    ]
    private static let allowed: Set<String> = ["sec-websocket-protocol", "sec-websocket-extensions"]

    /// The requests that it read, the opening first.
    public private(set) var requests: [String] = []
    /// The code of the client's close frame.
    public private(set) var closeCode: UInt16?

    private let service: Service
    private var stage = Stage.opening
    private var inbound = ByteBuffer()
    private var reader = MessageReader(role: .server, limits: MessageLimits())
    /// The bytes of the extended request, without regard to messages.
    private var stream = ByteBuffer()
    private var query = ""
    private var accept = Transcript.Constants.accept
    private var offered: [String] = []
    private var endsResponses = false
    private var hasBalancerMessages = false

    /// A gateway with one service.
    public init(_ service: Service = Service()) {
        self.service = service
    }

    /// Takes bytes of the client.
    /// - Returns: the next steps.
    public mutating func receive(_ bytes: ByteBuffer) -> [ScriptedPeer.Output] {
        self.inbound.writeImmutableBuffer(bytes)
        var said = ByteBuffer()
        if self.stage == .opening, let lines = self.takeOpening() { said.writeImmutableBuffer(self.answer(lines)) }
        while self.stage == .extended || self.stage == .open || self.stage == .closed,
            let event = try? self.reader.next(&self.inbound)
        {
            switch event {
            case .message(let kind, let payload, _):
                said.writeImmutableBuffer(self.hear(kind, payload))
            case .ping(let payload):
                said.writeImmutableBuffer(Self.frame(0x8A, payload))
            case .close(let code, _):
                self.closeCode = code?.rawValue
                if self.stage != .closed { said.writeImmutableBuffer(Self.close(code?.rawValue ?? 1000)) }
                self.stage = .closed
                return (said.readableBytes > 0 ? [.send(said)] : []) + [.end]
            default:
                break
            }
        }
        return said.readableBytes > 0 ? [.send(said)] : []
    }

    // MARK: Opening

    private mutating func takeOpening() -> [String]? {
        guard let head = self.inbound.readHead() else { return nil }
        self.requests.append(head)
        return Self.lines(head.dropLast(2))
    }

    private mutating func answer(_ lines: [String]) -> ByteBuffer {
        let target = lines[0].split(separator: " ").dropFirst().first ?? ""
        let parts = target.split(separator: "?", maxSplits: 1).map(String.init)
        self.query = parts.count > 1 ? parts[1] : ""
        let parameters = self.query.split(separator: "&")
        self.hasBalancerMessages = parameters.contains(".kl=Y")
        self.endsResponses = self.hasBalancerMessages || parameters.contains(".kv=10.05")
        self.offered = Self.list("sec-websocket-protocol", lines)
        if let key = Self.values("sec-websocket-key", lines).first { self.accept = AcceptKey.accept(for: key) }
        guard parts.first == self.service.path else {
            self.stage = .closed
            return ByteBuffer(string: "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        }
        let isExtended = self.offered.contains("x-kaazing-handshake")
        let upgrade = Self.values("upgrade", lines).first == "WebSocket" ? "WebSocket" : "websocket"
        var said = ByteBuffer(
            string: self.switching(isExtended ? "x-kaazing-handshake" : nil, extensions: [], upgrade: upgrade)
        )
        self.stage = isExtended ? .extended : .open
        if isExtended, self.hasBalancerMessages { said.writeImmutableBuffer(Self.balancer("N")) }
        return said
    }

    private func switching(_ subprotocol: String?, extensions: [String], upgrade: String = "websocket") -> String {
        var text = "HTTP/1.1 101 Web Socket Protocol Handshake\r\nConnection: Upgrade\r\n"
        text += "Date: Fri, 24 Jan 2014 12:50:58 GMT\r\nSec-WebSocket-Accept: \(self.accept)\r\n"
        for name in extensions { text += "Sec-WebSocket-Extensions: \(name)\r\n" }
        if let subprotocol { text += "Sec-WebSocket-Protocol: \(subprotocol)\r\n" }
        return text + "Server: Kaazing Gateway\r\nUpgrade: \(upgrade)\r\n\r\n"
    }

    // MARK: Extended

    private mutating func hear(_ kind: MessageKind, _ payload: ByteBuffer) -> ByteBuffer {
        switch self.stage {
        case .opening, .closed:
            return ByteBuffer()
        case .open:
            return Self.frame(kind == .text ? 0x81 : 0x82, payload)
        case .extended:
            // A byte stream over messages: where one ends and whether it is text do not matter.
            self.stream.writeImmutableBuffer(payload)
            guard let head = self.stream.readHead() else { return ByteBuffer() }
            self.requests.append(head)
            return self.answerExtended(Self.lines(head.dropLast(2)))
        }
    }

    private mutating func answerExtended(_ lines: [String]) -> ByteBuffer {
        let words = lines[0].split(separator: " ")
        let path = words.count > 1 ? words[1].prefix { $0 != "?" } : ""
        let isForbidden = lines.dropFirst().contains { line in
            let name = line.prefix { $0 != ":" }.lowercased()
            return Self.forbidden.contains(name) || name.hasPrefix("proxy-")
                || name.hasPrefix("sec-") && !Self.allowed.contains(name)
        }
        guard path == self.service.path, !isForbidden else {
            self.stage = .closed
            var said = Self.frame(0x82, ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
            said.writeImmutableBuffer(Self.close(1000))
            return said
        }
        if let realm = self.service.realm,
            Self.values("authorization", lines).first != self.service.authorization
        {
            return self.challenge(realm)
        }
        if let balancer = self.service.balancer { return self.redirect(balancer) }
        let union = self.offered + Self.list("sec-websocket-protocol", lines)
        let asked = Self.list("sec-websocket-extensions", lines).map { $0.prefix { $0 != ";" } }
        var said = self.respond(
            self.switching(
                self.service.subprotocols.first { union.contains($0) },
                extensions: asked.compactMap { self.service.extensions[String($0)] }
            )
        )
        if self.hasBalancerMessages { said.writeImmutableBuffer(Self.balancer("N")) }
        self.stage = .open
        return said
    }

    private func challenge(_ realm: String) -> ByteBuffer {
        let body = "<html><head></head><body><h1>401 Unauthorized</h1></body></html>"
        let head =
            "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/html\r\n"
            + "WWW-Authenticate: Application Basic realm=\"\(realm)\"\r\n"
        guard self.service.wrapsChallenges else {
            return self.respond(head + "Content-Length: \(body.utf8.count)\r\n\r\n" + body)
        }
        let wrapped = head + "\r\n"
        let envelope =
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
            + "Content-Length: \(wrapped.utf8.count + body.utf8.count)\r\n\r\n"
        return self.respond(envelope, wrapped, body)
    }

    private mutating func redirect(_ target: String) -> ByteBuffer {
        self.stage = .closed
        guard self.hasBalancerMessages else {
            // A client that knows nothing of balancers gets a balancer's message all the same, then a redirect over
            // http.
            let location = target.hasPrefix("ws") ? "http" + target.dropFirst(2) : target
            var said = Self.balancer("N")
            said.writeImmutableBuffer(
                self.respond(
                    "HTTP/1.1 302 Found\r\nDate: Fri, 24 Jan 2014 12:50:58 GMT\r\nlocation: \(location)\r\n"
                        + "Server: Kaazing Gateway\r\nContent-Length: 0\r\n\r\n"
                )
            )
            return said
        }
        var said = self.respond(self.switching(nil, extensions: []))
        let merged = target.isEmpty ? "" : target + (target.contains("?") ? "&" : "?") + self.query
        said.writeImmutableBuffer(Self.balancer("R" + merged))
        said.writeImmutableBuffer(Self.close(1000))
        return said
    }

    // MARK: Bytes

    /// A response in one message or several, and its end where that is told.
    private func respond(_ texts: String...) -> ByteBuffer {
        var said = ByteBuffer()
        for text in texts { said.writeImmutableBuffer(Self.frame(0x82, ByteBuffer(string: text))) }
        if self.endsResponses { said.writeImmutableBuffer(Self.frame(0x82, ByteBuffer())) }
        return said
    }

    private static func balancer(_ text: String) -> ByteBuffer {
        var payload = ByteBuffer(bytes: [0xEF, 0x83, 0xBF])
        payload.writeString(text)
        return self.frame(0x82, payload)
    }

    private static func close(_ code: UInt16) -> ByteBuffer { self.frame(0x88, ByteBuffer(integer: code)) }

    private static func frame(_ first: UInt8, _ payload: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer(integer: first)
        switch payload.readableBytes {
        case ..<126: frame.writeInteger(UInt8(payload.readableBytes))
        case ...65_535: frame.writeMultipleIntegers(UInt8(126), UInt16(payload.readableBytes))
        default: frame.writeMultipleIntegers(UInt8(127), UInt64(payload.readableBytes))
        }
        frame.writeImmutableBuffer(payload)
        return frame
    }

    private static func lines(_ head: some StringProtocol) -> [String] { head.cut(at: "\r\n") }

    private static func values(_ name: String, _ lines: [String]) -> [String] {
        lines.dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name else { return nil }
            return String(line[line.index(after: colon)...].trimmingSpaces)
        }
    }

    private static func list(_ name: String, _ lines: [String]) -> [String] {
        self.values(name, lines).flatMap { $0.split(separator: ",") }.map { String($0.trimmingSpaces) }
            .filter { !$0.isEmpty }
    }
}
