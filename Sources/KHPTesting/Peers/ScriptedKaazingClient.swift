public import KHPProtocol
public import NIOCore

/// A deployed Kaazing client as a scripted peer: what it sends, what it waits for and what it trips over, as it was
/// read in its source and measured on the wire.
///
/// For tests of a server that such clients are to connect to. Sans-I/O: bytes in, bytes out; one value is one
/// connection. It shares nothing with this package's own client, and is as lenient and as strict as the original.
///
/// ```swift
/// let url = "ws://localhost:8001/echo"
/// var client = try ScriptedKaazingClient(.java, url: url)
/// try await outbound.write(client.start())
/// for try await bytes in inbound {
///     let answer = client.receive(bytes)
///     if answer.readableBytes > 0 { try await outbound.write(answer) }
///     if client.state != .connecting { break }
/// }
/// ```
public struct ScriptedKaazingClient: Sendable {
    /// Which of them.
    public enum Kind: String, Sendable, CaseIterable {
        /// java.client: binary requests; takes binary answers only, and the first fragment of a message for all of it.
        case java
        /// javascript.client in a browser: text requests.
        case javaScript = "javascript"
        /// ios.client: text requests.
        case iOS = "ios"
    }

    /// How far it is.
    public enum State: Sendable, Hashable {
        /// In one of its handshakes.
        case connecting
        /// The application has the socket; what the client reports as the subprotocol.
        case open(subprotocol: String?)
        /// A balancer sent it elsewhere; go on with ``redirected()``.
        case redirected(to: String)
        /// It gave up, and would now try emulation over HTTP.
        case failed(String)
    }

    private enum Stage {
        case opening, balancer, response, secondBalancer, open
    }

    /// The key of each opening request.
    public static let key = Transcript.Constants.key

    /// Which client it is.
    public let kind: Kind
    /// How far it is.
    public private(set) var state = State.connecting
    /// The messages that the application got.
    public private(set) var messages: [WebSocketMessage] = []
    /// The extensions that the server granted, as the fields say them.
    public private(set) var extensions: [String] = []
    /// The code of the server's close frame.
    public private(set) var closeCode: UInt16?
    /// How many challenges it answered.
    public private(set) var challenges = 0

    private let url: WebSocketURL
    /// The path and query of the first URL: repeated in each extended request, also behind a balancer.
    private let firstResource: String
    private let subprotocols: [String]
    private let credentials: String?
    private var stage = Stage.opening
    private var inbound = ByteBuffer()
    private var response = ""
    private var subprotocol: String?

    /// A client that is about to open a connection.
    /// - Parameters:
    ///   - kind: which one.
    ///   - url: where to, without `.kl=Y`.
    ///   - subprotocols: the application's.
    ///   - credentials: the value of Authorization that answers each challenge; `nil` answers none.
    /// - Throws: ``WebSocketError/Code/invalidURL``.
    public init(
        _ kind: Kind,
        url: String,
        subprotocols: [String] = [],
        credentials: String? = nil
    ) throws(WebSocketError) {
        let url = try WebSocketURL(url)
        self.init(kind, url, url.resource, subprotocols, credentials)
    }

    private init(
        _ kind: Kind,
        _ url: WebSocketURL,
        _ firstResource: String,
        _ subprotocols: [String],
        _ credentials: String?
    ) {
        self.kind = kind
        self.url = url
        self.firstResource = firstResource
        self.subprotocols = subprotocols
        self.credentials = credentials
    }

    /// The client's next connection, after a balancer sent it elsewhere; it repeats the path of its first URL.
    public func redirected() throws(WebSocketError) -> ScriptedKaazingClient? {
        guard case .redirected(let target) = self.state else { return nil }
        return ScriptedKaazingClient(
            self.kind,
            try WebSocketURL(target),
            self.firstResource,
            self.subprotocols,
            self.credentials
        )
    }

    // MARK: Sending

