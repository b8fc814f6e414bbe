// A question to an admin address: names with several addresses.

import CommandTestSupport
import NIOCore
import Testing

@testable import KHPGateway

@Suite("The client of an admin address", .timeLimit(.minutes(1)))
struct AdminClientTests {
    @Test("a name is asked at the address that answers, also where nobody listens at its first one")
    func addresses() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound { break }
                try await outbound.write(ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
            }
        } body: { port in
            for addresses in [["127.0.0.2", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"]] {
                var client = AdminClient(.host("gateway.test", port: port), limit: .seconds(5))
                client.names = HostNames { _, port in
                    try addresses.map { try SocketAddress(ipAddress: $0, port: port) }
                }
                let answer = try await client.ask("GET", "/readyz")
                #expect(answer.status == 200 && answer.body == "{}", "\(addresses)")
            }
        }
    }
}
