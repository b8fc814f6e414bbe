import KHPServer
import Testing

@testable import KHPGateway

@Suite("The bounds of a gateway's listener")
struct ListenerBoundsTests {
    @Test("on wrong answers are those of the strictest realm that asks there")
    func wrongAnswers() {
        func realm(_ name: String, _ perAddress: Int, _ window: Duration) -> GatewayConfiguration.Realm {
            var realm = GatewayConfiguration.Realm(name: name)
            realm.wrongAnswers.perAddress = perAddress
            realm.wrongAnswers.window = window
            realm.hashQueue = perAddress * 10
            return realm
        }
        let realms = [realm("a", 50, .seconds(60)), realm("b", 7, .seconds(30)), realm("c", 1, .seconds(90))]
        var service = GatewayConfiguration.Service(name: "s", path: PathPattern(path: "/s"), kind: .echo)
        var configuration = GatewayConfiguration(instance: "gw")
        configuration.realms = realms
        #expect(ListenerBounds([service], in: configuration).wrongAnswerWindow == nil)
        #expect(ListenerBounds([service], in: configuration).limits(connections: 1).wrongAnswersPerAddress == 100)
        service.realms = ["a", "b"]
        let bounds = ListenerBounds([service], in: configuration)
        #expect(bounds.limits(connections: 1).wrongAnswersPerAddress == 7 && bounds.wrongAnswerWindow == .seconds(60))
        #expect(bounds.limits(connections: 1).credentialChecksWaiting == 70)
    }

    @Test("on handshakes leave time for the slowest backend that they may wait for")
    func handshake() throws {
        var configuration = BareGateway.configuration()
        let services = configuration.services
        #expect(ListenerBounds(services, in: configuration).handshake == .seconds(10))
        configuration.pools[0].connectTimeout = .seconds(30)
        #expect(ListenerBounds(services, in: configuration).handshake == .seconds(35))
        #expect(ListenerBounds([services[0]], in: configuration).handshake == .seconds(10), "it has no backend")
    }

    @Test(
        "on connections leave descriptors for operators, checks and reloads, each listener its share",
        arguments: [
            // may be open, configured for each listener, taken by each
            (nil, [10_000], [10_000]), (20_128, [10_000], [10_000]), (256, [10_000], [92]), (256, [92], [92]),
            (1024, [10_000, 10_000], [238, 238]), (1024, [300, 100], [300, 100]), (1024, [3000, 1000], [357, 119]),
            (10, [10_000], [1]), (1 << 30, [.max, .max], [1 << 28 - 18, 1 << 28 - 18]),
        ] as [(Int?, [Int], [Int])]
    )
    func descriptors(openable: Int?, configured: [Int], taken: [Int]) {
        let listeners = configured.enumerated().map { number, connections in
            var listener = GatewayConfiguration.Listener(name: "l\(number)", listen: .unix(path: "/l\(number)"))
            listener.connections = connections
            return listener
        }
        let shares = listeners.map {
            DescriptorShare.connections(of: $0, among: listeners, openable: openable, loops: 2)
        }
        #expect(shares == taken)
    }
}
