import KHPProtocol
import KHPWebSocket
import NIOCore
import Testing

/// RFC 9525 section 6, over identifiers as bytes, also some that openssl writes into no certificate.
@Suite("Whom a certificate is for")
struct ServerIdentityTests {
    private static func names(_ names: String...) -> PresentedIdentifiers {
        PresentedIdentifiers(names: names.map { Array($0.utf8) })
    }

    @Test(
        "a name is matched with names, label by label",
        arguments: [
            ("a.example", "a.example", true), ("a.example", "A.EXAMPLE", true), ("a.example.", "a.example", true),
            ("a.example", "a.example.", true), ("a.example.", "a.example.", true), ("a.example", "a.example..", false),
            ("a.example", "b.example", false), ("a.example", "aa.example", false), ("a.example", "example", false),
            ("a.example", "*.example", true), ("a.example", "*.EXAMPLE", true), ("a.example", "*.example.", true),
            ("example", "*.example", false), ("b.a.example", "*.example", false), ("b.a.example", "*.a.example", true),
            ("a.example", "a*.example", false), ("a.example", "*a.example", false),
            ("ab.example", "a*b.example", false),
            ("a.example", "**.example", false), ("a.example", "a.*", false), ("b.a.example", "b.*.example", false),
            ("b.a.example", "*.*.example", false), ("localhost", "*", false), ("localhost", "*.", false),
            ("localhost", "", false), ("localhost", ".", false), ("localhost", "localhost", true),
            ("a.example", "a.example\0.evil.example", false), ("a.example", "a.example ", false),
            ("a.example", " a.example", false), ("xn--bcher-kva.example", "*.example", true),
            ("xn--bcher-kva.example", "xn--*.example", false), ("a_b.example", "a_b.example", true),
            ("k.example", "\u{212A}.example", false), (".example", "*.example", false), (".a.b", "*.a.b", false),
        ]
    )
    func names(_ host: String, _ name: String, isRight: Bool) {
        #expect(ServerIdentity(host: host).isAmong(Self.names(name)) == isRight)
        // The right one may stand anywhere.
        #expect(ServerIdentity(host: host).isAmong(Self.names("x.invalid", name, "*.invalid")) == isRight)
    }

    @Test(
        "an address is matched with addresses, byte by byte",
        arguments: [
            ("192.0.2.1", [192, 0, 2, 1], true), ("192.0.2.1", [192, 0, 2, 2], false),
            ("192.0.2.1", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1], false),
            ("::ffff:192.0.2.1", [192, 0, 2, 1], false),
            ("::ffff:192.0.2.1", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1], true),
            ("2001:db8::1", [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], true),
            ("2001:db8::1", [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], false),
            // A network with its mask, as in a name constraint, is not an address.
            ("192.0.2.1", [192, 0, 2, 1, 255, 255, 255, 255], false), ("192.0.2.1", [], false),
        ] as [(String, [UInt8], Bool)]
    )
    func addresses(_ host: String, _ address: [UInt8], isRight: Bool) {
        #expect(ServerIdentity(host: host).isAmong(PresentedIdentifiers(addresses: [address])) == isRight)
    }

    @Test("an address is no name, and a name no address")
    func kinds() {
        #expect(!ServerIdentity(host: "192.0.2.1").isAmong(Self.names("192.0.2.1", "*.0.2.1")))
        #expect(!ServerIdentity(host: "::1").isAmong(Self.names("::1", "[::1]")))
        let four = PresentedIdentifiers(addresses: [Array("a.ex".utf8), Array("localhost".utf8)])
        #expect(!ServerIdentity(host: "a.ex").isAmong(four))
        #expect(!ServerIdentity(host: "localhost").isAmong(four))
        #expect(!ServerIdentity(host: "a.example").isAmong(PresentedIdentifiers()))
    }

    @Test("SNI carries names alone, without the dot at their end (RFC 6066 section 3)")
    func serverName() {
        #expect(ServerIdentity(host: "a.example").serverName == "a.example")
        #expect(ServerIdentity(host: "a.example.").serverName == "a.example")
        #expect(ServerIdentity(host: "192.0.2.1").serverName == nil)
        #expect(ServerIdentity(host: "2001:db8::1").serverName == nil)
    }

    @Test("the names of a certificate are shown in a sentence, bounded and printable")
    func description() {
        #expect("\(PresentedIdentifiers())" == "no host")
        #expect("\(Self.names("a.example"))" == "a.example")
        let both = PresentedIdentifiers(
            names: [Array("a.example".utf8), Array("*.b.example".utf8)],
            addresses: [[192, 0, 2, 1]]
        )
        #expect("\(both)" == "a.example, *.b.example and 192.0.2.1")
        let address = PresentedIdentifiers(addresses: [
            [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [1, 2],
        ])
        #expect("\(address)" == "2001:db8::1 and 1:2")
        let many = PresentedIdentifiers(names: (0..<300).map { Array("n\($0)".utf8) }, addresses: [[1, 2, 3, 4]])
        #expect("\(many)" == "n0, n1, n2, n3, n4 and 296 more")
        let hostile = Self.names("a\u{1B}[31m\r\n\0\u{7F}é", String(repeating: "x", count: 5000))
        #expect("\(hostile)" == "a?[31m??????" + " and " + String(repeating: "x", count: 80) + "…")
    }

    // MARK: Addresses of a host

    private static func order(_ addresses: [String]) throws -> [String] {
        AddressOrder.interleaved(try addresses.map { try SocketAddress(ipAddress: $0, port: 80) })
            .compactMap(\.ipAddress)
    }

    @Test("families take turns, and each keeps the order of the system (RFC 8305 section 4)")
    func families() throws {
        #expect(try Self.order([]).isEmpty)
        #expect(try Self.order(["192.0.2.1"]) == ["192.0.2.1"])
        #expect(
            try Self.order(["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"])
                == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]
        )
        #expect(
            try Self.order(["192.0.2.1", "192.0.2.2", "2001:db8::1"]) == ["192.0.2.1", "2001:db8::1", "192.0.2.2"]
        )
        // An address that is named twice is tried once.
        #expect(try Self.order(["192.0.2.1", "192.0.2.1", "192.0.2.2"]) == ["192.0.2.1", "192.0.2.2"])
    }
}
