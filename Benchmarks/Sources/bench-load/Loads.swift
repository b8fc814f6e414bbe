// The two kinds of load: echoes over open connections, and handshakes from accept to close.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// `depth` messages on each connection, then their echoes, again and again.
struct EchoLoad: Rounds {
    private let connections: [Connection]
    private let sent: [UInt8]
    private let expected: [UInt8]
    private let operations: Int
    private let isStream: Bool

    init(_ options: Options) {
        self.isStream = options.isStream
        var random = UInt32(2_463_534_242)
        let payload = (0..<options.size).map { _ in
            random ^= random << 13
            random ^= random >> 17
            random ^= random << 5
            return UInt8(truncatingIfNeeded: random)
        }
        let message =
            options.isStream ? payload : options.isRaw ? Frame.client(payload) : Frame.server(payload)
        self.sent = Array(repeatElement(Frame.client(payload), count: options.depth).joined())
        self.expected = Array(repeatElement(message, count: options.depth).joined())
        self.operations = options.depth * options.connections
        self.connections = (0..<options.connections).map { _ in
            let connection = Connection(port: options.port)
            if !options.isRaw {
                connection.send(Opening.request(options))
                connection.expectOpening()
            }
            return connection
        }
    }

    func round() -> Int {
        for connection in self.connections { connection.send(self.sent) }
        for connection in self.connections {
            if self.isStream { connection.expectStream(self.expected) } else { connection.expect(self.expected) }
        }
        return self.operations
    }
}

/// One message to all connections, again and again; the operations are the messages that have arrived.
struct PublishLoad: Rounds {
    private let members: [Connection]
    private let publisher: Connection
    private let message: [UInt8]
    private let text: [UInt8]
    private let isCompressed: Bool

    init(_ options: Options) {
        self.text = Quotes.messages(count: 1, size: options.size)[0]
        self.message = Frame.client(self.text, first: 0x81)
        self.isCompressed = options.isCompressed
        var options = options
        // No message depends on what came before.
        options.keepsContext = false
        self.members = (0..<options.connections).map { _ in
            let connection = Connection(port: options.port)
            connection.send(Opening.request(options, path: "/group"))
            connection.expectOpening()
            return connection
        }
        options.isCompressed = false
        self.publisher = Connection(port: options.port)
        self.publisher.send(Opening.request(options, path: "/publish"))
        self.publisher.expectOpening()
    }

    func round() -> Int {
        self.publisher.send(self.message)
        if self.isCompressed {
            for member in self.members { _ = member.receiveFrame(compressed: true) }
        } else {
            let expected = Frame.server(self.text, first: 0x81)
            for member in self.members { member.expect(expected) }
        }
        return self.members.count
    }
}

/// Connects, completes the handshakes and closes, on all connections in step. Raw: what is sent comes back.
struct HandshakeLoad: Rounds {
    private let options: Options
    private let request: [UInt8]

    init(_ options: Options) {
        self.options = options
        self.request = Opening.request(options)
    }

    func round() -> Int {
        let connections = (0..<self.options.connections).map { _ in Connection(port: self.options.port) }
        for connection in connections { connection.send(self.request) }
        if self.options.isRaw {
            for connection in connections { connection.expect(self.request) }
            for connection in connections where self.options.isExtended { connection.send(Opening.extendedRequest) }
            for connection in connections where self.options.isExtended { connection.expect(Opening.extendedRequest) }
            for connection in connections { connection.close() }
            return self.options.connections
        }
        for connection in connections { connection.expectOpening() }
        if self.options.isExtended {
            for connection in connections { connection.send(Opening.extendedRequest) }
            for connection in connections { connection.expectExtendedAnswer() }
        }
        for connection in connections { connection.close() }
        return self.options.connections
    }
}

enum Frame {
    private static let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

    static func server(_ payload: [UInt8], first: UInt8 = 0x82) -> [UInt8] {
        header(first, payload.count, masked: 0) + payload
    }

    static func client(_ payload: [UInt8], first: UInt8 = 0x82) -> [UInt8] {
        header(first, payload.count, masked: 0x80) + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    /// Text, with RSV1.
    static func compressed(_ payload: [UInt8]) -> [UInt8] { client(payload, first: 0xC1) }

    /// As `bench-server tcp-deflate` has it: 32 bits of length, the highest of which says that no context is kept.
    static func raw(_ payload: [UInt8], keepsContext: Bool) -> [UInt8] {
        bytes(payload.count | (keepsContext ? 0 : 1 << 31), 4) + payload
    }

    private static func header(_ first: UInt8, _ length: Int, masked: UInt8) -> [UInt8] {
        switch length {
        case ...125: [first, masked | UInt8(length)]
        case ...0xFFFF: [first, masked | 126] + bytes(length, 2)
        default: [first, masked | 127] + bytes(length, 8)
        }
    }

    private static func bytes(_ value: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
    }
}

enum Opening {
    static func request(_ options: Options, path: String? = nil) -> [UInt8] {
        var lines = ""
        if options.isExtended { lines += "Sec-WebSocket-Protocol: x-kaazing-handshake\r\n" }
        if options.isCompressed {
            lines += "Sec-WebSocket-Extensions: permessage-deflate"
            if !options.keepsContext { lines += "; server_no_context_takeover; client_no_context_takeover" }
            lines += "\r\n"
        }
        let path = path ?? (options.isCompressed ? "/deflate" : "/")
        return Array(("GET \(path)" + head + lines + "\r\n").utf8)
    }

    static let extendedRequest = Frame.client(Array(("GET /" + head + "\r\n").utf8))

    /// RFC 6455 section 1.3.
    static let accept = Array("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n".utf8)

    private static let head = """
         HTTP/1.1\r
        Host: 127.0.0.1:8080\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Version: 13\r
        Origin: http://127.0.0.1:8080\r
        User-Agent: bench-load\r

        """
}