    /// The request of the Java client on a connection of its own before it opens; `nil` for the others.
    public var preflight: ByteBuffer? {
        guard self.kind == .java else { return nil }
        let path = self.url.path == "/" ? "" : self.url.path
        return ByteBuffer(
            string: "GET \(path)/;e/cookies?.krn=0123456789&.kl=Y HTTP/1.1\r\nUser-Agent: Java/17.0.8\r\n"
                + "Host: \(self.url.authority)\r\nAccept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2\r\n"
                + "Connection: keep-alive\r\n\r\n"
        )
    }

    /// Returns `true` when the Java client goes on after this answer to its ``preflight``.
    public static func goesOn(afterPreflight answer: ByteBuffer) -> Bool {
        let status = String(buffer: answer).split(separator: " ").dropFirst().first
        return status == "200" || status == "201"
    }

    /// The opening request.
    public func start() -> ByteBuffer {
        let resource = self.url.resource
        // Once: a URL that a balancer sent back has it already.
        let target =
            resource.contains(".kl=Y") ? resource : resource + (self.url.query == nil ? "?" : "&") + ".kl=Y"
        let offered = (["x-kaazing-handshake"] + self.subprotocols)
        let authority = self.url.authority
        var lines = ["GET \(target) HTTP/1.1"]
        switch self.kind {
        case .java, .iOS:
            lines += [
                "Upgrade: websocket", "Connection: Upgrade", "Host: \(authority)",
                "Origin: privileged://\(self.url.host):\(self.url.port)", "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: \(Self.key)", "Sec-WebSocket-Protocol: \(offered.joined(separator: ","))",
            ]
        case .javaScript:
            lines += [
                "Host: \(authority)", "Connection: Upgrade", "Pragma: no-cache", "Cache-Control: no-cache",
                "User-Agent: Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0.0.0", "Upgrade: websocket",
                "Origin: \(self.url.origin)", "Sec-WebSocket-Version: 13", "Accept-Encoding: gzip, deflate",
                "Accept-Language: en-US,en;q=0.9", "Sec-WebSocket-Key: \(Self.key)",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
                "Sec-WebSocket-Protocol: \(offered.joined(separator: ", "))",
            ]
        }
        return ByteBuffer(string: lines.joined(separator: "\r\n") + "\r\n\r\n")
    }

    /// The extended request, in its frame.
    private func request(authorization: String? = nil) -> ByteBuffer {
        var text = "GET \(self.firstResource) HTTP/1.1\r\n"
        switch self.kind {
        case .java, .iOS:
            text += "Sec-WebSocket-Extensions: x-kaazing-idle-timeout\r\n"
        case .javaScript:
            text += "WebSocket-Protocol: \r\n"
            text += "Sec-WebSocket-Protocol: \(self.subprotocols.joined(separator: ","))\r\n"
            text += "Sec-WebSocket-Extensions: x-kaazing-idle-timeout,x-kaazing-ping-pong\r\n"
        }
        if let authorization { text += "Authorization: \(authorization)\r\n" }
        return self.frame(self.kind == .java ? 0x2 : 0x1, ByteBuffer(string: text + "\r\n"))
    }

    /// A message of the application, in its frame.
    public func send(_ message: WebSocketMessage) -> ByteBuffer {
        switch message {
        case .text(let text): self.frame(0x1, ByteBuffer(string: text))
        case .binary(let bytes): self.frame(0x2, bytes)
        }
    }

    private func frame(_ opcode: UInt8, _ payload: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer(bytes: [0x80 | opcode])
        let count = payload.readableBytes
        // The Java client writes the 64-bit length one byte too early.
        let longest = self.kind == .java ? 65_534 : 65_535
        switch count {
        case ..<126: frame.writeInteger(0x80 | UInt8(count))
        case ...longest: frame.writeMultipleIntegers(UInt8(0xFE), UInt16(count))
        default: frame.writeMultipleIntegers(UInt8(0xFF), UInt64(count))
        }
        frame.writeInteger(Transcript.Constants.mask)
        let key = withUnsafeBytes(of: Transcript.Constants.mask.bigEndian) { Array($0) }
        for (index, byte) in payload.readableBytesView.enumerated() { frame.writeInteger(byte ^ key[index % 4]) }
        return frame
    }

