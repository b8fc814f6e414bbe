// The words of a gateway to its operators: the lines of its log that alarms are made of, and the names of its metrics.

import CommandTestSupport
import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import Testing

@testable import KHPGateway

extension GatewayTests {
    /// The metrics that have a sample as soon as one session is open: dashboards are made of these names.
    static let families = [
        "khp_gateway_build_info",
        "khp_gateway_start_time_seconds",
        "khp_gateway_config_last_reload_successful",
        "khp_gateway_config_last_reload_success_timestamp_seconds",
        "khp_gateway_config_hash_info",
        "khp_gateway_draining",
        "khp_listener_connections",
        "khp_listener_connections_total",
        "khp_listener_rejected_total",
        "khp_handshakes_total",
        "khp_handshake_duration_seconds",
        "khp_sessions",
        "khp_sessions_total",
        "khp_session_duration_seconds",
        "khp_session_limit_hits_total",
        "khp_messages_total",
        "khp_bytes_total",
        "khp_buffered_bytes",
        "khp_paused_reads_total",
        "khp_paused_seconds_total",
        "khp_stalled_total",
        "khp_backend_up",
        "khp_backend_state",
        "khp_backend_connections",
        "khp_backend_connects_total",
        "khp_backend_connect_duration_seconds",
        "khp_backend_ejections_total",
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
    ]

    /// The status of a handshake that is refused.
    private static func refused(_ view: View, _ path: String, token: String? = nil) async throws -> Int {
        var configuration = WebSocketClient.Configuration()
        if let token { configuration.headers[.authorization] = "Bearer \(token)" }
        configuration.extended.policy = .off
        do {
            let socket = try await WebSocketClient(configuration: configuration).connect(to: view.url(path))
            try await socket.close()
            return 101
        } catch let error as WebSocketError {
            return error.response?.status ?? 0
        }
    }

