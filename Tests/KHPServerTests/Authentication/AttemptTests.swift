import KHPProtocol
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import KHPServer

@Suite("Attempts with credentials: counted when they begin, bounded in flight (threat G13)", .timeLimit(.minutes(1)))
struct AttemptTests {
    /// Closed until it is opened once.
    private final class Gate: Sendable {
        private let state = Mutex<(isOpen: Bool, waiters: [CheckedContinuation<Void, Never>])>((false, []))

        func open() {
            let waiters = self.state.withLock { state in
                state.isOpen = true
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume() }
        }

        func passed() async {
            await withCheckedContinuation { continuation in
                let isOpen = self.state.withLock { state in
                    if !state.isOpen { state.waiters.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }
    }

    private static func authorization(_ password: String) -> String {
        "Authorization: Basic \(Base64.encode(Array("joe:\(password)".utf8)))\r\n"
    }

    /// Checks passwords as slowly as hashing them would, and counts the checks.
    private final class Desk: Sendable {
        struct Counts {
            var checked = 0
            var now = 0
            var most = 0
        }

        let counts = Mutex(Counts())

        func check(_ password: String, for duration: Duration) async -> Bool {
            self.counts.withLock {
                $0.checked += 1
                $0.now += 1
                $0.most = max($0.most, $0.now)
            }
            // A hash that has begun is not stopped by the end of its connection.
            await Task.detached { try? await Task.sleep(for: duration) }.value
            self.counts.withLock { $0.now -= 1 }
            return password == "welcome"
        }
    }

    @Test("many wrong ones at once: few in flight, no more than the limit looked at, and a right one is not starved")
    func flood() async throws {
        let desk = Desk()
        let arrived = Mutex(0)
        let (wrongOnes, rightOne) = (Gate(), Gate())
        try await withServer {
            $0.limits.wrongAnswersPerAddress = 100
            $0.observe = { event, _ in
                guard case .openingRequest = event else { return }
                let count = arrived.withLock {
                    $0 += 1
                    return $0
                }
                if count == 150 { wrongOnes.open() }
                if count == 151 { rightOne.open() }
            }
        } endpoints: {
            Endpoint(
                "/desk",
                options: .init(
                    authentication: .init(
                        realm: "desk",
                        .basic {
                            // The first few are under way until the right one has come.
                            await rightOne.passed()
                            return await desk.check($1, for: .milliseconds(10)) ? Principal($0) : nil
                        }
                    )
                )
            ) { (_: WebSocket) in }
        } body: { port in
            let wrong = try (0..<150).map { _ in try BlockingSocket.connect(port) }
            for (number, client) in wrong.enumerated() {
                try client.send(openingRequest("/desk", extra: Self.authorization("wrong-\(number)")))
            }
            await wrongOnes.passed()
            let right = try await RawClient.connect(port)
            let began = ContinuousClock.now
            try await right.send(openingRequest("/desk", extra: Self.authorization("welcome")))
            let answer = try await right.receive { $0.readableBytesView.contains(sequence: [13, 10, 13, 10]) }
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
            #expect(ContinuousClock.now - began < .seconds(2 * Sanitizer.patience))
            let heads = try await offThread { try wrong.map { try $0.receiveHead() } }
            #expect(heads.count { $0.hasPrefix("HTTP/1.1 401 ") } == 100)
            #expect(heads.count { $0.hasPrefix("HTTP/1.1 403 ") } == 50)
            let counts = desk.counts.withLock { $0 }
            #expect(counts.checked == 101, "the limit, and the right one")
            #expect(counts.most <= WebSocketServer.Limits().credentialChecksPerAddress)
        }
    }

    @Test("right ones in great number are no guesses: they wait for each other, and all come in")
    func office() async throws {
        let desk = Desk()
        try await withServer {
            $0.limits.wrongAnswersPerAddress = 3
        } endpoints: {
            Endpoint(
                "/desk",
                options: .init(
                    authentication: .init(
                        realm: "desk",
                        .basic { await desk.check($1, for: .milliseconds(5)) ? Principal($0) : nil }
                    )
                )
            ) {
                (_: WebSocket) in
            }
        } body: { port in
            let clients = try (0..<40).map { _ in try BlockingSocket.connect(port) }
            for client in clients {
                try client.send(openingRequest("/desk", extra: Self.authorization("welcome")))
            }
            let heads = try await offThread { try clients.map { try $0.receiveHead() } }
            #expect(heads.allSatisfy { $0.hasPrefix("HTTP/1.1 101 ") })
        }
    }

    @Test("an attempt whose stream has ended before its turn is not looked at")
    func givenUp() async throws {
        let desk = Desk()
        let (release, open) = AsyncStream.makeStream(of: Void.self)
        try await withServer {
            $0.limits.credentialChecksPerAddress = 1
        } endpoints: {
            Endpoint(
                "/desk",
                options: .init(
                    authentication: .init(
                        realm: "desk",
                        .basic { user, password in
                            desk.counts.withLock { $0.checked += 1 }
                            if password == "first" { for await _ in release { break } }
                            return password == "welcome" ? Principal(user) : nil
                        }
                    )
                )
            ) { (_: WebSocket) in }
        } body: { port in
            let first = try BlockingSocket.connect(port)
            try first.send(openingRequest("/desk", extra: Self.authorization("first")))
            while desk.counts.withLock({ $0.checked }) == 0 { await Task.yield() }
            let gone = try (0..<20).map { _ in try BlockingSocket.connect(port) }
            for client in gone {
                try client.send(openingRequest("/desk", extra: Self.authorization("wrong")))
                client.finish()
            }
            // They are answered, or dropped, while the first is still looked at.
            _ = try await offThread { gone.map { $0.receiveAll() } }
            open.finish()
            #expect(try await offThread { try first.receiveHead() }.hasPrefix("HTTP/1.1 401 "))
            let last = try BlockingSocket.connect(port)
            try last.send(openingRequest("/desk", extra: Self.authorization("welcome")))
            #expect(try await offThread { try last.receiveHead() }.hasPrefix("HTTP/1.1 101 "))
            #expect(desk.counts.withLock { $0.checked } == 2)
        }
    }
}
