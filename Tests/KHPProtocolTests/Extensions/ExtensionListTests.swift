// RFC 6455 section 9.1: the grammar of Sec-WebSocket-Extensions.

import KHPProtocol
import TestSupport
import Testing

@Suite struct ExtensionListTests {
    @Test(
        arguments: [
            ([], []),
            ([""], []),
            ([" , ,\t"], []),
            (["foo"], ["foo"]),
            (["foo, bar; baz=2"], ["foo", "bar; baz=2"]),
            (["foo", "bar; baz=2"], ["foo", "bar; baz=2"]),
            (["foo;bar;baz=\"2\" , qux"], ["foo; bar; baz=2", "qux"]),
            (["deflate-stream ; a = b"], ["deflate-stream; a=b"]),
            (["x-kaazing-ping-pong; 01010102"], ["x-kaazing-ping-pong; 01010102"]),
            (["x-kaazing-idle-timeout; timeout=123000"], ["x-kaazing-idle-timeout; timeout=123000"]),
            (
                ["permessage-deflate; client_max_window_bits, permessage-deflate"],
                ["permessage-deflate; client_max_window_bits", "permessage-deflate"]
            ),
            (["a; b=\"c\\d\""], ["a; b=cd"]),
            (["__proto__; constructor=1"], ["__proto__; constructor=1"]),
        ] as [([String], [String])]
    )
    func reads(values: [String], offers: [String]) throws {
        #expect(try parseExtensions(values).map(\.description) == offers)
    }

    @Test(arguments: [
        ";", "foo;", "foo; ", "foo; =", "foo; a=", "foo; a=;", "foo; a=\"", "foo; a=\"b", "foo; a=\"\"", "foo bar",
        "foo; a=\"b;c\"", "foo; a=\"b c\"", "foo; a=\"b\"c", "foo; a=b c", "\"foo\"", "foo=1", "f\u{F6}o", "foo; a b",
        "foo/1", "a; b=\"c\\",
    ])
    func refuses(value: String) {
        #expect(throws: GrammarError.self) { try parseExtensions([value]) }
        #expect(throws: GrammarError.self) { try parseExtensions(["ok", "ok, \(value)"]) }
    }

    @Test func writesWhatItReads() throws {
        var parameters = ExtensionParameters()
        parameters.append("level", "1")
        parameters.append("flag")
        #expect(parameters == ["level": "1", "flag": nil])
        #expect(ExtensionParameters([.init("level", "1"), .init("flag")]) == parameters)
        let offer = ExtensionOffer(name: "x-example", parameters: parameters)
        #expect(offer.description == "x-example; level=1; flag")
        #expect(try parseExtensions([offer.description]) == [offer])
        #expect(parameters["level"] == "1")
        #expect(parameters["flag"] == nil)
        #expect(parameters.contains("flag") && !parameters.contains("none"))
        #expect(!parameters.isEmpty && ExtensionParameters().isEmpty)
    }

    /// Threat A11: as long as a head may be, and done in a moment.
    @Test(arguments: [",", ";", "\"", "a;", "a;b=\"", "a; b=\"\\", " ", "a,"])
    func isLinear(unit: String) {
        let value = String(repeating: unit, count: 65536 / unit.utf8.count)
        let clock = ContinuousClock()
        let duration = clock.measure { _ = try? parseExtensions([value]) }
        #expect(duration < .seconds(1) * Sanitizer.patience)
    }
}
