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
            return realm
        }
        let realms = [realm("a", 50, .seconds(60)), realm("b", 7, .seconds(30)), realm("c", 1, .seconds(90))]
        var service = GatewayConfiguration.Service(name: "s", path: PathPattern(path: "/s"), kind: .echo)
        let listener = GatewayConfiguration.Listener(name: "l", listen: .unix(path: "/l"))
        #expect(ListenerBounds([service], realms).wrongAnswerWindow == nil)
        #expect(ListenerBounds([service], realms).limits(listener).wrongAnswersPerAddress == 100)
        service.realms = ["a", "b"]
        let bounds = ListenerBounds([service], realms)
        #expect(bounds.limits(listener).wrongAnswersPerAddress == 7 && bounds.wrongAnswerWindow == .seconds(60))
    }
}
