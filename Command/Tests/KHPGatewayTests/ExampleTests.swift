import KHPGateway
import Testing

@Suite("The example of a gateway's file")
struct ExampleTests {
    @Test("is read without errors, apart from the files that it names")
    func example() throws {
        let reading = ConfigurationFixture.read(GatewayConfiguration.example)
        #expect(reading.findings.filter { !$0.sentence.contains("does not exist") }.map(\.description) == [])
    }

    @Test("is printed with all defaults, and read again says the same")
    func effective() throws {
        let first = try #require(ConfigurationFixture.read(GatewayConfiguration.example).configuration)
        let text = first.effectiveText
        let second = ConfigurationFixture.read(text)
        #expect(second.errors == [])
        #expect(second.configuration == first)
        #expect(second.configuration?.effectiveText == text)
        #expect(text.contains("halfClose: 2s") && text.contains("nonceLifetime: 30s"))
    }

    @Test("is printed with bullets where secrets stand")
    func secrets() throws {
        let text = ConfigurationFixture.minimal("admin: {listen: 127.0.0.1:0, token: CANARY}")
        let open = GatewayFile.read(
            "gateway.yaml",
            ConfigurationFixture.surroundings(text, isReadableByOthers: true)
        )
        #expect(
            open.findings.map(\.description) == [
                "gateway.yaml:9:37: warning: admin.token: stands in a file that others can read; write ${file:PATH} instead"
            ]
        )
        let printed = try #require(open.configuration).effectiveText
        #expect(printed.contains("token: \"•••\"") && !printed.contains("CANARY"))
        #expect(!"\(open)".contains("CANARY"))
    }

    @Test("may be changed in any way: nothing crashes, and no unknown key is taken")
    func mutations() throws {
        var state: UInt64 = 7
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        let letters = Array("abz019:-[]{}#&*!|>'\"%@,?\n\t \u{0}é".utf8)
        let example = Array(GatewayConfiguration.example.utf8)
        for _ in 0..<150 {
            var bytes = example
            for _ in 0...random(3) {
                let place = random(bytes.count)
                switch random(3) {
                case 0: bytes[place] = letters[random(letters.count)]
                case 1: bytes.insert(letters[random(letters.count)], at: place)
                default: bytes.removeSubrange(place..<min(bytes.count, place + 1 + random(8)))
                }
            }
            let reading = GatewayFile.read("gateway.yaml", ConfigurationFixture.surroundings(bytes: bytes))
            #expect(reading.configuration != nil || !reading.errors.isEmpty)
        }
    }
}
