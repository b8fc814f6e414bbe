// KHP-E3, D33: a shell that answers in the very moment it is asked, in every dialect and with every answer: what lies
// behind the request by then came before the answer.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite("Messages behind the extended request, where the answer follows at once (KHP-E3, D33)")
struct EarlyMessageConnectionTests {
    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    struct Row: Sendable, CustomTestStringConvertible {
        var dialect: Dialect
        /// Behind the request.
        var behind: [UInt8]
        var isEarly: Bool
        var testDescription: String { "\(self.dialect) \(self.behind)" }
    }

    private static let mask: [UInt8] = [0, 0, 0, 0]
    static let rows: [Row] = [
        Row(dialect: .rfc6455, behind: [], isEarly: false),
        Row(dialect: .rfc6455, behind: [0x81, 0x81] + mask + [0x61], isEarly: true),
        Row(dialect: .rfc6455, behind: [0x01, 0x81] + mask + [0x61], isEarly: true),
        Row(dialect: .rfc6455, behind: [0x82], isEarly: true),
        Row(dialect: .rfc6455, behind: [0x82, 0x85] + mask + [0x61], isEarly: true),
        Row(dialect: .rfc6455, behind: [0x89, 0x80] + mask, isEarly: false),
        Row(dialect: .rfc6455, behind: [0x89, 0x80] + mask + [0x8A], isEarly: false),
        Row(dialect: .rfc6455, behind: [0x89, 0x80] + mask + [0x81, 0x80] + mask, isEarly: true),
        Row(dialect: .hixie76, behind: [], isEarly: false),
        Row(dialect: .hixie76, behind: [0x00, 0x61, 0xFF], isEarly: true),
        Row(dialect: .hixie76, behind: [0x00, 0x61], isEarly: true),
        Row(dialect: .hixie76, behind: [0x80, 0x01, 0x61], isEarly: true),
        Row(dialect: .hixie75, behind: [0x00], isEarly: true),
        Row(dialect: .whatwg2010, behind: [], isEarly: false),
        Row(dialect: .whatwg2010, behind: [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x61], isEarly: true),
        Row(dialect: .whatwg2010, behind: [0xFF, 0, 0], isEarly: true),
    ]

    private static func opening(_ dialect: Dialect) -> ByteBuffer {
        let name = dialect == .hixie75 ? "WebSocket-Protocol" : "Sec-WebSocket-Protocol"
        switch dialect {
        case .rfc6455:
            return ByteBuffer(string: Sample.openingLines())
        default:
            var lines = [
                "GET /trades HTTP/1.1", "Upgrade: WebSocket", "Connection: Upgrade", "Host: example.com",
                "Origin: http://example.com", "\(name): x-kaazing-handshake",
            ]
            if dialect != .hixie75 {
                lines += ["Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5", "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00"]
            }
            return ByteBuffer(
                string: lines.map { $0 + "\r\n" }.joined() + "\r\n" + (dialect == .hixie75 ? "" : "^n:ds[4U")
            )
        }
    }

    private static func request(_ dialect: Dialect) -> ByteBuffer {
        let text = "GET /trades HTTP/1.1\r\n\r\n"
        let count = UInt8(text.utf8.count)
        switch dialect.name {
        case "rfc6455": return ByteBuffer(bytes: [0x82, 0x80 | count] + mask + Array(text.utf8))
        case "whatwg-2010": return ByteBuffer(bytes: [0xFF, 0, 0, 0, 0, 0, 0, 0, count] + Array(text.utf8))
        default: return ByteBuffer(bytes: [0x00] + Array(text.utf8) + [0xFF])
        }
    }

