// RFC 7692 section 7.1 in both roles, every value and every mistake (R-X, threat C2).

import KHPProtocol
import Testing

@Suite("permessage-deflate: parameters")
struct DeflateParameterTests {
    private static func parameters(_ text: String) throws -> ExtensionParameters {
        let element = text.isEmpty ? "permessage-deflate" : "permessage-deflate; \(text)"
        return try #require(try parseExtensions([element]).first).parameters
    }

    @Test(
        "a server answers offers (7.1.1, 7.1.2)",
        arguments: [
            ("", ""),
            ("client_max_window_bits", ""),
            ("server_no_context_takeover", "server_no_context_takeover"),
            ("client_no_context_takeover", "client_no_context_takeover"),
            ("server_max_window_bits=15", "server_max_window_bits=12"),
            ("server_max_window_bits=10", "server_max_window_bits=10"),
            ("server_max_window_bits=8", "server_max_window_bits=8"),
            ("client_max_window_bits=15", "client_max_window_bits=15"),
            ("client_max_window_bits=8", "client_max_window_bits=8"),
            (
                "client_max_window_bits; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
                "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"
            ),
            // A quoted value counts as if it were not quoted (RFC 6455 section 9.1).
            ("server_max_window_bits=\"10\"", "server_max_window_bits=10"),
            ("server_max_window_bits=\"1\\0\"", "server_max_window_bits=10"),
        ]
    )
    func serverAnswers(offer: String, answer: String) throws {
        #expect(PerMessageDeflate().accept(try Self.parameters(offer))?.description == answer)
    }

    /// Mistakes in offers and answers alike.
    private static let mistakes = [
        "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=abc",
        "server_max_window_bits=08", "server_max_window_bits=+9", "server_max_window_bits=-8",
        "server_max_window_bits=1000000000000000000000", "server_max_window_bits=0", "server_max_window_bits=10.0",
        "client_max_window_bits=7", "client_max_window_bits=16", "client_max_window_bits=abc",
        "client_max_window_bits=010", "server_no_context_takeover=1", "server_no_context_takeover=true",
        "client_no_context_takeover=15", "unknown", "unknown=1", "__proto__", "SERVER_NO_CONTEXT_TAKEOVER",
        "server_no_context_takeover; server_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits=10",
    ]

    @Test("a server declines what it does not know", arguments: mistakes)
    func serverDeclines(offer: String) throws {
        #expect(PerMessageDeflate().accept(try Self.parameters(offer)) == nil)
        let chosen = try OfferedExtensions.choose(
            from: parseExtensions(["permessage-deflate; \(offer), permessage-deflate"]),
            supported: [PerMessageDeflate()],
            layer: .opening
        )
        #expect(chosen.map(\.description) == ["permessage-deflate"], "the alternative counts")
    }

    @Test("a client fails on answers that it cannot work with", arguments: mistakes + ["client_max_window_bits"])
    func clientRefuses(answer: String) throws {
        #expect(!PerMessageDeflate().judge(try Self.parameters(answer)))
        let peer = try WirePeer.client([PerMessageDeflate()], answer: "permessage-deflate; \(answer)")
        #expect(peer.failure?.code == .openingInvalid)
        #expect(peer.negotiated == nil)
    }

    @Test(
        "a client takes answers to its offer",
        arguments: [
            "", "server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits=8",
            "server_max_window_bits=15", "client_max_window_bits=8", "client_max_window_bits=15",
            "client_max_window_bits=9; server_max_window_bits=\"9\"; server_no_context_takeover",
        ]
    )
    func clientTakes(answer: String) throws {
        #expect(PerMessageDeflate().judge(try Self.parameters(answer)))
    }

    @Test("a client insists on what it asked for, and on being asked for nothing else (unoffered)")
    func clientInsists() throws {
        var deflate = PerMessageDeflate()
        deflate.peerContextTakeover = false
        deflate.peerWindowBits = 10
        deflate.allowsWindowLimit = false
        #expect(deflate.offer().description == "server_no_context_takeover; server_max_window_bits=10")
        for (answer, isGood) in [
            ("server_no_context_takeover; server_max_window_bits=10", true),
            ("server_no_context_takeover; server_max_window_bits=8", true),
            ("server_no_context_takeover; server_max_window_bits=11", false),
            ("server_no_context_takeover", false), ("server_max_window_bits=10", false), ("", false),
            ("server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=10", false),
            ("server_no_context_takeover; server_max_window_bits=10; client_no_context_takeover", true),
        ] {
            #expect(deflate.judge(try Self.parameters(answer)) == isGood, "\(answer)")
        }
    }

    @Test("what a client offers, and a server that wants less")
    func configured() throws {
        #expect(PerMessageDeflate().offer().description == "client_max_window_bits=12")
        var client = PerMessageDeflate()
        client.windowBits = 15
        #expect(client.offer().description == "client_max_window_bits")
        client.contextTakeover = false
        #expect(client.offer().description == "client_no_context_takeover; client_max_window_bits")
        var server = PerMessageDeflate()
        server.peerWindowBits = 9
        server.peerContextTakeover = false
        server.contextTakeover = false
        #expect(
            server.accept(client.offer())?.description
                == "server_no_context_takeover; client_no_context_takeover; client_max_window_bits=9"
        )
        // A client that does not mention a window cannot be told to make it smaller (7.1.2.2).
        #expect(
            server.accept(ExtensionParameters())?.description
                == "server_no_context_takeover; client_no_context_takeover"
        )
    }

    @Test("malformed fields: refused by a server, failed on by a client (RFC 6455 section 9.1)")
    func malformed() throws {
        for field in [
            "permessage-deflate; ", "permessage-deflate; =10", "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=\"1 0\"", "permessage-deflate; server_max_window_bits=\"10",
            "; permessage-deflate", "permessage deflate",
        ] {
            #expect(throws: GrammarError.self, "\(field)") { try parseExtensions([field]) }
            let client = try WirePeer.client([PerMessageDeflate()], answer: field)
            #expect(client.failure?.code == .openingInvalid, "\(field)")
        }
    }
}
