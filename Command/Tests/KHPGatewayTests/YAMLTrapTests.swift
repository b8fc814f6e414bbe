import KHPGateway
import Testing

@Suite("A gateway's file as YAML")
struct YAMLTrapTests {
    @Test("is read as text, so that words of YAML 1.1 are words")
    func words() throws {
        let reading = ConfigurationFixture.read(
            """
            version: 1
            listeners: {no: {listen: 127.0.0.1:0}, on: {listen: 127.0.0.1:0}}
            realms: {0777: {schemes: basic, users: u}}
            services: {yes: {path: /s, type: echo, idle: off, realm: 0777, listeners: [no, on]}}
            """,
            files: ["u": "joe:$2b$04$abcdefghijklmnopqrstuuN7NK0iG5tVxz5sAfvkxl7bLWtL0kKQK"]
        )
        #expect(reading.errors.isEmpty, "\(reading.findings)")
        let configuration = try #require(reading.configuration)
        #expect(configuration.listeners.map(\.name) == ["no", "on"])
        #expect(configuration.services.map(\.name) == ["yes"])
        #expect(configuration.services.first?.rules.lifetime.idle == nil)
    }

    @Test("has flags that are true or false, or on or off", arguments: [("on", "off"), ("true", "false")])
    func flags(_ yes: String, _ no: String) throws {
        let text = ConfigurationFixture.minimal(
            "log: {sessions: \(no)}",
            service: "    compress: \(yes)\n    kaazingLegacy: \(no)\n    critical: \(yes)\n"
        )
        let reading = ConfigurationFixture.read(text)
        let configuration = try #require(reading.configuration, "\(reading.findings)")
        let service = try #require(configuration.services.first)
        #expect(!configuration.log.sessions && service.isCritical)
        #expect(service.rules.handshake.compresses && !service.rules.handshake.speaksKaazingLegacy)
    }

    @Test(
        "is refused in words",
        arguments: [
            ("", "1:1: the file is empty; `khp gateway --example` writes one to begin with"),
            ("# nothing\n", "1:1: the file is empty; `khp gateway --example` writes one to begin with"),
            ("version: 1\nversion: 1\n", "1:1: \"version\" stands twice in one group; take one of them out"),
            ("version: !!int 1\n", "1:10: a tag such as !!str is not read here; write the value alone"),
            ("version: !mine 1\n", "1:10: a tag such as !!str is not read here; write the value alone"),
            ("log: !!map {a: b}\n", "1:6: a tag such as !!map is not read here; write the value alone"),
            ("version: 1\n---\nversion: 1\n", "2:1: a second document begins; the file holds one"),
            ("log:\n\tlevel: info\n", "2:1: a tab cannot indent YAML; use spaces"),
            ("? [a, b]\n: c\n", "1:3: a key is a word, not a list or a group"),
            ("a: *b\n", "1:4: the file is no YAML: found undefined alias"),
            ("a: 'b\n", "2:1: the file is no YAML: found unexpected end of stream"),
            ("a: \u{1}\n", "1:4: the file is no YAML: control characters are not allowed"),
        ]
    )
    func refused(_ text: String, _ finding: String) {
        #expect(ConfigurationFixture.findings(text) == ["gateway.yaml:" + finding])
    }

    @Test("is refused when it is large, deep, not UTF-8, or blown up by aliases")
    func hostile() {
        let large = ConfigurationFixture.findings("# " + String(repeating: "x", count: 1_048_576))
        #expect(large == ["gateway.yaml:1:1: the file is larger than 1 MiB"])
        let deep = ConfigurationFixture.findings(String(repeating: "[", count: 1_000_000))
        #expect(deep.count == 1 && deep[0].contains("no YAML"), "\(deep)")
        let other = ConfigurationFixture.surroundings(bytes: [0x76, 0xFF, 0xFE])
        #expect(
            GatewayFile.read("gateway.yaml", other).findings.map(\.description)
                == ["gateway.yaml:1:1: the file is not UTF-8"]
        )
        var bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        for level in 1...9 {
            let uses = Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ", ")
            bomb += "a\(level): &a\(level) [\(uses)]\n"
        }
        let blown = ConfigurationFixture.findings(bomb)
        #expect(blown.count == 1 && blown[0].contains("stand for more than 1000 values"), "\(blown)")
        let words = Array(repeating: "x", count: 200).joined(separator: ", ")
        for (uses, isRefused) in [(4, false), (5, true)] {
            let text = "a: &a [\(words)]\n" + (0..<uses).map { "b\($0): *a\n" }.joined() + "c:\nd: [{}, '', [[], []]]\n"
            let findings = ConfigurationFixture.findings(text)
            #expect(findings.contains { $0.contains("stand for more than 1000 values") } == isRefused, "\(findings)")
        }
        let many = "a: [" + Array(repeating: "x", count: 50_000).joined(separator: ",") + "]\n"
        #expect(ConfigurationFixture.findings(many).contains { $0.contains("holds more than 50000 values") })
    }

    @Test("may begin with a byte order mark, end its lines with CR LF, and use anchors")
    func tolerated() {
        let text = ConfigurationFixture.minimal()
        #expect(ConfigurationFixture.findings("\u{FEFF}" + text) == [])
        #expect(ConfigurationFixture.findings(text.split(separator: "\n").joined(separator: "\r\n")) == [])
        let anchored = ConfigurationFixture.minimal(
            "  t: {path: /t, type: echo, limits: &l {sessions: 5}}\n  u: {path: /u, type: echo, limits: *l}"
        )
        let reading = ConfigurationFixture.read(anchored)
        #expect(reading.configuration?.service("u")?.rules.limits.sessions == 5, "\(reading.findings)")
    }

    @Test("takes values from variables and files, and shows neither when they are wrong")
    func substitution() throws {
        let text = """
            version: ${VERSION:-1}
            instance: ${NAME}-${file:secret/name}-$${x}
            listeners: {a: {listen: "127.0.0.1:${PORT:-0}"}}
            services: {s: {path: /s, type: echo}}
            """
        let reading = ConfigurationFixture.read(
            text,
            files: ["secret/name": "first\nsecond"],
            environment: ["NAME": "gw", "VERSION": ""]
        )
        #expect(reading.configuration?.instance == "gw-first-${x}", "\(reading.findings)")
        let wrong = ConfigurationFixture.findings(
            """
            version: 1
            instance: ${NAME}
            listeners: {a: {listen: "${file:canary}"}, b: {listen: "${PORT}:"}, c: {listen: "${9}"}, d: {listen: "${A"}}
            services: {s: {path: /s, type: echo, idle: "${file:no}"}}
            """,
            files: ["canary": "CANARY"],
            environment: ["PORT": "CANARY"]
        )
        #expect(
            wrong == [
                "gateway.yaml:2:11: instance: the variable NAME is not set; ${NAME:-default} does without it",
                "gateway.yaml:3:25: listeners.a.listen: \"${file:canary}\" has no port; "
                    + "write HOST:PORT, [V6]:PORT or unix:PATH",
                "gateway.yaml:3:56: listeners.b.listen: \"${PORT}:\" is no address; "
                    + "write HOST:PORT, [V6]:PORT or unix:PATH",
                "gateway.yaml:3:81: listeners.c.listen: `${9}` names no variable; "
                    + "write ${NAME}, ${NAME:-default} or ${file:PATH}",
                "gateway.yaml:3:102: listeners.d.listen: `${` has no `}`; write `$${` for the characters themselves",
                "gateway.yaml:4:44: services.s.idle: the file \"no\" does not exist",
            ]
        )
    }
}
