// The two kinds of load: echoes over open connections, and handshakes from accept to close.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// `depth` messages on each connection, then their echoes, again and again.
struct EchoLoad: Rounds {
    private let connections: [Connection]
    private let sent: [UInt8]
    private let expected: [UInt8]
    private let operations: Int

    init(_ options: Options) {
        var random = UInt32(2_463_534_242)
        let payload = (0..<options.size).map { _ in
            random ^= random << 13
            random ^= random >> 17
            random ^= random << 5
            return UInt8(truncatingIfNeeded: random)
        }
        let message = options.isRaw ? Frame.client(payload) : Frame.server(payload)
        self.sent = Array(repeatElement(Frame.client(payload), count: options.depth).joined())
        self.expected = Array(repeatElement(message, count: options.depth).joined())
        self.operations = options.depth * options.connections
        self.connections = (0..<options.connections).map { _ in
            let connection = Connection(port: options.port)
            if !options.isRaw {
                connection.send(Opening.request(extended: false))
                connection.expectOpening()
            }
            return connection
        }
    }

    func round() -> Int {
        for connection in connections { connection.send(sent) }
        for connection in connections { connection.expect(expected) }
        return operations
    }
}

/// Connects, completes the handshakes and closes, on all connections in step.
struct HandshakeLoad: Rounds {
    private let options: Options
    private let request: [UInt8]

    init(_ options: Options) {
        self.options = options
        self.request = Opening.request(extended: options.isExtended)
    }

    func round() -> Int {
        let connections = (0..<options.connections).map { _ in Connection(port: options.port) }
        for connection in connections { connection.send(request) }
        for connection in connections { connection.expectOpening() }
        if options.isExtended {
            for connection in connections { connection.send(Opening.extendedRequest) }
            for connection in connections { connection.expectExtendedAnswer() }
        }
        for connection in connections { connection.close() }
        return options.connections
    }
}

enum Frame {
    private static let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

    static func server(_ payload: [UInt8]) -> [UInt8] { header(payload.count, masked: 0) + payload }

    static func client(_ payload: [UInt8]) -> [UInt8] {
        header(payload.count, masked: 0x80) + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    private static func header(_ length: Int, masked: UInt8) -> [UInt8] {
        switch length {
        case ...125: [0x82, masked | UInt8(length)]
        case ...0xFFFF: [0x82, masked | 126] + bytes(length, 2)
        default: [0x82, masked | 127] + bytes(length, 8)
        }
    }

    private static func bytes(_ value: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
    }
}

enum Opening {
    static func request(extended: Bool) -> [UInt8] {
        let subprotocol = extended ? "Sec-WebSocket-Protocol: x-kaazing-handshake\r\n" : ""
        return Array((head + subprotocol + "\r\n").utf8)
    }

    static let extendedRequest = Frame.client(Array((head + "\r\n").utf8))

    /// RFC 6455 section 1.3.
    static let accept = Array("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n".utf8)

    private static let head = """
        GET / HTTP/1.1\r
        Host: 127.0.0.1:8080\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Version: 13\r
        Origin: http://127.0.0.1:8080\r
        User-Agent: bench-load\r

        """
}
