import KHPProtocol
import NIOCore
import TestSupport
import Testing

@testable import KHPServer

@Suite("Guessing from one address (threat G13)")
struct WrongAnswersTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    @Test("so many in a window, then none until it has passed")
    func window() {
        var counts = WrongAnswers<Int>(limit: 3, within: .seconds(60), capacity: 10)
        for second in 0..<3 {
            #expect(counts.wait(1, now: self.start + .seconds(Int64(second))) == nil)
            counts.add(1, now: self.start + .seconds(Int64(second)))
        }
        #expect(counts.wait(1, now: self.start + .seconds(10)) == .seconds(50))
        #expect(counts.wait(2, now: self.start + .seconds(10)) == nil, "others are not concerned")
        #expect(counts.wait(1, now: self.start + .seconds(60)) == nil)
        counts.add(1, now: self.start + .seconds(60))
        #expect(counts.wait(1, now: self.start + .seconds(61)) == nil, "a fresh window begins at 1")
    }

    @Test("the memory is bounded: who has been there longest is forgotten")
    func bounded() {
        var counts = WrongAnswers<Int>(limit: 1, within: .seconds(60), capacity: 100)
        for address in 0..<10_000 {
            counts.add(address, now: self.start + .milliseconds(Int64(address)))
            #expect(counts.count <= 100)
        }
        let now = self.start + .milliseconds(9_999)
        #expect(counts.wait(9_899, now: now) == nil)
        #expect(counts.wait(9_900, now: now) != nil)
        counts.add(0, now: now + .seconds(60))
        #expect(counts.count == 1, "windows that have passed take no room")
    }

    @Test("over connections: 403 with Retry-After, for right credentials too, until the window has passed")
    func overConnections() async throws {
        try await withServer {
            $0.limits.wrongAnswersPerAddress = 2
            $0.timeouts.wrongAnswerWindow = .seconds(1)
        } endpoints: {
            Endpoint(
                "/desk",
                options: .init(authentication: .init(realm: "desk", .basic { $1 == "welcome" ? Principal($0) : nil }))
            ) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
            echo()
        } body: { port in
            func status(_ password: String?, path: String = "/desk") async throws -> String {
                let client = try await RawClient.connect(port)
                let credentials = password.map { "Basic \(Base64.encode(Array("joe:\($0)".utf8)))" }
                try await client.send(
                    openingRequest(path, extra: credentials.map { "Authorization: \($0)\r\n" } ?? "")
                )
                let answer = String(
                    buffer: try await client.receive { $0.readableBytesView.contains(sequence: [13, 10, 13, 10]) }
                )
                _ = try? await client.close()
                return answer
            }
            #expect(try await status(nil).hasPrefix("HTTP/1.1 401 "), "asking is no guess")
            #expect(try await status("one").hasPrefix("HTTP/1.1 401 "))
            #expect(try await status("welcome").hasPrefix("HTTP/1.1 101 "))
            #expect(try await status("two").hasPrefix("HTTP/1.1 401 "))
            for password in ["three", "welcome", nil] {
                let answer = try await status(password)
                #expect(answer.hasPrefix("HTTP/1.1 403 "))
                #expect(answer.contains("\r\nRetry-After: 1\r\n"))
                #expect(answer.contains("\r\nConnection: close\r\n"))
            }
            #expect(
                try await status(nil, path: "/echo").hasPrefix("HTTP/1.1 101 "),
                "where nobody asks, nobody guesses"
            )
            // The window is all there is to wait for.
            while try await status("welcome").hasPrefix("HTTP/1.1 403 ") {}
            #expect(try await status("welcome").hasPrefix("HTTP/1.1 101 "))
        }
    }

    @Test("inside, it is 403 and close 1000")
    func inside() async throws {
        try await withServer {
            $0.limits.wrongAnswersPerAddress = 1
        } endpoints: {
            Endpoint("/desk", options: .init(authentication: .init(realm: "desk", .basic { _, _ in nil }))) {
                (_: WebSocket) in
            }
        } body: { port in
            let client = try await ExtendedRawClient.open(port, "/desk")
            #expect(try await client.request(authorization: "Basic am9lOmE=").status == 401)
            let refused = try await client.request(authorization: "Basic am9lOmI=")
            #expect(refused.status == 403)
            #expect(refused.fields.first("Retry-After") != nil)
            #expect(try await client.closeCode() == 1000)
        }
    }
}
