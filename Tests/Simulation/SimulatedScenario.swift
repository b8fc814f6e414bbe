// The conversation that a seed chooses: dialect, both handshakes' shape, extensions, traffic and one fault.

import HTTPTypes
import KHPProtocol
import NIOCore

struct SimulatedScenario {
    enum Fault: String, CaseIterable {
        case none, halfClose, reset, cut, stall, readsNothing, clockJump, answersLate, answersNever, floods
    }

    var dialect: Dialect
    var clientExtended: ExtendedHandshakePolicy
    var serverExtended: Bool
    /// The statuses of the server's answers inside, the last of them repeated.
    var answers: [Int]
    var openingStatus: Int
    var isLegacy: Bool
    var compresses: Bool
    var delivery: MessageDelivery
    var hasPings: Bool
    var idle: Duration?
    var isObserved: Bool
    var steps: Int
    var fault: Fault
    var faultStep: Int
    var faultRole: Role

    init(_ generator: inout SeededGenerator) {
        self.dialect = generator.pick([
            (.rfc6455, weight: 7), (.hixie75, weight: 1), (.hixie76, weight: 1), (.whatwg2010, weight: 1),
        ])
        self.clientExtended = generator.pick([(.preferred, weight: 6), (.off, weight: 2), (.required, weight: 1)])
        self.serverExtended = !generator.once(in: 6)
        let final = generator.pick([
            (101, weight: 12), (201, weight: 2), (204, weight: 1), (205, weight: 1), (302, weight: 2), (307, weight: 1),
            (403, weight: 2), (407, weight: 1), (426, weight: 1), (503, weight: 1), (200, weight: 1), (300, weight: 1),
            (Int.random(in: 200...599, using: &generator), weight: 2),
        ])
        self.answers = generator.pick([
            ([final], weight: 10), ([202, final], weight: 1), ([401, final], weight: 4),
            ([401, 401, final], weight: 1),
            ([202], weight: 1), ([401], weight: 1),
        ])
        self.openingStatus = generator.pick([(101, weight: 14), (401, weight: 2), (302, weight: 1), (404, weight: 1)])
        self.isLegacy = generator.once(in: 10)
        self.compresses = generator.once(in: 3)
        self.delivery = generator.once(in: 4) ? .chunks : .messages
        self.hasPings = !generator.once(in: 4)
        self.idle = generator.once(in: 5) ? .seconds(50) : nil
        self.isObserved = generator.once(in: 3)
        self.steps = Int.random(in: 20...160, using: &generator)
        self.fault = generator.once(in: 3) ? .none : (Fault.allCases.randomElement(using: &generator) ?? .none)
        self.faultStep = Int.random(in: 0..<self.steps, using: &generator)
        self.faultRole = Bool.random(using: &generator) ? .client : .server
    }

    var configuration: ConnectionConfiguration {
        var settings = ConnectionSettings()
        settings.delivery = self.delivery
        settings.isObserved = self.isObserved
        settings.dialects = [self.dialect]
        if !self.hasPings { settings.keepAlive.pingInterval = nil }
        settings.keepAlive.idleTimeout = self.idle
        return ConnectionConfiguration(settings)
    }

    func plan(_ generator: inout SeededGenerator) throws(WebSocketError) -> ClientPlan {
        var plan = ClientPlan(url: try WebSocketURL("ws://sim.example/room?a=b"))
        plan.dialect = self.dialect
        plan.subprotocols = generator.once(in: 2) ? ["amqp"] : []
        plan.extended.policy = self.clientExtended
        plan.extended.kaazingLegacy = self.isLegacy && self.clientExtended != .off
        if self.compresses { plan.extensions = [PerMessageDeflate()] }
        return plan.withKeys(using: &generator)
    }

    func endpoint(for request: OpeningRequest) -> EndpointPlan {
        var plan = EndpointPlan.Values()
        plan.dialects = [self.dialect]
        plan.extended = request.offersExtendedHandshake && self.serverExtended
        plan.subprotocols = ["amqp"]
        if self.compresses { plan.extensions = [PerMessageDeflate()] }
        return EndpointPlan(plan)
    }
}