    // MARK: Receiving

    /// Takes bytes of the server.
    /// - Returns: the client's bytes in answer; often none.
    public mutating func receive(_ bytes: ByteBuffer) -> ByteBuffer {
        self.inbound.writeImmutableBuffer(bytes)
        var said = ByteBuffer()
        if self.stage == .opening, let head = self.takeHead() { self.judgeOpening(head) }
        while self.stage != .opening, let (first, payload) = self.takeFrame() {
            switch first & 0x0F {
            case 0x8:
                self.closeCode = payload.getInteger(at: payload.readerIndex)
                if self.state == .connecting { self.state = .failed("the server closed") }
                said.writeImmutableBuffer(self.frame(0x8, payload))
            case 0x9: said.writeImmutableBuffer(self.frame(0xA, payload))
            case 0x1, 0x2: said.writeImmutableBuffer(self.hear(first & 0x0F, payload))
            // Continuation frames: the Java client ignores them, and the others never get any.
            default: break
            }
        }
        return said
    }

    private mutating func takeHead() -> [String]? {
        self.inbound.readHead()?.dropLast(2).cut(at: "\r\n")
    }

    private mutating func judgeOpening(_ lines: [String]) {
        let status = lines[0]
        let names = self.kind == .javaScript ? lines.map { $0.lowercased() } : lines
        func value(_ name: String) -> String? {
            let prefix = (self.kind == .javaScript ? name.lowercased() : name) + ": "
            return names.firstIndex { $0.hasPrefix(prefix) }.map { String(lines[$0].dropFirst(prefix.count)) }
        }
        let expected = "HTTP/1.1 101 Web Socket Protocol Handshake"
        switch self.kind {
        case .java where status != expected: return self.fail("the status line is \(status)")
        case .iOS where status.lowercased() != expected.lowercased(): return self.fail("the status line is \(status)")
        case .javaScript where !status.hasPrefix("HTTP/1.1 101"): return self.fail("the status line is \(status)")
        default: break
        }
        if self.kind != .javaScript, !lines.contains("Connection: Upgrade") {
            return self.fail("no Connection: Upgrade")
        }
        guard value("Upgrade")?.lowercased() == "websocket" else { return self.fail("no Upgrade") }
        guard value("Sec-WebSocket-Accept") == Transcript.Constants.accept else {
            return self.fail("the accept value is wrong")
        }
        let chosen = value("Sec-WebSocket-Protocol")
        if chosen == "x-kaazing-handshake" {
            self.stage = .balancer
        } else if self.kind == .javaScript, chosen.map({ !self.subprotocols.contains($0) }) ?? true {
            self.fail("the browser was not given one of the subprotocols")
        } else {
            self.stage = .open
            self.state = .open(subprotocol: chosen)
        }
    }

    private mutating func fail(_ reason: String) {
        if self.state == .connecting { self.state = .failed(reason) }
    }

    private mutating func hear(_ opcode: UInt8, _ payload: ByteBuffer) -> ByteBuffer {
        guard self.stage == .open || self.state == .connecting else { return ByteBuffer() }
        // Text in its handshake is passed up and lost.
        if self.kind == .java, self.stage != .open, opcode == 0x1 { return ByteBuffer() }
        switch self.stage {
        case .opening:
            break
        case .balancer:
            guard self.hearBalancer(payload) else { break }
            self.stage = .response
            return self.request()
        case .response:
            if payload.readableBytes > 0 {
                self.response += payload.text
            } else {
                let response = self.response
                self.response = ""
                return self.judge(response)
            }
        case .secondBalancer:
            guard self.hearBalancer(payload) else { break }
            self.stage = .open
            self.state = .open(subprotocol: self.subprotocol)
        case .open:
            self.messages.append(opcode == 0x1 ? .text(String(buffer: payload)) : .binary(payload))
        }
        return ByteBuffer()
    }

