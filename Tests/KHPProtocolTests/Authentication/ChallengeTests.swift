import KHPProtocol
import TestSupport
import Testing

@Suite struct ChallengeTests {
    private static func challenge(
        _ scheme: String,
        application: Bool = false,
        token68: String? = nil,
        _ parameters: KeyValuePairs<String, String> = [:]
    ) -> Challenge {
        Challenge(
            scheme: scheme,
            isApplication: application,
            token68: token68,
            parameters: parameters.map { Challenge.Parameter(name: $0.key, value: $0.value) }
        )
    }

    @Test(
        "RFC 9110 section 11.6.1",
        arguments: [
            ([], []),
            (["", " , "], []),
            (["Basic"], [challenge("Basic")]),
            (["Basic realm=\"desk\""], [challenge("Basic", ["realm": "desk"])]),
            (["basic REALM = desk"], [challenge("basic", ["realm": "desk"])]),
            (
                ["Basic realm=\"a, b=\\\"c\\\"\", charset=\"UTF-8\""],
                [challenge("Basic", ["realm": "a, b=\"c\"", "charset": "UTF-8"])]
            ),
            (
                ["Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\", Basic realm=\"simple\""],
                [
                    challenge("Newauth", ["realm": "apps", "type": "1", "title": "Login to \"apps\""]),
                    challenge("Basic", ["realm": "simple"]),
                ]
            ),
            (
                ["Negotiate, Basic realm=x", "Bearer"],
                [challenge("Negotiate"), challenge("Basic", ["realm": "x"]), challenge("Bearer")]
            ),
            (
                ["Negotiate YII+/x==, Basic realm=x"],
                [challenge("Negotiate", token68: "YII+/x=="), challenge("Basic", ["realm": "x"])]
            ),
            (["Negotiate abc"], [challenge("Negotiate", token68: "abc")]),
            ([",, Basic ,realm=x"], nil),
            (["Basic realm=\"\" ,, Other a=b ,"], [challenge("Basic", ["realm": ""]), challenge("Other", ["a": "b"])]),
            (["Application Basic realm=\"Kaazing\""], [challenge("Basic", application: true, ["realm": "Kaazing"])]),
            (["application  Token"], [challenge("Token", application: true)]),
            (["Application Negotiate abc=="], [challenge("Negotiate", application: true, token68: "abc==")]),
            (["Application realm=\"x\""], [challenge("Application", ["realm": "x"])]),
            (["Application, Basic realm=x"], [challenge("Application"), challenge("Basic", ["realm": "x"])]),
            (["Basic realm=\"a"], nil),
            (["Basic realm=\"a\" x"], nil), (["Basic realm=\"a\" charset=\"b\""], nil), (["Basic a=b c=d, e=f"], nil),
            (["Basic realm=a, realm=b"], nil),
            (["Basic realm=a, REALM=b"], nil),
            (["=x"], nil),
            (["\"Basic\" realm=x"], nil),
            (["Basic realm="], [challenge("Basic", token68: "realm=")]),
            (["Basic realm=, a=b"], nil),
            (["Basic; realm=x"], nil),
            (["Basic =x"], nil),
        ] as [([String], [Challenge]?)]
    )
    func parses(values: [String], expected: [Challenge]?) throws {
        if let expected {
            #expect(try parseChallenges(fieldValues: values) == expected)
        } else {
            #expect(throws: GrammarError.self) { try parseChallenges(fieldValues: values) }
        }
    }

    @Test func lookUps() throws {
        let challenge = try #require(try parseChallenges(fieldValues: ["BASIC Realm=\"x\", Charset=UTF-8"]).first)
        #expect(challenge.realm == "x")
        #expect(challenge["charset"] == "UTF-8")
        #expect(challenge["nonce"] == nil)
        #expect(challenge.isScheme("Basic"))
    }

    @Test(
        "Threats A15, G10: what a server sends reads back, whatever the realm",
        arguments: [
            "desk", "a \"quoted\" \\ realm", "a, b; c=d", "", "\u{20ac}",
        ]
    )
    func writesWhatReadsBack(realm: String) throws {
        let challenge = Self.challenge("Basic", application: true, ["realm": realm, "charset": "UTF-8"])
        #expect(try parseChallenges(fieldValues: [challenge.fieldValue]) == [challenge])
    }

    @Test func writing() {
        #expect(
            Self.challenge("Basic", ["realm": "desk", "charset": "UTF-8"]).fieldValue
                == "Basic realm=\"desk\", charset=UTF-8"
        )
        #expect(Self.challenge("Negotiate", token68: "abc=").fieldValue == "Negotiate abc=")
        // A carriage return and the line feed behind it are one character, and no carriage return to `contains`.
        let realm = "a\r\nSet-Cookie: x\u{0}\u{7F}\ty"
        #expect(Self.challenge("Basic", ["realm": realm]).fieldValue == "Basic realm=\"aSet-Cookie: x\ty\"")
    }

    @Test("Threat G3: a thousand parameters or challenges are refused, quickly")
    func floods() {
        let start = ContinuousClock.now
        for value in [
            "Basic " + (0..<1000).map { "p\($0)=v" }.joined(separator: ", "),
            (0..<1000).map { "Scheme\($0)" }.joined(separator: ", "),
        ] {
            #expect(throws: GrammarError.self) { try parseChallenges(fieldValues: [value]) }
        }
        #expect(start.duration(to: .now) < .seconds(2) * Sanitizer.patience)
    }

    @Test func fuzz() {
        var generator = SeededGenerator(seed: 11)
        let seeds = [
            "Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\", Basic realm=\"simple\"",
            "Application Negotiate YII+/x==, Application Basic realm=x",
        ].map { Array($0.utf8) }
        var accepted = 0
        for round in 0..<4000 {
            let text = String(decoding: generator.mutated(seeds[round % 2]), as: UTF8.self)
            guard let challenges = try? parseChallenges(fieldValues: [text]) else { continue }
            accepted += 1
            // Writing a challenge and reading it again changes nothing.
            #expect((try? parseChallenges(fieldValues: challenges.map(\.fieldValue))) == challenges, "\(text)")
        }
        #expect(accepted > 500)
    }
}
