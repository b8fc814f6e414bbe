import CommandTestSupport
import Foundation
import KHPGateway
import Testing

@Suite("The example of a gateway's file")
struct ExampleTests {
    /// The example with every file that it names.
    private static func read(_ text: String = GatewayConfiguration.example) throws -> ConfigurationReading {
        let authority = try CertificateAuthority(to: 86_400 * 100)
        let leaf = try authority.issue("DNS:gw.example.com", to: 86_400 * 100)
        let ca = String(decoding: try authority.pem(), as: UTF8.self)
        let pem = String(decoding: leaf.pem, as: UTF8.self)
        let key = String(decoding: leaf.keyPEM, as: UTF8.self)
        let keys = TokenVerifierTests.folder.appendingPathComponent("public.json")
        var surroundings = ConfigurationFixture.surroundings(
            text,
            files: [
                "tls/fullchain.pem": pem, "tls/key.pem": key, "tls/clients-ca.pem": ca, "tls/internal-ca.pem": ca,
                "tls/gateway.pem": pem, "tls/gateway.key": key,
                "jwks.json": try String(contentsOf: keys, encoding: .utf8),
                "staff.users": """
                joe:$2b$04$abcdefghijklmnopqrstuuN7NK0iG5tVxz5sAfvkxl7bLWtL0kKQK
                joe:staff:5f4dcc3b5aa765d61d8327deb882cf99
                """,
                "staff.groups": "ops: joe", "device.groups": "service: d7",
                "nonce.keys": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            ]
        )
        let today = ConfigurationSurroundings.system(environment: [:]).now()
        surroundings.now = { today }
        return GatewayFile.read("gateway.yaml", surroundings)
    }

    @Test("has nothing against it once its files are there")
    func whole() throws {
        let reading = try Self.read()
        #expect(reading.findings.map(\.description) == [])
        #expect(reading.configuration?.summary == "2 listeners, 6 services, 5 pools, 3 realms")
    }

    @Test("has no pool of which some backends choose a subprotocol and others do not, and --check tells of one")
    func subprotocols() throws {
        #expect(try Self.read().configuration?.notes == [])
        let note = "services.t agrees on subprotocols with its ws backends alone; subprotocols does with all"
        for (backends, notes) in [("'ws://h:1'", []), ("['ws://h:1', 'tcp://h:1']", [note])] {
            let text = ConfigurationFixture.minimal(
                "",
                service: "  t: {path: /t, pool: p}\npools: {p: {backends: \(backends)}}\n"
            )
            #expect(ConfigurationFixture.read(text).configuration?.notes == notes)
        }
    }

    @Test("--check tells of a balancer that asks without a token")
    func balancers() {
        for (token, notes) in [
            ("", ["services.t.balance.check has no token: admin asks other hosts for one, admin.probes none"]),
            (", token: t", []),
        ] {
            let text = ConfigurationFixture.minimal(
                "",
                service: "  t: {path: /t, balance: {members: [wss://b/x], by: least-sessions, "
                    + "check: {url: 'https://{host}:1/load'\(token)}}}\n"
            )
            #expect(ConfigurationFixture.read(text).configuration?.notes == notes)
        }
    }

    @Test("is read without errors, apart from the files that it names")
    func example() throws {
        let reading = ConfigurationFixture.read(GatewayConfiguration.example)
        #expect(reading.findings.filter { !$0.sentence.contains("does not exist") }.map(\.description) == [])
    }

    @Test("is printed with all defaults, and read again says the same")
    func effective() throws {
        let first = try #require(try Self.read().configuration)
        let text = first.effectiveText
        let second = try Self.read(text)
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
        let rounds = ProcessInfo.processInfo.environment["KHP_FUZZ_ROUNDS"].flatMap { Int($0) } ?? 150
        if let seed = ProcessInfo.processInfo.environment["KHP_FUZZ_SEED"].flatMap({ UInt64($0) }) { state = seed }
        for _ in 0..<rounds {
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