    /// - Returns: `true` when it goes on here.
    private mutating func hearBalancer(_ payload: ByteBuffer) -> Bool {
        let bytes = Array(payload.readableBytesView)
        guard bytes.starts(with: [0xEF, 0x83, 0xBF]), bytes.count > 3 else {
            self.fail("a balancer message was due")
            return false
        }
        if bytes[3] == UInt8(ascii: "N") { return true }
        let target = String(decoding: bytes.dropFirst(4), as: UTF8.self)
        self.state = target.isEmpty ? .failed("the balancer has no member") : .redirected(to: target)
        return false
    }

    /// The lines of all that came before the empty message; the last status line counts.
    private mutating func judge(_ response: String) -> ByteBuffer {
        // Cut at LF alone, JavaScript's values keep their CR.
        let lines = response.cut(at: self.kind == .javaScript ? "\n" : "\r\n")
        guard let start = lines.lastIndex(where: { $0.hasPrefix("HTTP/1.1") }) else {
            self.fail("no status line")
            return ByteBuffer()
        }
        let status = lines[start].split(separator: " ").dropFirst().first.map(String.init) ?? ""
        func values(_ name: String) -> [String] {
            lines[start...].filter { $0.hasPrefix(name) }.map { String($0.dropFirst(name.utf8.count + 2)) }
        }
        switch status {
        case "101":
            self.subprotocol = values("Sec-WebSocket-Protocol").first
            self.extensions = values("Sec-WebSocket-Extensions").flatMap { $0.cut(at: ", ") }
                .map { String(decoding: $0.utf8.filter { $0 != 0x0D }, as: UTF8.self) }
            if self.kind == .java, !self.extensions.allSatisfy({ $0.hasPrefix("x-kaazing-idle-timeout") }) {
                self.fail("an extension that was not offered")
            }
            self.stage = .secondBalancer
        case "401":
            guard !values("WWW-Authenticate").isEmpty, let credentials, self.challenges < 3 else {
                self.fail("nobody answers the challenge")
                break
            }
            self.challenges += 1
            return self.request(authorization: credentials)
        default:
            self.fail("the extended handshake was answered with \(status)")
        }
        return ByteBuffer()
    }

    /// A frame of the server: its first byte, in which Java ignores FIN, and its payload.
    private mutating func takeFrame() -> (UInt8, ByteBuffer)? {
        var rest = self.inbound
        guard let first: UInt8 = rest.readInteger(), let second: UInt8 = rest.readInteger() else { return nil }
        var length = UInt64(second)
        if second == 126 {
            guard let long: UInt16 = rest.readInteger() else { return nil }
            length = UInt64(long)
        } else if second == 127 {
            guard let long: UInt64 = rest.readInteger() else { return nil }
            length = long
        }
        guard let payload = rest.readSlice(length: Int(clamping: min(length, UInt64(Int32.max)))) else { return nil }
        self.inbound = rest
        return (first, payload)
    }
}

extension ByteBuffer {
    /// Takes a head with its empty line; `nil`, with nothing taken, until there is one. Searches the bytes, since a
    /// head need not be text.
    mutating func readHead() -> String? {
        let bytes = self.readableBytesView
        let end: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A]
        guard let start = bytes.indices.first(where: { bytes[$0] == end[0] && bytes[$0...].starts(with: end) }) else {
            return nil
        }
        return self.readSlice(length: start + end.count - self.readerIndex)?.text
    }

    /// All of it as text: UTF-8 where it is, otherwise ISO-8859-1, in which every byte is a character.
    var text: String { self.withUnsafeReadableBytes { FieldText.readable($0) } }
}

extension StringProtocol {
    /// Cut at each occurrence, with empty parts; by bytes, since CR LF is one character.
    func cut(at separator: StaticString) -> [String] {
        let separator = Array("\(separator)".utf8)
        var parts: [[UInt8]] = [[]]
        for byte in self.utf8 {
            parts[parts.count - 1].append(byte)
            if parts[parts.count - 1].suffix(separator.count).elementsEqual(separator) {
                parts[parts.count - 1].removeLast(separator.count)
                parts.append([])
            }
        }
        return parts.map { String(decoding: $0, as: UTF8.self) }
    }
}
