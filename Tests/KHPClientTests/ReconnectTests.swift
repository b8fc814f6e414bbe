import HTTPTypes
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import KHPClient

@Suite("Reconnecting")
struct ReconnectTests {
    // MARK: The schedule

    @Test("pauses double up to the cap; the jitter comes after it")
    func schedule() {
        var schedule = ReconnectSchedule(ReconnectPolicy())
        var longest: [Duration?] = []
        for _ in 0..<9 { longest.append(schedule.next(retryAfter: nil, random: 1)) }
        #expect(longest == [0.5, 1, 2, 4, 8, 16, 30, 30, 30].map { .seconds($0) })
        // Half of the cap, not the cap of a half.
        #expect(schedule.next(retryAfter: nil, random: 0.5) == .seconds(15))
        #expect(schedule.next(retryAfter: nil, random: 0) == .zero)
        schedule.reset()
        #expect(schedule.failures == 0)
        #expect(schedule.next(retryAfter: nil, random: 1) == .milliseconds(500))
    }

    @Test("so many attempts, and Retry-After up to its cap, before the jitter")
    func bounds() {
        var policy = ReconnectPolicy()
        policy.attempts = 2
        policy.maximumRetryAfter = .seconds(60)
        var schedule = ReconnectSchedule(policy)
        #expect(schedule.next(retryAfter: .seconds(7), random: 1) == .milliseconds(7500))
        #expect(schedule.next(retryAfter: .seconds(86_400), random: 0) == .seconds(60))
        #expect(schedule.next(retryAfter: nil, random: 0) == nil)
        policy.attempts = 0
        schedule = ReconnectSchedule(policy)
        #expect(schedule.next(retryAfter: nil, random: 1) == nil)
    }

    @Test(
        "Retry-After counts with the two statuses that say when to come back",
        arguments: [(429, 7), (503, 7), (500, nil), (502, nil), (302, nil), (401, nil)] as [(Int, Int?)]
    )
    func retryAfter(_ status: Int, _ seconds: Int?) {
        let response = HandshakeResponse(status: status, headers: [.retryAfter: "7"])
        let policy = ReconnectPolicy()
        for code in [WebSocketError.Code.openingRefused, .extendedRefused] {
            let error = WebSocketError(code, "", response: response)
            #expect(policy.retryAfter(error, now: 0) == seconds.map { .seconds($0) })
        }
        #expect(policy.retryAfter(WebSocketError(.openingRefused, ""), now: 0) == nil)
    }

    @Test(
        "settings that make no sense end neither in a trap nor in a negative pause",
        arguments: [
            (Duration.seconds(-1), 2.0), (.seconds(1), -5), (.seconds(1), .infinity), (.seconds(1), .nan), (.zero, 2),
            (.zero, .infinity),
        ]
    )
    func nonsense(_ initial: Duration, _ multiplier: Double) throws {
        var policy = ReconnectPolicy()
        policy.initialDelay = initial
        policy.multiplier = multiplier
        var schedule = ReconnectSchedule(policy)
        for random in [0, 1, -1, 2, Double.nan] {
            for _ in 0..<2000 {
                let next = schedule.next(retryAfter: .seconds(-5), random: random)
                let pause = try #require(next)
                #expect(pause >= .zero && pause <= .seconds(30))
            }
        }
    }

    @Test("the longest times that there are give a pause that a clock can count")
    func longest() {
        var policy = ReconnectPolicy()
        policy.initialDelay = .seconds(Int64.max)
        policy.maximumDelay = .seconds(Int64.max)
        policy.maximumRetryAfter = .seconds(Int64.max)
        var schedule = ReconnectSchedule(policy)
        #expect(schedule.next(retryAfter: .seconds(Int64.max), random: 1) == .seconds(365 * 86_400))
    }

    // MARK: The decision

