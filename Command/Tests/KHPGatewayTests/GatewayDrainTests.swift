// Drains: those of an operator, which can be called off, and the end of a gateway, behind which nothing new begins.

import CommandTestSupport
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("A gateway that drains", .timeLimit(.minutes(1)))
struct GatewayDrainTests {
    private static func next(_ backend: Int = 1, _ hash: String = "2") -> GatewayMaterials {
        var configuration = BareGateway.configuration(backend: backend)
        configuration.services.append(.init(name: "new", path: PathPattern(path: "/new"), kind: .echo))
        return GatewayMaterials(configuration, hash: hash)
    }

    @Test("a reload lets nobody in while an operator drains")
    func reload() async throws {
        try await BareGateway.run { gateway in
            _ = try await gateway.gateway.drain(over: .zero)
            #expect(try await gateway.status() == 503)
            _ = try await gateway.gateway.reload(Self.next())
            #expect(try await gateway.status() == 503)
            #expect(try await gateway.status("/new") == 503, "a service that the reload has brought")
            try await gateway.gateway.undrain()
            #expect(try await gateway.status() == 101)
            #expect(try await gateway.status("/new") == 101)
        }
    }

    @Test("sessions whose end was put off live on when the drain is called off")
    func calledOff() async throws {
        try await BareGateway.run { gateway in
            let sockets = [try await gateway.connect(), try await gateway.connect()]
            #expect(try await gateway.gateway.drain(over: .milliseconds(60)) == 2)
            try await gateway.gateway.undrain()
            // Past the moment at which the second was to be closed.
            try await Task.sleep(for: .milliseconds(70))
            var left = 0
            for socket in sockets {
                guard (try? await socket.send("hello")) != nil, (try? await socket.receive()) == .text("hello") else {
                    continue
                }
                left += 1
                try await socket.close()
            }
            #expect(left >= 1)
        }
    }

    @Test("from the announcement on no reload, drain and undrain is taken")
    func ending() async throws {
        try await BareGateway.run {
            $0.shutdown.announce = .milliseconds(100)
        } body: { gateway in
            let end = Task { await gateway.gateway.shutDown() }
            while await gateway.gateway.phase == .serving { await Task.yield() }
            await #expect(throws: Gateway.Failure.self) { try await gateway.gateway.reload(Self.next()) }
            for (method, path) in [(HTTPRequest.Method.post, "/drain"), (.delete, "/drain")] {
                let answer = await gateway.admin(method, path)
                #expect(answer.status == 409)
                #expect(String(buffer: answer.body) == "{\"error\":\"the gateway shuts down\"}\n")
            }
            #expect(await gateway.gateway.phase == .announcing)
            // It is announced, and clients still come.
            let status = try await gateway.status()
            #expect(status == 101)
            #expect(await end.value == 0)
            await #expect(throws: Gateway.Failure.self) { try await gateway.gateway.undrain() }
        }
    }

    @Test("a session that was let in before the drain, and opens behind its choice, is closed at once")
    func late() async throws {
        for kind in [GatewayConfiguration.Kind.echo, .broadcast] {
            let drain = Drain()
            try await withService(backends: [], kind: kind, drain: drain, opened: { _ in drain.begin() }) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                #expect(try await socket.closed().code == .goingAway)
                #expect(await view.ends.next()?.end == .shutdown)
            }
        }
    }

    @Test("the log tells of a drain that an operator begins and calls off, and how it goes")
    func log() async throws {
        try await BareGateway.run(progress: .milliseconds(10)) { gateway in
            let socket = try await gateway.connect()
            _ = try await gateway.gateway.drain(over: .zero)
            #expect(try await socket.closed().code == .goingAway)
            #expect(gateway.lines.with("drain.start", "an operator", #""sessions":1,"over":"0 s""#).count == 1)
            let lines = gateway.lines
            #expect(await Patience.wait { lines.with("drain.progress", #""sessions":0"#).first } != nil)
            try await gateway.gateway.undrain()
            #expect(gateway.lines.with("drain.end", "lets clients in again").count == 1)
            // No drain is on: nothing to be called off, and nothing to tell.
            try await gateway.gateway.undrain()
            #expect(gateway.lines.with("drain.end").count == 1)
        }
    }
}
