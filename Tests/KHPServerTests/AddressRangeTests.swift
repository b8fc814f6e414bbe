import KHPServer
import NIOCore
import Testing

@Suite("A range of addresses")
struct AddressRangeTests {
    @Test(
        "holds addresses or not",
        arguments: [
            ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true), ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false), ("192.0.2.4/30", "192.0.2.7", true),
            ("192.0.2.4/30", "192.0.2.8", false), ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false), ("::1", "::1", true), ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "2001:db8::1", false), ("::/0", "1.2.3.4", true),
        ]
    )
    func contains(_ range: String, _ address: String, _ expected: Bool) throws {
        let range = try #require(AddressRange(range))
        #expect(range.contains(try SocketAddress(ipAddress: address, port: 1)) == expected)
    }

    @Test("holds no peer of a Unix domain socket")
    func unix() throws {
        let range = try #require(AddressRange("::/0"))
        #expect(!range.contains(try SocketAddress(unixDomainSocketPath: "/s")))
        #expect(!range.contains(nil))
    }

    @Test(
        "is none",
        arguments: ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "host", "10.0.0.0/", "10.0.0.0/+8"]
    )
    func refuses(_ text: String) {
        #expect(AddressRange(text) == nil)
    }
}