    @Test("a refusal names the backends that failed, and why; limits and guesses have lines of their own")
    func refusals() async throws {
        let vacant = try await PoolTests.freePort()
        try await Self.withGateway { configuration in
            var gone = GatewayConfiguration.Pool(name: "gone")
            gone.backends = [.local(vacant), .init(scheme: .unix, path: "/nowhere/broker")]
            gone.balance = .roundRobin
            gone.check = nil
            configuration.pools.append(gone)
            configuration.services.append(
                .init(name: "gone", path: PathPattern(path: "/gone"), kind: .proxy(pool: "gone", frames: nil))
            )
            var guarded = GatewayConfiguration.Service(name: "in", path: PathPattern(path: "/in"), kind: .echo)
            guarded.realms = ["apps"]
            configuration.services.append(guarded)
            var realm = GatewayConfiguration.Realm(name: "apps")
            realm.schemes = [.init(.bearer)]
            realm.wrongAnswers.perAddress = 1
            configuration.realms = [realm]
            configuration.services[0].rules.limits.sessions = 1
        } materials: {
            $0.authentication = { service, observe in
                guard !service.realms.isEmpty else { return nil }
                return ServerAuthentication(realm: "apps", schemes: [.bearer { _ in nil }]) { attempt in
                    guard attempt.outcome == .blocked else { return }
                    observe(AuthenticationOutcome(realm: "apps", scheme: "bearer", result: .blocked))
                }
            }
        } body: { view in
            #expect(try await Self.refused(view, "/gone") == 502)
            let line = try #require(view.running.line(with: "handshake.refused", "gone"))
            let first = #"{"backend":"tcp://127.0.0.1:\#(vacant)","error":"the connection was refused"}"#
            let second = #"{"backend":"unix:/nowhere/broker","error":"there is no such socket"}"#
            #expect(line.contains(#""backends":[\#(first),\#(second)]"#), "\(line)")
            #expect(
                line.contains("tcp://127.0.0.1:\(vacant): the connection was refused; unix:/nowhere/broker: "),
                "\(line)"
            )
            _ = try await view.admin("POST /pools/gone/backends/tcp%3A%2F%2F127.0.0.1%3A\(vacant)?action=disable")
            _ = try await view.admin("POST /pools/gone/backends/unix%3A%2Fnowhere%2Fbroker?action=disable")
            #expect(try await Self.refused(view, "/gone") == 503)
            let none = try #require(view.running.line(with: "handshake.refused", "gone", "503"))
            #expect(none.contains(#""error":"an operator has taken it out""#), "\(none)")
            let socket = try await WebSocketClient().connect(to: view.url("/echo"))
            #expect(try await Self.refused(view, "/echo") == 503)
            #expect(view.running.line(with: "limit.hit", #""service":"echo""#, #""limit":"sessions""#) != nil)
            try await socket.close()
            #expect(try await Self.refused(view, "/in", token: "x") == 401)
            #expect(try await Self.refused(view, "/in", token: "x") == 403)
            #expect(view.running.line(with: "auth.blocked", "127.0.0.1") != nil)
            #expect(view.running.line(with: "handshake.refused", #""status":403,"cause":"auth-blocked""#) != nil)
            let metrics = try await view.admin("GET /metrics").body
            #expect(!metrics.contains(#"khp_authorization_denied_total{service="in""#), "that is no denial")
        }
    }

    @Test("a client that goes without an answer when its proof has ended is not lost", arguments: [-1, 3600])
    func proofEnded(_ seconds: Int64) {
        var facts = SessionFacts(id: "1", service: "s")
        let now = Int64(Timestamp.now.seconds)
        facts.proof.principal = Principal("joe", expires: now + seconds)
        var causes: [SessionEnd.Cause] = []
        for end in [SessionEnd(.client, .clientLost, nil, ""), .backendFin] {
            Session(facts) { causes.append($1.cause) }.ended(end)
        }
        #expect(causes == [seconds < 0 ? .credentialsExpired : .clientLost, .backendFin])
    }

    @Test("a side that is waited for is told of once")
    func slow() {
        var facts = SessionFacts(id: "1", service: "s")
        facts.client = "192.0.2.1"
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let session = Session(facts, now: start) { _, _ in }
        var told: [String] = []
        session.onSlow = { side, time, facts in
            told.append("\(side) \(time.nanoseconds / 1_000_000_000) \(facts.client)")
        }
        session.backendPause.begin(start)
        session.tellSlow(start + .seconds(4))
        #expect(told == [])
        session.tellSlow(start + .seconds(6))
        session.tellSlow(start + .seconds(7))
        #expect(told == ["client 6 192.0.2.1"])
        // Nothing has moved since it opened, until something has.
        session.look(start + .seconds(9))
        #expect(session.movedAt == start)
        session.tally.inBytes += 1
        session.look(start + .seconds(9))
        session.look(start + .seconds(12))
        #expect(session.movedAt == start + .seconds(9))
    }

    @Test("services of one path at two listeners are told apart")
    func onePath() async throws {
        try await BareGateway.run {
            $0.listeners.append(.init(name: "inside", listen: .host("127.0.0.1", port: 0)))
            $0.services = ["outer", "inner"].map { .init(name: $0, path: PathPattern(path: "/x"), kind: .echo) }
            $0.services[0].rules.listeners = ["public"]
            $0.services[1].rules.listeners = ["inside"]
            $0.services[1].rules.limits.sessions = 0
        } body: { gateway in
            let statuses = [try await gateway.status("/x"), try await gateway.status("/x", listener: "inside")]
            #expect(statuses == [101, 503])
            let keys = Set(gateway.gateway.handshakes.snapshot.handshakes.keys.map { "\($0.service) \($0.status)" })
            #expect(keys == ["outer 101", "inner 101", "inner 503"])
            #expect(gateway.lines.with("limit.hit", "\"service\":\"inner\"").count == 1)
            #expect(gateway.lines.with("handshake.refused", "\"service\":\"outer\"").isEmpty)
        }
    }

    @Test("a start says in its log what is worth a warning")
    func startWarnings() async throws {
        var materials = GatewayMaterials(BareGateway.configuration(), hash: "1")
        materials.warnings = ["gateway.yaml:3:1: warning: services.s: has no realm"]
        try await BareGateway.run(materials) { gateway in
            let lines = gateway.lines.with(
                #""event":"config.warning""#,
                #""level":"warning""#,
                "services.s: has no realm"
            )
            #expect(lines.count == 1)
            #expect(gateway.lines.with("reload.warning").isEmpty)
        }
    }

    @Test("a reload says what waits for the next start")
    func waiting() async throws {
        try await BareGateway.run { gateway in
            var next = BareGateway.configuration()
            _ = try await gateway.gateway.reload(GatewayMaterials(next, hash: "2"))
            #expect(gateway.lines.with("reload.warning").isEmpty)
            next.admin = nil
            next.instance = "gw2"
            _ = try await gateway.gateway.reload(GatewayMaterials(next, hash: "3"))
            #expect(gateway.lines.with("reload.warning", "admin: has changed").count == 1)
            #expect(gateway.lines.with("reload.warning", "instance: has changed").count == 1)
        }
    }

    @Test("the service manager is told what came of a reload, and the log of its warnings")
    func notices() async throws {
        let manager = try ServiceManager()
        try await Self.withGateway(notice: ReadinessNotice(socket: manager.path)) { view in
            #expect(try manager.next() == "READY=1\nSTATUS=2 listeners\n")
            view.running.next.withLock { $0 = .bad(["gateway.yaml:3:1: a:\nis missing"]) }
            #expect(try await view.admin("POST /reload").status == 422)
            #expect(try manager.next().hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
            #expect(
                try manager.next() == "READY=1\nSTATUS=the reload failed: gateway.yaml:3:1: a: is missing\n"
            )
            var materials = GatewayMaterials(Self.configuration(backend: 1), hash: "2")
            materials.warnings = ["the certificate ends soon"]
            view.running.next.withLock { [materials] in $0 = .good(materials) }
            #expect(try await view.admin("POST /reload").status == 200)
            _ = try manager.next()
            #expect(try manager.next() == "READY=1\nSTATUS=reloaded\n")
            #expect(view.running.line(with: "reload.warning", "the certificate ends soon") != nil)
        }
        #expect(try manager.next() == "STOPPING=1\n")
    }

    /// Takes the datagrams of sd_notify(3).
    private final class ServiceManager: Sendable {
        let path = "/tmp/khp-\(UUID().uuidString.prefix(8)).notify"
        private let descriptor: CInt

        init() throws {
            #if canImport(Glibc)
                let kind = CInt(SOCK_DGRAM.rawValue)
            #else
                let kind = SOCK_DGRAM
            #endif
            let descriptor = socket(AF_UNIX, kind, 0)
            let bound = try SocketAddress(unixDomainSocketPath: self.path).withSockAddr { pointer, size in
                bind(descriptor, pointer, socklen_t(size))
            }
            #expect(bound == 0)
            self.descriptor = descriptor
        }

        deinit {
            close(self.descriptor)
            unlink(self.path)
        }

        /// Waits for the next, five seconds at most.
        func next() throws -> String {
            var wait = pollfd(fd: self.descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, 5000) == 1 else { return "nothing" }
            var bytes = [UInt8](repeating: 0, count: 1024)
            let count = recv(self.descriptor, &bytes, bytes.count, 0)
            return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
        }
    }
}
