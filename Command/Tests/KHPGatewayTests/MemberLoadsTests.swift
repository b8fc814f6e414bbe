// The choice of a balancer among members that tell their load.

import CommandTestSupport
import Dispatch
import NIOCore
import Synchronization
import Testing

@testable import KHPGateway

@Suite("The loads of a balancer's members")
struct MemberLoadsTests {
    private static let names = ["ws://a/", "ws://b/", "ws://c/"]

    private static func loads(_ news: @escaping @Sendable (MemberLoads.News) -> Void = { _ in }) -> MemberLoads {
        var balancer = GatewayConfiguration.Balancer()
        balancer.members = Self.names
        balancer.by = .leastSessions
        return MemberLoads(balancer, instance: "me", report: news)
    }

    private static func load(_ sessions: Int, draining: Bool = false, _ instance: String? = nil) -> MemberLoads.Load {
        MemberLoads.Load(sessions: sessions, isDraining: draining, instance: instance)
    }

    private let now = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func chosen(_ loads: MemberLoads, _ times: Int, leaving: Bool = false) -> [String: Int] {
        var generator = SystemRandomNumberGenerator()
        var counts: [String: Int] = [:]
        for _ in 0..<times {
            switch loads.choose(leaving: leaving, now: self.now, using: &generator) {
            case .member(let member): counts[member, default: 0] += 1
            case .nobody: counts["nobody", default: 0] += 1
            case .unknown: counts["unknown", default: 0] += 1
            }
        }
        return counts
    }

    @Test("of two at random the one with fewer sessions, and each client counts at once")
    func leastOfTwo() {
        let loads = Self.loads()
        for (name, sessions) in zip(Self.names, [0, 0, 1000]) {
            loads.note(Self.load(sessions), of: name, now: self.now)
        }
        let counts = self.chosen(loads, 400)
        #expect(counts["ws://c/"] == nil, "it is the greater one of every two")
        #expect(abs((counts["ws://a/"] ?? 0) - 200) < 100, "\(counts)")
    }

    @Test("who drains is not named, nor this gateway while it drains")
    func draining() {
        let loads = Self.loads()
        loads.note(Self.load(5, "me"), of: "ws://a/", now: self.now)
        loads.note(Self.load(0, draining: true), of: "ws://b/", now: self.now)
        #expect(self.chosen(loads, 20) == ["ws://a/": 20])
        #expect(self.chosen(loads, 5, leaving: true) == ["nobody": 5])
        loads.note(Self.load(9, "other"), of: "ws://c/", now: self.now)
        #expect(self.chosen(loads, 5, leaving: true) == ["ws://c/": 5])
    }

    @Test("an answer counts for ten seconds; without any, the choice is said to be blind, once")
    func stale() {
        let news = Mutex<[MemberLoads.News]>([])
        let loads = Self.loads { one in news.withLock { $0.append(one) } }
        loads.note(Self.load(0), of: "ws://a/", now: self.now - .seconds(11))
        loads.note(Self.load(7), of: "ws://b/", now: self.now - .seconds(9))
        #expect(self.chosen(loads, 10) == ["ws://b/": 10])
        loads.note(Self.load(7), of: "ws://b/", now: self.now - .seconds(20))
        // One question for nothing is none.
        loads.note(silence: "the connection was refused", of: "ws://a/")
        for _ in 0..<3 { loads.note(silence: "the connection was refused", of: "ws://b/") }
        #expect(self.chosen(loads, 3) == ["unknown": 3])
        #expect(news.withLock { $0 } == [.silent("ws://b/", "the connection was refused"), .blind])
        loads.note(Self.load(7), of: "ws://b/", now: self.now)
        #expect(news.withLock { $0.last } == .answers("ws://b/"))
        #expect(self.chosen(loads, 3) == ["ws://b/": 3])
    }

    @Test(
        "the answer to a question for the load",
        arguments: [
            (200, #"{"sessions":3,"capacity":9,"draining":false}"#, MemberLoads.Load(sessions: 3, isDraining: false)),
            (
                200, #"{"sessions":0,"draining":true,"instance":"gw1"}"#,
                MemberLoads.Load(sessions: 0, isDraining: true, instance: "gw1")
            ),
            (200, #"{"sessions":-1}"#, nil), (200, #"{"sessions":"3"}"#, nil), (200, "[3]", nil), (200, "", nil),
            (200, #"{"sessions":9e15}"#, nil), (401, #"{"sessions":3}"#, nil),
        ]
    )
    func answers(_ status: Int, _ body: String, _ load: MemberLoads.Load?) {
        #expect((try? LoadQuestions.load(of: .init(status: status, body: body))) == load)
    }

    @Test("an answer of more bytes than a load takes is none, whatever it says", arguments: [1000, 1024 * 1024])
    func tooLong(_ size: Int) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound { break }
                var answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n{\"sessions\":3}")
                answer.writeRepeatingByte(UInt8(ascii: " "), count: size)
                try await outbound.write(answer)
            }
        } body: { port in
            let news = Mutex<[MemberLoads.News]>([])
            var balancer = GatewayConfiguration.Balancer()
            balancer.members = ["ws://127.0.0.1/"]
            let loads = MemberLoads(balancer, instance: "me") { one in news.withLock { $0.append(one) } }
            let check = GatewayConfiguration.LoadCheck(url: "http://{host}:\(port)/load")
            let questions = LoadQuestions(loads: loads, check: check, tls: nil)
            for _ in 0..<2 { await questions.ask("ws://127.0.0.1/") }
            let silence = MemberLoads.News.silent("ws://127.0.0.1/", "it answered with no load")
            #expect(news.withLock { $0 } == (size > 64 * 1024 ? [silence] : []))
        }
    }

    @Test("a member whose name takes long keeps no other from telling its load (threat H11)")
    func slowName() async throws {
        let goesOn = DispatchSemaphore(value: 0)
        let hasBegun = Mutex(false)
        let names = HostNames { host, _ in
            if host == "slow.test" {
                hasBegun.withLock { $0 = true }
                goesOn.wait()
            }
            return [try SocketAddress(ipAddress: "127.0.0.1", port: 0)]
        }
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound { break }
                try await outbound.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n{\"sessions\":3}"))
            }
        } body: { port in
            var balancer = GatewayConfiguration.Balancer()
            balancer.members = ["ws://slow.test/", "ws://fast.test/"]
            let loads = MemberLoads(balancer, instance: "me")
            let check = GatewayConfiguration.LoadCheck(url: "http://{host}:\(port)/load")
            let questions = LoadQuestions(loads: loads, check: check, tls: nil, names: names)
            let slow = Task { await questions.ask("ws://slow.test/") }
            #expect(await Patience.wait { hasBegun.withLock { $0 ? true : nil } } != nil)
            await questions.ask("ws://fast.test/")
            var generator = SystemRandomNumberGenerator()
            #expect(loads.choose(now: .now(), using: &generator) == .member("ws://fast.test/"))
            goesOn.signal()
            await slow.value
        }
    }

    @Test("the formats of metrics by Accept")
    func formats() {
        let scraper = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        for (accept, format) in [
            (nil, .prometheus), ("*/*", .prometheus), ("text/plain", .prometheus), (scraper, .openMetrics),
            ("application/openmetrics-text; q=0", .prometheus),
        ] as [(String?, MetricsText.Format)] {
            #expect(MetricsText.Format(accept: accept) == format)
        }
        var metrics = MetricsText(.openMetrics)
        metrics.value("x_total", .counter, "Xs.", 2)
        #expect(metrics.finished == "# HELP x Xs.\n# TYPE x counter\nx_total 2\n# EOF\n")
    }
}