    @Test(
        "which failures of a connect are worth another",
        arguments: [
            (WebSocketError.Code.connectFailed, nil, true), (.timeout, nil, true), (.closedDuringHandshake, nil, true),
            (.openingRefused, 500, true), (.openingRefused, 502, true), (.extendedRefused, 503, true),
            (.extendedRefused, 504, true), (.openingRefused, 429, true), (.openingRefused, 501, false),
            (.openingRefused, 400, false), (.openingRefused, 401, false), (.extendedRefused, 403, false),
            (.extendedRefused, 404, false), (.openingRefused, 426, false), (.openingRefused, 308, false),
            (.connectFailed, 403, false), (.connectFailed, 503, true), (.authenticationFailed, 401, false),
            (.authenticationFailed, 503, false), (.tlsFailed, nil, false), (.redirectRefused, 302, false),
            (.redirectLoop, 302, false), (.tooManyRedirects, 302, false), (.redirectMethod, 307, false),
            (.proxyAuthenticationRequired, 407, false), (.invalidURL, nil, false), (.invalidArgument, nil, false),
            (.openingInvalid, 101, false), (.extendedInvalid, 101, false), (.extendedRequired, 101, false),
            (.protocolViolation, nil, false), (.cancelled, nil, false), (.limitExceeded, nil, false),
            (.proxyRefused, 503, true), (.proxyRefused, 502, true), (.proxyRefused, 403, false),
            (.proxyRefused, nil, false), (.proxyInvalid, nil, false), (.extensionRequired, 101, false),
        ] as [(WebSocketError.Code, Int?, Bool)]
    )
    func failures(_ code: WebSocketError.Code, _ status: Int?, _ isAllowed: Bool) {
        let response = status.map { HandshakeResponse(status: $0, reason: "") }
        #expect(ReconnectPolicy().allows(WebSocketError(code, "", response: response)) == isAllowed)
    }

    @Test("a SOCKS proxy that does not reach the server may do so later; one whose rules forbid it will not")
    func socks() {
        #expect(ReconnectPolicy().allows(WebSocketError(.proxyRefused, "", detail: .beyondProxy)))
        #expect(!ReconnectPolicy().allows(WebSocketError(.proxyRefused, "")))
    }

    @Test(
        "which ends of an open connection are",
        arguments: [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014, 4000]
    )
    func closes(_ code: Int) {
        let policy = ReconnectPolicy()
        let code = WebSocketCloseCode(rawValue: UInt16(code))
        let isAllowed = [1001, 1012, 1013].contains(code.rawValue)
        #expect(policy.allows(CloseInfo(code: code, reason: "", clean: true, initiator: .peer)) == isAllowed)
        #expect(!policy.allows(CloseInfo(code: code, reason: "", clean: true, initiator: .local)))
    }

    @Test("a lost connection is (1006); one that broke the protocol or that we were closing is not")
    func lost() {
        func end(_ code: WebSocketError.Code, _ phase: WebSocketError.Phase = .open) -> CloseInfo {
            CloseInfo(
                code: .abnormal,
                reason: "",
                clean: false,
                initiator: .peer,
                error: WebSocketError(code, "", phase: phase)
            )
        }
        let policy = ReconnectPolicy()
        for code in [WebSocketError.Code.closed, .connectFailed, .timeout, .tlsFailed] {
            #expect(policy.allows(end(code)))
        }
        #expect(!policy.allows(end(.protocolViolation)))
        #expect(!policy.allows(end(.messageTooBig)))
        #expect(!policy.allows(end(.closed, .closing)))
        #expect(!policy.allows(CloseInfo(code: nil, reason: "", clean: true, initiator: .peer)))
    }

    // MARK: Over sockets, without waiting

    /// Waits for nothing, and draws the longest pause.
    private var time: ReconnectTime {
        var time = ReconnectTime()
        time.sleep = { _ in try Task.checkCancellation() }
        time.random = { 1 }
        return time
    }

    /// A client that tells of each pause.
    private func client(
        _ tell: @escaping @Sendable (_ attempt: Int, _ delay: Duration, _ cause: WebSocketError, ConnectionInfo) -> Void
    ) -> WebSocketClient {
        var configuration = WebSocketClient.Configuration()
        configuration.observe = { event, info in
            if case .reconnecting(let attempt, let delay, let cause) = event { tell(attempt, delay, cause, info) }
        }
        return WebSocketClient(configuration: configuration)
    }

