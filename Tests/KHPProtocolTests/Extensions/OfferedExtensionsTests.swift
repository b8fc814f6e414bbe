// KHP-E5, KHP-E10, KHP-E11, KHP-E14, threat A10: the offers of each handshake, and the acceptable answers.

import KHPProtocol
import Testing

@Suite struct ExtensionNegotiationTests {
    /// Wants a level and takes no other than it asked for; as a server, declines levels above its own.
    private struct Levelled: WebSocketExtension {
        let name = "x-level"
        let level: Int

        func offer() -> ExtensionParameters { .init([.init("level", String(self.level))]) }

        func accept(_ offer: ExtensionParameters) -> ExtensionParameters? {
            guard let asked = offer["level"].flatMap(Int.init), asked <= self.level else { return nil }
            return .init([.init("level", String(asked))])
        }

        func judge(_ answer: ExtensionParameters) -> Bool { answer["level"] == String(self.level) }
    }

    private static func client() throws -> OfferedExtensions {
        try OfferedExtensions([Levelled(level: 2), NamedExtension("x-example"), NamedExtension("x-other")])
    }

    @Test func asksAgainForWhatWasNotNegotiated() throws {
        var negotiation = try Self.client()
        #expect(negotiation.offers(in: .opening).map(\.description) == ["x-level; level=2", "x-example", "x-other"])
        try negotiation.take(try parseExtensions(["x-example"]), layer: .opening)
        #expect(negotiation.offers(in: .extended).map(\.name) == ["x-level", "x-other"])
        try negotiation.take(try parseExtensions(["x-other, x-level; level=2"]), layer: .extended)
        #expect(negotiation.offers(in: .extended).isEmpty)
        #expect(
            negotiation.negotiated.map { "\($0)/\($0.layer.rawValue)" } == [
                "x-example/opening", "x-other/extended", "x-level; level=2/extended",
            ]
        )
    }

    @Test(arguments: [
        "x-unasked", "x-example, x-unasked", "x-example, x-example", "x-opened", "x-level", "x-level; level=3",
        "x-level; level=2; level=2", "X-EXAMPLE",
    ])
    func refusesAnswers(answer: String) throws {
        var negotiation = try OfferedExtensions(
            [Levelled(level: 2), NamedExtension("x-example"), NamedExtension("x-opened")]
        )
        try negotiation.take(try parseExtensions(["x-opened"]), layer: .opening)
        let answers = try parseExtensions([answer])
        #expect(throws: OfferedExtensions.Mismatch.self) { try negotiation.take(answers, layer: .extended) }
    }

    @Test func refusesToAskForNonsense() {
        #expect(throws: WebSocketError.self) { try OfferedExtensions([NamedExtension("x y")]) }
        #expect(throws: WebSocketError.self) { try OfferedExtensions([NamedExtension("")]) }
        #expect(throws: WebSocketError.self) {
            try OfferedExtensions([NamedExtension("x", parameters: .init([.init("a", "b;c")]))])
        }
        #expect(throws: WebSocketError.self) {
            try OfferedExtensions([NamedExtension("x", parameters: .init([.init("a\r\nB: c")]))])
        }
        #expect(throws: WebSocketError.self) { try OfferedExtensions([NamedExtension("x"), NamedExtension("x")]) }
    }

    private struct OpeningAlone: WebSocketExtension {
        let name = "x-opening"
        let layers: Set<HandshakeLayer> = [.opening]
    }

    @Test(
        "a server accepts an extension in its own handshakes alone (threat C5)",
        arguments: [HandshakeLayer.opening, .extended]
    )
    func layers(_ layer: HandshakeLayer) throws {
        let chosen = try OfferedExtensions.choose(
            from: try parseExtensions(["x-opening, x-example"]),
            supported: [OpeningAlone(), NamedExtension("x-example")],
            layer: layer
        )
        #expect(chosen.map(\.name) == (layer == .opening ? ["x-opening", "x-example"] : ["x-example"]))
    }

    @Test(
        arguments: [
            ("", []), ("x-unknown", []), ("x-example", ["x-example"]),
            ("x-other, x-unknown, x-example", ["x-other", "x-example"]),
            // Alternatives of one name: the first acceptable one.
            ("x-level; level=9, x-level; level=1, x-level; level=2", ["x-level; level=1"]),
            ("x-level; level=1; level=1", []), ("x-level", []),
        ] as [(String, [String])]
    )
    func serverChooses(offer: String, answer: [String]) throws {
        let chosen = try OfferedExtensions.choose(
            from: try parseExtensions([offer]),
            supported: [NamedExtension("x-example"), NamedExtension("x-other"), Levelled(level: 2)],
            layer: .extended
        )
        #expect(chosen.map(\.description) == answer)
        #expect(chosen.allSatisfy { $0.layer == .extended })
    }
}
