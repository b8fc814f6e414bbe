// Both handshakes in memory, both halves of each: bytes go from one `Connection` to the other and back.

import KHPProtocol
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOWebSocket

enum Handshakes {
    static var all: [Comparison] {
        [
            Comparison(name: "opening handshake, client and server") { handshake(.off) },
            Comparison(name: "opening and extended handshake, client and server") { handshake(.required) },
        ]
    }

    private static let plan: ClientPlan = {
        guard let url = try? WebSocketURL("ws://example.com:8080/echo") else { fatalError("the URL is valid") }
        var plan = ClientPlan(url: url)
        plan.subprotocols = ["amqp"]
        return plan
    }()

    private static let configuration: ConnectionConfiguration = {
        var settings = ConnectionSettings()
        settings.date = { "Sun, 06 Nov 1994 08:49:37 GMT" }
        return ConnectionConfiguration(settings)
    }()

    private static func handshake(_ policy: ExtendedHandshakePolicy) -> Int {
        let now = NIODeadline.uptimeNanoseconds(1)
        var plan = Self.plan
        plan.extended.policy = policy
        let configuration = Self.configuration
        guard
            var client = try? Connection(
                client: plan,
                configuration: configuration,
                key: "dGhlIHNhbXBsZSBub25jZQ==",
                deadline: nil,
                now: now
            )
        else { return 0 }
        var server = Connection(server: configuration, isSecure: false, now: now)
        client.start(now: now)
        server.start(now: now)
        var opened = 0
        var isMoving = true
        while isMoving {
            isMoving = false
            while let bytes = client.output.next() {
                server.receive(bytes, now: now)
                isMoving = true
            }
            while let action = server.next(now: now) {
                switch action {
                case .server(.decideOpening(let request)):
                    var plan = EndpointPlan.Values()
                    plan.extended = request.offersExtendedHandshake
                    plan.subprotocols = ["amqp"]
                    server.acceptOpening(EndpointPlan(plan), now: now)
                case .server(.decideExtended):
                    server.answerExtended(HandshakeResponse(status: 101), principal: nil, now: now)
                case .opened: opened += 1
                default: break
                }
            }
            while let bytes = server.output.next() {
                client.receive(bytes, now: now)
                isMoving = true
            }
            while let action = client.next(now: now) {
                if case .opened = action { opened += 1 }
            }
        }
        if opened != 2 { fatalError("the handshake did not complete") }
        return opened
    }
}
