// The routes `broadcast` and `chat`: who does not read stops the others for a bounded time, and loses nothing of theirs.

import CommandTestSupport
import Foundation
import KHPClient
import KHPGateway
import KHPServer
import NIOCore
import Synchronization
import Testing

@testable import KHPCommand

@Suite("Rooms")
struct RoomTests {
    /// Members that have opened and read nothing more.
    private func deaf(_ count: Int, at port: Int) async throws -> [BlockingSocket] {
        var members: [BlockingSocket] = []
        for number in 0..<count {
            // Not all hold back at the same message.
            let member = try BlockingSocket.connect(port, receiveBuffer: Int32(4096 << number))
            try member.send(openingRequest("/room"))
            let head = try await offThread { try member.receiveHead() }
            #expect(head.hasPrefix("HTTP/1.1 101 "))
            members.append(member)
        }
        return members
    }

    @Test("members that do not read stop the others for as long as one of them may, however many", arguments: [1, 4])
    func deafMembers(_ count: Int) async throws {
        let patience = Duration.milliseconds(600 * Sanitizer.patience)
        let room = Room(patience: patience)
        try await withServer {
            $0.timeouts.close = .milliseconds(100)
        } endpoints: {
            Endpoint("/room") { try await room.broadcast($0) }
        } body: { port in
            let deaf = try await self.deaf(count, at: port)
            let url = "ws://127.0.0.1:\(port)/room"
            let listener = try await WebSocketClient().connect(to: url)
            // A member has entered once something of its own came back.
            try await listener.send("here")
            var heard = listener.messages.makeAsyncIterator()
            #expect(try await heard.next() == .text("here"))
            let speaker = try await WebSocketClient().connect(to: url)
            let total = 60
            let hearing = Task {
                var longest = Duration.zero
                var stopped = Duration.zero
                var last = ContinuousClock.now
                var sizes: [Int] = []
                while sizes.count < total, let message = try await heard.next() {
                    let now = ContinuousClock.now
                    longest = max(longest, now - last)
                    if now - last > .milliseconds(150) { stopped += now - last }
                    last = now
                    sizes.append(message.byteCount)
                }
                return (longest, stopped, sizes)
            }
            let listening = Task { for try await _ in speaker.messages {} }
            for number in 0..<total { try await speaker.send(ByteBuffer(repeating: 1, count: 250_000 + number)) }
            let (longest, stopped, sizes) = try await hearing.value
            #expect(sizes == (0..<total).map { 250_000 + $0 }, "all of it, in order")
            // Red without the bound: what a member may let the others wait is what they do wait.
            #expect(longest >= patience / 2)
            #expect(stopped < patience * 2)
            listening.cancel()
            try await speaker.close()
            try await listener.close()
            for member in deaf { member.reset() }
        }
    }

    @Test("a member that was too slow is told so with 1013")
    func tooSlow() async throws {
        let room = Room(patience: .milliseconds(200))
        try await withServer {
            $0.timeouts.close = .milliseconds(300)
        } endpoints: {
            Endpoint("/room") { try await room.broadcast($0) }
        } body: { port in
            let slow = try await self.deaf(1, at: port)
            let speaker = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/room")
            let heard = Task {
                var count = 0
                for try await _ in speaker.messages {
                    count += 1
                    if count == 40 { break }
                }
            }
            for _ in 0..<40 { try await speaker.send(ByteBuffer(repeating: 1, count: 250_000)) }
            try await heard.value
            // It reads at last, up to the close frame: the code, then "too slow".
            let rest = try await offThread { slow[0].receiveAll().bytes }
            #expect(rest.suffix(10) == [0x03, 0xF5] + Array("too slow".utf8))
            try await speaker.close()
        }
    }

    @Test("a slow member that does read is served, and gets everything in order")
    func slow() async throws {
        let room = Room(patience: .seconds(2))
        try await withServer {
            Endpoint("/room") { try await room.broadcast($0) }
        } body: { port in
            let slow = try await self.deaf(1, at: port)[0]
            let speaker = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/room")
            let reading = Task {
                try await offThread {
                    var bytes: [UInt8] = []
                    while bytes.count < 40 * 100_010 {
                        bytes += try slow.receive(20_000)
                        // A slow reader is what it is about.
                        usleep(200)
                    }
                    return bytes
                }
            }
            let heard = Task {
                var count = 0
                for try await _ in speaker.messages {
                    count += 1
                    if count == 40 { break }
                }
            }
            for number in 0..<40 {
                try await speaker.send(ByteBuffer(repeating: UInt8(number), count: 100_000))
            }
            try await heard.value
            let bytes = try await reading.value
            #expect((0..<40).allSatisfy { bytes[$0 * 100_010 + 10] == UInt8($0) })
            slow.reset()
            try await speaker.close()
        }
    }

    @Test("what waits for a member is bounded, and a group without slow members makes nobody wait")
    func bounded() async throws {
        let chat = ChatRoute()
        try await withServer {
            Endpoint("/room") { try await chat.chat($0) }
        } body: { port in
            let url = "ws://127.0.0.1:\(port)/room"
            let first = try await WebSocketClient().connect(to: url)
            let second = try await WebSocketClient().connect(to: url)
            // More than any queue holds, in both directions at once; nobody is dropped.
            async let one: Void = { for number in 0..<300 { try await first.send("a\(number)") } }()
            async let two: Void = { for number in 0..<300 { try await second.send("b\(number)") } }()
            func lines(_ socket: WebSocket) async throws -> [String] {
                var lines: [String] = []
                for try await case .text(let line) in socket.messages where line.contains(": ") {
                    lines.append(line)
                    if lines.count == 600 { break }
                }
                return lines
            }
            async let atFirst = lines(first)
            let atSecond = try await lines(second)
            _ = try await (one, two)
            #expect(try await atFirst == atSecond, "the same order for everyone")
            #expect(
                atSecond.filter { $0.contains(": a") }.map { String($0.split(separator: " ").last ?? "") }
                    == (0..<300).map { "a\($0)" }
            )
            try await first.close()
            try await second.close()
        }
    }

    @Test("a name that somebody has proved is taken from whoever chose it, and nobody writes lines of others")
    func names() async throws {
        let chat = ChatRoute()
        let authentication = ServerAuthentication(realm: "desk", .basic { $1 == "welcome" ? Principal($0) : nil })
        try await withServer {
            Endpoint("/guests") { try await chat.chat($0) }
            Endpoint("/desk", options: .init(authentication: authentication)) { try await chat.chat($0) }
        } body: { port in
            let guest = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/guests")
            var lines = guest.messages.makeAsyncIterator()
            func line() async throws -> String? {
                guard case .text(let text)? = try await lines.next() else { return nil }
                return text
            }
            #expect(try await line()?.hasPrefix("* guest-1 came") == true)
            try await guest.send("/nick joe")
            #expect(try await line() == "* guest-1 is now joe")
            var configuration = WebSocketClient.Configuration()
            configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
            let joe = try await WebSocketClient(configuration: configuration)
                .connect(to: "ws://127.0.0.1:\(port)/desk")
            #expect(try await line() == "* joe is now guest-2")
            #expect(try await line()?.hasPrefix("* joe came") == true)
            try await guest.send("/nick joe")
            try await joe.send("one\r\nguest-2: two\nthree")
            #expect(try await line() == "joe: one guest-2: two three")
            try await joe.close()
            try await guest.close()
        }
    }
}