    @Test("an error of a body whose socket has ended for good is thrown, and nothing is tried again")
    func endedForGood() async throws {
        let visits = Mutex(0)
        try await withServer {
            Endpoint("/x") { socket in
                visits.withLock { $0 += 1 }
                try await socket.close(code: .policyViolation)
            }
        } body: { port in
            let error = await #expect(throws: WebSocketError.self) {
                try await WebSocketClient().withReconnection(
                    to: try WebSocketURL("ws://127.0.0.1:\(port)/x"),
                    policy: ReconnectPolicy(),
                    time: self.time
                ) { socket in
                    _ = try await socket.closed()
                    try await socket.send("too late")
                }
            }
            #expect(error?.code == .closed)
        }
        #expect(visits.withLock { $0 } == 1)
    }

    @Test("503 with Retry-After, a lost connection, 1012, 1001, then a result: attempts rise, and a stable time resets")
    func journey() async throws {
        let visits = Mutex(0)
        @Sendable func respond(_ request: HandshakeRequest) -> HandshakeResponse {
            guard request.extended != nil else { return .complete() }
            let visit = visits.withLock { visits in
                visits += 1
                return visits
            }
            return visit == 1 ? .refuse(503, headers: [.retryAfter: "7"]) : .complete()
        }
        @Sendable nonisolated(nonsending) func handle(_ socket: WebSocket) async throws {
            switch visits.withLock({ $0 }) {
            case 2: socket.abort()
            case 3: try await socket.close(code: .serviceRestart)
            case 4: try await socket.close(code: .goingAway)
            default: try await socket.send("here")
            }
            for try await _ in socket.messages {}
        }
        try await withServer {
            Endpoint("/x", respond: { respond($0) }, handler: { try await handle($0) })
        } body: { port in
            let seen = Mutex<[(Int, Duration, WebSocketError)]>([])
            var time = self.time
            // Time passes only on the fourth connection: by ten seconds whenever it is asked for.
            let ticks = Mutex(0)
            time.clock = {
                ticks.withLock { ticks in
                    if visits.withLock({ $0 }) == 4 { ticks += 10 }
                    return .seconds(ticks)
                }
            }
            let connecting = Mutex<[Int]>([])
            var configuration = WebSocketClient.Configuration()
            configuration.observe = { event, _ in
                switch event {
                case .connecting(_, let attempt, _): connecting.withLock { $0.append(attempt) }
                case .reconnecting(let attempt, let delay, let cause):
                    seen.withLock { $0.append((attempt, delay, cause)) }
                default: break
                }
            }
            let runs = Mutex(0)
            let result = try await WebSocketClient(configuration: configuration).withReconnection(
                to: try WebSocketURL("ws://127.0.0.1:\(port)/x"),
                policy: ReconnectPolicy(),
                time: time
            ) { socket -> WebSocketMessage? in
                runs.withLock { $0 += 1 }
                for try await message in socket.messages { return message }
                return nil
            }
            #expect(result == .text("here"))
            #expect(runs.withLock { $0 } == 4)
            #expect(connecting.withLock { $0 } == [1, 2, 3, 4, 5])
            let pauses = seen.withLock { $0 }
            #expect(pauses.map(\.0) == [1, 2, 3, 1])
            #expect(pauses.map(\.1) == [.milliseconds(7500), .seconds(1), .seconds(2), .milliseconds(500)])
            #expect(pauses.map(\.2.response?.status) == [503, nil, nil, nil])
            #expect(pauses.map(\.2.closeCode?.rawValue) == [1000, 1006, 1012, 1001])
        }
    }

    /// A server that restarts: it says 1012 on each connection, and leaves the end of TCP to the client.
    /// - Parameter says: when, behind the handshake.
    private static func withRestartingServer(
        says: @escaping @Sendable () async -> Void,
        body: (Int) async throws -> Void
    ) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                var reads = inbound.makeAsyncIterator()
                var head = ""
                while !head.hasSuffix("\r\n\r\n"), let bytes = try await reads.next() { head += String(buffer: bytes) }
                guard let key = head.firstMatch(of: /Sec-WebSocket-Key: (\S+)/) else { return }
                let lines = [
                    "HTTP/1.1 101 X", "Upgrade: websocket", "Connection: Upgrade",
                    "Sec-WebSocket-Accept: \(acceptValue(for: String(key.1)))", "", "",
                ]
                try await outbound.write(ByteBuffer(string: lines.joined(separator: "\r\n")))
                await says()
                try await outbound.write(ByteBuffer(bytes: [0x88, 0x02, 0x03, 0xF4]))
                while try await reads.next() != nil {}
            }
        } body: { port in
            try await body(port)
        }
    }

    @Test(
        "a body that sends and does not read is told of the peer's close before the connection is over, and runs again",
        arguments: [false, true]
    )
    func sendsIntoClose(isBlocked: Bool) async throws {
        let (full, tell) = AsyncStream.makeStream(of: Void.self)
        try await Self.withRestartingServer {
            guard isBlocked else { return }
            for await _ in full { break }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            // Nobody ends TCP before.
            configuration.timeouts.close = .milliseconds(30)
            let runs = Mutex(0)
            let result = try await WebSocketClient(configuration: configuration).withReconnection(
                to: try WebSocketURL("ws://127.0.0.1:\(port)/"),
                policy: ReconnectPolicy(),
                time: self.time
            ) { socket in
                let run = runs.withLock { runs in
                    runs += 1
                    return runs
                }
                // More than the network takes of a peer that does not read.
                let value = ByteBuffer(repeating: 0, count: isBlocked ? 1 << 23 : 10)
                while run == 1 {
                    try await socket.send(value)
                    tell.yield()
                }
                tell.yield()
                return run
            }
            #expect(result == 2)
        }
    }

    @Test("it ends: by return, by an error of the body, by a refusal, by the last attempt, by cancellation")
    func ends() async throws {
        struct Mine: Error {}
        try await withServer {
            echo("/x")
            Endpoint("/no") { _ in .refuse(403) }
            Endpoint("/bye") { socket in try await socket.close(code: .goingAway) }
            Endpoint("/done") { socket in try await socket.close(code: .normalClosure) }
        } body: { port in
            let count = Mutex(0)
            let policy = ReconnectPolicy()
            let time = self.time
            let client = self.client { _, _, _, info in
                count.withLock { $0 += 1 }
                #expect(info.id > 0)
            }
            let base = "ws://127.0.0.1:\(port)"
            #expect(
                try await client.withReconnection(to: try WebSocketURL(base + "/x"), policy: policy, time: time) { _ in
                    1
                } == 1
            )
            await #expect(throws: Mine.self) {
                try await client.withReconnection(to: try WebSocketURL(base + "/x"), policy: policy, time: time) { _ in
                    throw Mine()
                }
            }
            await #expect(throws: Mine.self) {
                // Though the connection has ended in a way that would do.
                try await client.withReconnection(to: try WebSocketURL(base + "/bye"), policy: policy, time: time) {
                    socket in
                    for try await _ in socket.messages {}
                    throw Mine()
                }
            }
            await #expect {
                try await client.withReconnection(to: try WebSocketURL(base + "/no"), policy: policy, time: time) { _ in
                }
            } throws: {
                ($0 as? WebSocketError)?.response?.status == 403
            }
            try await client.withReconnection(to: try WebSocketURL(base + "/done"), policy: policy, time: time) {
                socket in
                for try await _ in socket.messages {}
            }
            #expect(count.withLock { $0 } == 0, "none of these is followed by another connect")
            var three = policy
            three.attempts = 3
            let result = try await client.withReconnection(
                to: try WebSocketURL(base + "/bye"),
                policy: three,
                time: time
            ) { socket in
                for try await _ in socket.messages {}
                return "the last one's"
            }
            #expect(result == "the last one's")
            #expect(count.withLock { $0 } == 3)
            await #expect {
                try await client.withReconnection(to: try WebSocketURL(base + "/bye"), policy: three, time: time) {
                    socket in
                    for try await _ in socket.messages {}
                    try await socket.send("too late")
                }
            } throws: {
                ($0 as? WebSocketError)?.closeCode == .goingAway
            }
            #expect(count.withLock { $0 } == 6)
            let (pausing, tell) = AsyncStream.makeStream(of: Void.self)
            var endless = time
            endless.sleep = { _ in
                tell.yield()
                try await Task.sleep(for: .seconds(60))
            }
            let waiting = endless
            let task = Task {
                try await client.withReconnection(
                    to: try WebSocketURL("ws://127.0.0.1:1/"),
                    policy: policy,
                    time: waiting
                ) { _ in }
            }
            for await _ in pausing { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
    }
}
