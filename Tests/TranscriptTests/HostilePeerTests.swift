// 10,000 hostile byte strings at each stage of a connection, in either role and in memory. ConnectionFuzzTests goes
// through the stages of all transcripts, a few strings each; this goes through few stages, many strings each. Over
// sockets the same is done to the client in HostileServerTests, and to `khp serve` by the interop tests.

import KHPProtocol
import KHPTesting
import NIOCore
import TestSupport
import Testing

@Suite("Hostile peers, in memory")
struct HostilePeerTests {
    typealias Generator = ConnectionFuzzTests.Generator

    static let count = 10_000

    /// Where in a connection the strings come.
    enum Place: String, CaseIterable, CustomTestStringConvertible {
        case opening = "instead of the opening"
        case plain = "as frames of a plain WebSocket"
        case between = "right behind the opening, before the extended handshake"
        case extended = "as the extended handshake"
        case open = "after completion"

        var testDescription: String { self.rawValue }

        var transcript: String {
            switch self {
            case .opening, .between, .open: "echo-and-close.khp"
            case .plain: "plain.khp"
            case .extended: "challenge-then-complete.khp"
            }
        }

        var read: Int {
            switch self {
            case .opening, .plain, .between: 0
            case .extended: 1
            case .open: 2
            }
        }

        /// `true` when the strings stand behind a valid opening.
        var isBehindOpening: Bool { self == .plain || self == .between }
    }

    /// The answers of servers inside the WebSocket.
    private static let responses = [
        "101 Fine\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        "201 Created\r\nX-Which: second\r\n", "202 Accepted\r\n", "204 No Content\r\n",
        "300 Multiple Choices\r\nLink: </target>; rel=\"alternate\"\r\nContent-Length: 2\r\n",
        "302 Found\r\nLocation: /target?a=b#c\r\n",
        "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"a \\\"b\\\"\", nonce=\"c\", qop=\"auth, auth-int\", Basic realm=x\r\n",
        "426 Upgrade Required\r\nUpgrade: TLS/1.2, HTTP/1.1\r\n",
    ]

    /// The request of clients inside the WebSocket.
    private static let request = """
        POST /trades?a=b HTTP/1.1\r\nSec-WebSocket-Protocol: amqp, chat\r\nExpect: 100-continue\r\n\
        Sec-WebSocket-Extensions: x-one; a="b"; d=1\r\nAuthorization: Basic am9lOndlbGNvbWU=\r\nContent-Length: 5\r\n\r\nhello
        """

    private static func frame(_ role: Role, _ opcode: UInt8, _ payload: [UInt8]) -> [UInt8] {
        guard role == .client else { return maskedFrame(opcode, payload) }
        var buffer = ByteBuffer()
        FrameWriter(role: .server).write(
            opcode == 1 ? .text : .binary,
            payload: ByteBuffer(bytes: payload),
            into: &buffer
        )
        return Array(buffer.readableBytesView)
    }

    private static func noise(_ generator: inout Generator) -> [UInt8] {
        let longest = [8, 64, 200, 200, 4096].randomElement(using: &generator) ?? 8
        return generator.bytes(Int.random(in: 1...longest, using: &generator))
    }

    /// The bytes sent at this place: noise, or the right ones with a fault in them.
    private static func string(
        _ place: Place,
        _ role: Role,
        scripted: [UInt8],
        _ generator: inout Generator
    ) -> [UInt8] {
        if Int.random(in: 0..<5, using: &generator) == 0 { return self.noise(&generator) }
        var right: [UInt8]
        switch place {
        case .opening:
            right = scripted
        case .plain, .open:
            right = (0..<4).flatMap { _ in ConnectionFuzzTests.frame(role, &generator) }
        case .between, .extended:
            let text =
                role == .client
                ? "HTTP/1.1 \(self.responses.randomElement(using: &generator) ?? "")\r\n" : self.request
            var payload = Array(text.utf8)
            let isSpoiledInside = Bool.random(using: &generator)
            if isSpoiledInside { ConnectionFuzzTests.spoil(&payload, &generator) }
            right = self.frame(role, Bool.random(using: &generator) ? 1 : 2, payload)
            if isSpoiledInside { return right }
        }
        ConnectionFuzzTests.spoil(&right, &generator)
        return right
    }

    @Test(
        "each ends as documented, in time, without keeping much",
        arguments: ConnectionFuzzTests.documented.keys.sorted { $0.rawValue < $1.rawValue },
        Place.allCases
    )
    func strings(_ role: Role, _ place: Place) throws {
        let transcript = try #require(Performance.transcripts[place.transcript])
        let start = try #require(try ImprovisedPlay(transcript, role: role, read: place.read))
        var stage = ConnectionFuzzTests.Stage(
            name: place.transcript,
            role: role,
            dialect: transcript.dialect,
            read: place.read,
            play: start
        )
        _ = stage.play.takeOutput()
        let scripted = start.scripted.first.map { Array($0.readableBytesView) } ?? []
        var generator = Generator(state: UInt64(place.read) << 8 | (role == .client ? 1 : 2))
        var (opened, failed) = (0, 0)
        for round in 0..<Self.count {
            var play = stage.play.copy()
            var bytes = Self.string(place, role, scripted: scripted, &generator)
            func fail(_ message: String) {
                let told = ByteBuffer(bytes: bytes.prefix(400)).hexDump(format: .compact)
                Issue.record("round \(round): \(message) after \(told)")
            }
            if place.isBehindOpening { bytes = scripted + bytes }
            var rest = bytes[...]
            while !rest.isEmpty {
                let count =
                    Bool.random(using: &generator) ? rest.count : Int.random(in: 1...rest.count, using: &generator)
                play.feed(ByteBuffer(bytes: rest.prefix(count)))
                rest = rest.dropFirst(count)
                if play.heldBytes > 65_536 { fail("\(play.heldBytes) bytes are held") }
            }
            if play.isOpen { opened += 1 }
            if Bool.random(using: &generator) { play.endInput() }
            for _ in 0..<6 where !play.hasEnded { play.advance(by: .seconds(60)) }
            if !play.hasEnded { fail("it is still there after minutes") }
            if let problem = ConnectionFuzzTests.problem(play.takeOutput(), of: stage) { fail(problem) }
            if play.failure != nil || !play.isOpen { failed += 1 }
            guard let error = play.failure else { continue }
            if ConnectionFuzzTests.documented[role]?.contains(error.code) != true { fail("\(error)") }
        }
        // Both happen where they can, or the strings are not what they are meant to be.
        #expect(failed > Self.count / 4)
        // A server opens nothing before its challenge is answered, or before the extended handshake.
        #expect(role == .server && (place == .opening || place == .extended) || opened > 0)
    }
}
