import NIOCore
import Testing

@testable import KHPServer

@Suite struct PendingAddressesTests {
    private static func key(_ number: Int) throws -> AddressKey {
        try #require(AddressKey(try SocketAddress(ipAddress: "192.0.2.\(number)", port: 1)))
    }

    /// The outcome is that of counting all the time, whatever the order of those that come and leave.
    @Test(arguments: [1, 2, 3, 8], [1, 3, 7])
    func decidesAsIfItAlwaysCounted(most: Int, addresses: Int) throws {
        let keys = try (1...addresses).map { try Self.key($0) }
        var generator = SystemRandomNumberGenerator()
        var counted = PendingAddresses(most: most)
        var pending: [AddressKey] = []
        for step in 0..<2000 {
            // Waves, so that counting begins and ends many times.
            let grows = (step / 100) % 2 == 0
            if pending.isEmpty || Int.random(in: 0..<4, using: &generator) < (grows ? 3 : 1) {
                let key = try #require(keys.randomElement(using: &generator))
                let expected = pending.count(where: { $0 == key }) < most
                #expect(counted.admit(key, pending: pending.count) { pending } == expected)
                if expected { pending.append(key) }
            } else {
                let key = pending.remove(at: Int.random(in: 0..<pending.count, using: &generator))
                counted.leave(key, pending: pending.count)
            }
        }
    }

    @Test func looksAtNoAddressWhileThereAreFew() throws {
        var counted = PendingAddresses(most: 3)
        var looks = 0
        for pending in 0..<3 {
            #expect(
                counted.admit(try Self.key(1), pending: pending) {
                    looks += 1
                    return []
                }
            )
        }
        #expect(looks == 0)
        let three = try [Self.key(1), Self.key(1), Self.key(1)]
        #expect(!counted.admit(try Self.key(1), pending: 3) { three })
        #expect(counted.admit(try Self.key(2), pending: 3) { [] })
    }
}
