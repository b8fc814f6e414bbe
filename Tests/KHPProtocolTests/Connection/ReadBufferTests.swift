// The memory that a channel reads into: a handshake that lasts lets go of it, so that the channel reads into it again.

import KHPProtocol
import NIOCore
import Testing

@Suite("The buffer that an opening request came in")
struct ReadBufferTests {
    @Test(
        "belongs to the channel alone while the extended request is awaited",
        arguments: ["x-kaazing-handshake", "amqp, x-kaazing-handshake"]
    )
    func isFree(subprotocols: String) throws {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var connection = Connection(server: ConnectionConfiguration(), isSecure: false, now: now)
        connection.transportUp(now: now)
        connection.start(now: now)
        let text = Sample.openingLines(replacing: ["Sec-WebSocket-Protocol": subprotocols])
        var arrived = ByteBuffer(string: text)
        connection.receive(arrived, now: now)
        guard case .server(.decideOpening(let request)) = connection.next(now: now) else {
            Issue.record("no opening request")
            return
        }
        #expect(request.offersExtendedHandshake)
        #expect(connection.next(now: now) == nil)
        #expect(arrived.modifyIfUniquelyOwned { _ in true } == true)
        #expect(request.head.fields.first(.subprotocol) == subprotocols)
    }
}