    /// Plays a row; returns all that the server wrote behind its 101, and whether the socket opened.
    private static func play(_ row: Row, answer: HandshakeResponse, cut: Int?, isObserved: Bool) -> (
        text: String, isOpen: Bool
    ) {
        var settings = ConnectionSettings()
        settings.dialects = [row.dialect]
        settings.observation = isObserved ? .everything : .nothing
        var connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: now)
        connection.transportUp(now: now)
        connection.start(now: now)
        var text = ""
        var isOpen = false
        func drive() {
            while let action = connection.next(now: now) {
                switch action {
                case .server(.decideOpening):
                    var plan = EndpointPlan.Values()
                    plan.dialects = [row.dialect]
                    plan.extended = true
                    connection.acceptOpening(EndpointPlan(plan), now: now)
                case .server(.decideExtended):
                    connection.answerExtended(answer, principal: nil, now: now)
                case .opened:
                    isOpen = true
                case .message, .chunk:
                    text += "<delivered>"
                default:
                    break
                }
            }
            while let bytes = connection.output.next() {
                text += String(decoding: bytes.readableBytesView.filter { $0 < 0x80 }, as: UTF8.self)
            }
        }
        connection.receive(opening(row.dialect), now: now)
        drive()
        text = ""
        var bytes = request(row.dialect)
        bytes.writeBytes(row.behind)
        let length = bytes.readableBytes
        if let cut, let first = bytes.readSlice(length: min(cut, length)) {
            connection.receive(first, now: now)
            drive()
        }
        if bytes.readableBytes > 0 {
            connection.receive(bytes, now: now)
            drive()
        }
        return (text, isOpen)
    }

    @Test("a completing answer", arguments: Self.rows, [101, 201, 204, 205])
    func completing(_ row: Row, status: Int) {
        for isObserved in [false, true] {
            // Whatever the cut, as long as what is behind comes with the last byte of the request.
            for cut in [nil, 1, 5, 20, Self.request(row.dialect).readableBytes - 1] {
                let (text, isOpen) = Self.play(
                    row,
                    answer: HandshakeResponse(status: status),
                    cut: cut,
                    isObserved: isObserved
                )
                #expect(isOpen != row.isEarly, "cut at \(cut as Any)")
                #expect(text.contains(row.isEarly ? "HTTP/1.1 400 " : "HTTP/1.1 \(status) "), "\(text)")
                #expect(text.ranges(of: "HTTP/1.1 ").count == 1)
                #expect(!text.contains("<delivered>"))
            }
        }
    }

    @Test("a challenge, a refusal and a 202", arguments: Self.rows)
    func others(_ row: Row) {
        let challenge = HandshakeResponse(status: 401, headers: [.wwwAuthenticate: "Basic realm=x"])
        for answer in [challenge, HandshakeResponse(status: 403), HandshakeResponse(status: 202)] {
            let (text, isOpen) = Self.play(row, answer: answer, cut: nil, isObserved: false)
            #expect(!isOpen)
            #expect(text.contains(row.isEarly ? "HTTP/1.1 400 " : "HTTP/1.1 \(answer.status) "), "\(text)")
        }
    }

    /// The code of a server's failure where the extended request is this message, or none for a minute.
    private static func failure(_ message: String?) -> WebSocketError.Code? {
        var settings = ConnectionSettings()
        settings.dialects = [.hixie76]
        var connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: now)
        connection.transportUp(now: now)
        connection.start(now: now)
        var code: WebSocketError.Code?
        func drive(_ time: NIODeadline) {
            while let action = connection.next(now: time) {
                switch action {
                case .server(.decideOpening):
                    var plan = EndpointPlan.Values()
                    plan.dialects = [.hixie76]
                    plan.extended = true
                    connection.acceptOpening(EndpointPlan(plan), now: time)
                case .failed(let error):
                    code = error.code
                default:
                    break
                }
            }
        }
        connection.receive(self.opening(.hixie76), now: now)
        drive(now)
        if let message {
            connection.receive(ByteBuffer(bytes: [0x00] + Array(message.utf8) + [0xFF]), now: now)
            drive(now)
        } else {
            connection.timeReached(now: now + .seconds(60))
            drive(now + .seconds(60))
        }
        return code
    }

    @Test("the error of a refusal tells a limit from lateness (D6)")
    func codes() {
        let fields = String(repeating: "A: b\r\n", count: 200)
        let line = String(repeating: "a", count: 20_000)
        #expect(Self.failure(nil) == .timeout)
        #expect(Self.failure("GET /trades HTTP/1.1\r\n\(fields)\r\n") == .limitExceeded)
        #expect(Self.failure("GET /trades HTTP/1.1\r\nA: \(line)\r\n\r\n") == .limitExceeded)
        #expect(Self.failure("GET /trades HTTP/1.0\r\n\r\n") == .extendedInvalid)
    }

    @Test("content that is no UTF-8 becomes 500 where messages are UTF-8 alone (W10-8)")
    func contentOfAnyBytes() {
        for dialect in [Dialect.rfc6455, .hixie75, .hixie76, .whatwg2010] {
            let row = Row(dialect: dialect, behind: [], isEarly: false)
            let answer = HandshakeResponse(status: 403, body: ByteBuffer(bytes: [0x61, 0xFF, 0x62]))
            let (text, isOpen) = Self.play(row, answer: answer, cut: nil, isObserved: false)
            #expect(!isOpen)
            #expect(text.contains(dialect == .whatwg2010 ? "HTTP/1.1 500 " : "HTTP/1.1 403 "), "\(text)")
        }
    }
}
