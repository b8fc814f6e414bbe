// The words of an attacker: pieces to be slipped in between an honest peer's bytes, and scripts for a peer that is none.

import KHPProtocol

enum Attacks {
    private static let pieces: [[UInt8]] = [
        [0xFF, 0xFF, 0x0D, 0x0A, 0x0D, 0x0A],
        // A frame with reserved bits, of an opcode that nobody knows, a close frame of one byte, one with a code that none
        // may send, a control frame in pieces, one that is too long, a continuation of nothing, a frame longer than memory.
        [0xF1, 0x01, 0x41], [0x83, 0x00], [0x88, 0x01, 0x03], [0x88, 0x02, 0x03, 0xED], [0x09, 0x00],
        [0x89, 0x7E, 0x00, 0x7E],
        [0x80, 0x01, 0x41], [0x82, 0x7F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        // Text that is none, in one frame and cut in a character.
        [0x81, 0x02, 0xC3, 0x28], [0x01, 0x01, 0xC3, 0x80, 0x01, 0x28],
        // Frames of the old dialects: lengths without an end, a closing frame, a text frame with a NUL.
        [0x80, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0xFF, 0x00], [0x00, 0x41, 0x00, 0xFF],
        Array("\r\n\r\n".utf8), Array("HTTP/1.1 200 OK\r\n\r\n".utf8), Array("GET / HTTP/1.1\r\n\r\n".utf8),
        Array(repeating: 0x89, count: 64), Array(repeating: 0x20, count: 9_000),
    ]

    static func bytes(_ number: Int, against role: Role) -> [UInt8] { self.pieces[number / 3 % self.pieces.count] }

    // MARK: Scripts

    /// A frame as the attacked side has to read it.
    private static func frame(_ first: UInt8, _ payload: [UInt8], against role: Role) -> [UInt8] {
        let mask: UInt8 = role == .server ? 0x80 : 0
        let key: [UInt8] = role == .server ? [0, 0, 0, 0] : []
        let head: [UInt8] =
            payload.count < 126
            ? [first, mask | UInt8(payload.count)]
            : [first, mask | 126, UInt8(payload.count >> 8 & 0xFF), UInt8(payload.count & 0xFF)]
        return head + key + payload
    }

    private static func messages(_ texts: [String], against role: Role) -> [[UInt8]] {
        texts.map { self.frame(0x82, Array($0.utf8), against: role) }
    }

    /// Bytes that fit the stage of the attacked side, so that they come further than garbage.
    static func script(_ number: Int, against role: Role, in stage: StageName) -> [UInt8] {
        if let status = self.status(number, against: role, in: stage) {
            let answer = "HTTP/1.1 \(status) Any\r\nContent-Length: 0\r\n\r\n"
            return stage == .opening ? Array(answer.utf8) : self.messages([answer], against: role).flatMap { $0 }
        }
        let scripts: [[UInt8]] =
            switch stage {
            case .opening, .challenged: self.responses.map { Array($0.utf8) }
            case .reading, .deciding, .decidingPlain, .awaitingKey: self.requests.map { Array($0.utf8) }
            case .extended, .challengedInside, .decidingInside:
                self.messages(role == .client ? self.answersInside : self.requestsInside, against: role)
            default:
                self.frames.map { frames in frames.flatMap { self.frame($0.first, $0.payload, against: role) } }
            }
        return scripts[number % scripts.count]
    }

    /// The status of a script that is nothing but an answer with it; `nil` for the others.
    static func status(_ number: Int, against role: Role, in stage: StageName) -> Int? {
        guard role == .client, [.opening, .extended, .challengedInside].contains(stage), number % 32 > 15 else {
            return nil
        }
        return StatusCodes.code(number / 32)
    }

    /// True for frames that are too many control frames, or control messages of x-kaazing-ping-pong, for this side.
    static func isFlood(_ number: Int, against side: Side) -> Bool {
        guard side.connection.stageName == .open, side.connection.bufferedBytes == 0,
            side.connection.link.codec.unfinishedMessage == nil
        else { return false }
        switch number % self.frames.count {
        case self.pingFlood: return true
        case self.messageFlood: return side.extensions.contains(.pingPong)
        default: return false
        }
    }

    private static let pingFlood = 6
    static let messageFlood = 10
    private static let upgrade =
        "HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    private static let challenge = "WWW-Authenticate: Basic realm=\"sim\"\r\n"

    /// The status of a script against a client's opening that refuses and does not end.
    static func refusal(_ number: Int) -> Int? {
        guard self.status(number, against: .client, in: .opening) == nil else { return nil }
        let place = number % self.responses.count
        return place < self.refusals.count ? self.refusals[place] : nil
    }

    private static let refusals = [401, 401, 302, 503, 401]

    private static let responses = [
        // Answers whose content does not end: it is acted on all the same (D28).
        "HTTP/1.1 401 No\r\n\(challenge)Content-Length: 50\r\n\r\nno more than this",
        "HTTP/1.1 401 No\r\n\(challenge)Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        "HTTP/1.1 302 Go\r\nLocation: /other\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nabc", "HTTP/1.1 401 No\r\n\(challenge)\r\nuntil the end",
        "HTTP/1.1 401 No\r\n\(challenge)Content-Length: 0\r\n\r\n",
        "HTTP/1.1 401 No\r\n\(challenge)Content-Length: 0\r\n\r\nHTTP/1.1 200 Unasked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\n", "HTTP/1.1 1", "\u{15}\u{3}\u{1}",
        "\(upgrade)\r\n", "\(upgrade)Sec-WebSocket-Protocol: x-kaazing-handshake\r\n\r\n",
        "\(upgrade)Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "HTTP/1.1 300 Choose\r\n\r\n",
        "HTTP/1.1 426 Up\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 426 Up\r\nUpgrade: TLS/1.0\r\nContent-Length: 0\r\n\r\n",
    ]

    /// An ordinary request.
    static let page = "GET / HTTP/1.1\r\nHost: sim.example.com\r\n\r\n"

    private static let requests = [
        page, "GET / HTTP/1.1\r\nHost: sim", "POST",
        "GET /room?.kl=Y HTTP/1.1\r\nHost: sim.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET /room HTTP/1.1\r\nHost: sim.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            + "Sec-WebSocket-Protocol: x-kaazing-handshake, amqp\r\n\r\n",
        "GET /room/;e/cookies?.kl=Y HTTP/1.1\r\nHost: sim.example.com\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "", "GET / HTTP/1.1\r\n" + String(repeating: "a: b\r\n", count: 120),
        page + "GET /next HT",
    ]

    private static let answersInside = [
        "HTTP/1.1 401 No\r\n\(challenge)Content-Length: 50\r\n\r\nno more", "HTTP/1.1 202 Wait\r\n\r\n",
        "HTTP/1.1 401 No\r\n\(challenge)\r\n", "HTTP/1.1 101 Go\r\n\r\n", "HTTP/1.1 2", "", "HTTP/1.1 100 Go\r\n\r\n",
        "\u{F0FF}N", "\u{F0FF}Rws://sim.example.com/balanced", "\u{F0FF}R",
        "HTTP/1.1 300 Choose\r\nLocation: /other\r\n\r\n",
        "HTTP/1.1 426 Up\r\nUpgrade: TLS/1.0\r\n\r\n",
        "HTTP/1.1 302 Go\r\nLocation: /other\r\nContent-Length: 9\r\n\r\n",
    ]

    private static let requestsInside = [
        "GET /room HTTP/1.1\r\n\r\n", "GET /room HT", "", "POST /room HTTP/1.1\r\nContent-Length: 5\r\n\r\nab",
        "POST /room HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    ]

    /// Frames in a row.
    private static let frames: [[(first: UInt8, payload: [UInt8])]] = [
        [(0x81, [0x41])], [(0x88, [0x03, 0xE8])], [(0x88, [])],
        [(0x81, [0x41]), (0x88, [0x03, 0xE8]), (0x81, [0x42])],
        [(0x01, [0x41])], [(0x01, [0x41]), (0x88, [0x03, 0xE8])], Array(repeating: (0x89, [0x01]), count: 300),
        [(0x02, [])] + Array(repeating: (0x00, []), count: 1_200), Array(repeating: (0x81, []), count: 500),
        [(0x8A, [0, 0, 0, 0, 0, 0, 0, 1])],
        // Pings of x-kaazing-ping-pong, an escape before its end, a request to prove who one is, and control messages of nobody's.
        Array(repeating: (0x81, [1, 1, 1, 2, 9, 0]), count: 300), [(0x81, [1, 1, 1, 2]), (0x88, [0x03, 0xE8])],
        [(0x81, [1, 1, 1, 3, 1, 0x2F, 0x61])], [(0x81, [1, 1, 1, 2, 7, 7])], [(0x81, [1, 1, 1, 3, 1])],
        Array(repeating: (0x89, Array(repeating: 7, count: 125)), count: 90) + [(0x8A, [])],
    ]
}
