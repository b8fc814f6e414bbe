import NIOCore
import Testing

@testable import KHPServer

@Suite("What pending handshakes are counted by")
struct AddressKeyTests {
    private func key(_ address: String, port: Int = 1) throws -> AddressKey? {
        AddressKey(try SocketAddress(ipAddress: address, port: port))
    }

    @Test("one host is one key, whichever port and whichever family it is seen in")
    func same() throws {
        #expect(try self.key("127.0.0.1") == self.key("127.0.0.1", port: 9))
        #expect(try self.key("::ffff:127.0.0.1") == self.key("127.0.0.1"))
        #expect(try self.key("2001:db8::1") == self.key("2001:db8::2"))
    }

    @Test("two hosts are two keys, mapped IPv4 addresses among them")
    func different() throws {
        #expect(try self.key("127.0.0.1") != self.key("127.0.0.2"))
        #expect(try self.key("::ffff:127.0.0.1") != self.key("::ffff:127.0.0.2"))
        #expect(try self.key("::1") != self.key("::ffff:0.0.0.1"))
        #expect(try self.key("2001:db8::1") != self.key("2001:db8:0:1::1"))
    }
}
