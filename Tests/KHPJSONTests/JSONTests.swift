// Values as messages: both ways, and each answer to a message that does not fit.

import KHPClient
import KHPJSON
import KHPServer
import KHPTesting
import NIOCore
import Testing

@Suite("JSON messages", .timeLimit(.minutes(1)))
struct JSONTests {
    struct Order: Codable, Equatable, Sendable {
        var id: Int
        var symbol: String
    }

    /// The server sends these, then closes; `body` has the client's socket, and the result is the server's close.
    @discardableResult
    private func serving(
        _ messages: [WebSocketMessage],
        _ body: @escaping @Sendable (WebSocket) async throws -> Void
    ) async throws -> CloseInfo {
        let (ends, end) = AsyncStream.makeStream(of: CloseInfo.self)
        let pipe = try EndpointPipe {
            Endpoint("/orders") { socket in
                for message in messages { try await socket.send(message) }
                var iterator = socket.messages.makeAsyncIterator()
                while let message = try? await iterator.next() { try? await socket.send(message) }
                if let close = try? await socket.closed() { end.yield(close) }
            }
        }
        try await pipe.client().withConnection(to: "ws://desk.example/orders") { try await body($0) }
        await pipe.shutDown()
        var iterator = ends.makeAsyncIterator()
        return try #require(await iterator.next())
    }

    private static let good = WebSocketMessage.text(#"{"id":1,"symbol":"KAZ"}"#)

    /// Messages that are no order, and the close code that each deserves.
    private static let misfits: [(message: WebSocketMessage, code: WebSocketCloseCode)] = [
        (.text(""), .invalidPayload),
        (.text(#"{"id":1"#), .invalidPayload),
        (.text(#"{"id":1}"#), .invalidPayload),
        (.text(#"{"id":"one","symbol":"KAZ"}"#), .invalidPayload),
        (.text(#"{"id":1,"symbol":"KAZ"}{"#), .invalidPayload),
        (.binary(ByteBuffer(string: #"{"id":1,"symbol":"KAZ"}"#)), .unsupportedData),
    ]

    @Test("a value arrives as it was sent, one text message each")
    func bothWays() async throws {
        try await self.serving([]) { socket in
            let order = Order(id: 7, symbol: "naïve \u{1F680}\n\"\u{0}")
            try await socket.send(json: order)
            #expect(try await socket.receive(json: Order.self) == order)
            try await socket.send(json: [1, 2])
            #expect(try await socket.receive() == .text("[1,2]"))
        }
    }

    @Test("a sequence of values ends with the socket")
    func sequence() async throws {
        try await self.serving([Self.good, .text(#"{"symbol":"X","id":2,"more":[]}"#)]) { socket in
            var ids: [Int] = []
            for try await order in socket.messages.decoded(as: Order.self) {
                ids.append(order.id)
                if ids.count == 2 { try await socket.close() }
            }
            #expect(ids == [1, 2])
        }
    }

    @Test("a message that does not fit closes the socket", arguments: misfits.indices)
    func closes(_ index: Int) async throws {
        let misfit = Self.misfits[index]
        let close = try await self.serving([Self.good, misfit.message, Self.good]) { socket in
            var ids: [Int] = []
            let error = await #expect(throws: WebSocketError.self) {
                for try await order in socket.messages.decoded(as: Order.self) { ids.append(order.id) }
            }
            #expect(ids == [1])
            #expect(error?.code == .closed)
            #expect(error?.closeCode == misfit.code)
            #expect(error?.message.contains("KAZ") == false)
        }
        #expect(close.code == misfit.code)
    }

    @Test("a message that does not fit is skipped where that was asked for", arguments: misfits.indices)
    func skips(_ index: Int) async throws {
        let close = try await self.serving([Self.misfits[index].message, Self.good]) { socket in
            for try await order in socket.messages.decoded(as: Order.self, undecodable: .skip) {
                #expect(order.id == 1)
                try await socket.close()
            }
        }
        #expect(close.code == .normalClosure)
    }

    @Test("a message that does not fit is thrown where that was asked for, and the next one still comes")
    func fails() async throws {
        for misfit in Self.misfits {
            try await self.serving([misfit.message, Self.good]) { socket in
                let orders = socket.messages.decoded(as: Order.self, undecodable: .fail)
                var iterator = orders.makeAsyncIterator()
                let fault = await #expect(throws: UndecodableMessage.self) { try await iterator.next() }
                #expect(fault?.message == misfit.message)
                #expect((fault?.cause == nil) == (misfit.code == .unsupportedData))
                #expect(fault.map { "\($0)".contains("KAZ") } == false)
                let next = try await iterator.next()
                #expect(next?.id == 1)
            }
        }
    }

    @Test("a value that cannot be written is not sent, and the socket goes on")
    func unencodable() async throws {
        try await self.serving([]) { socket in
            await #expect(throws: EncodingError.self) { try await socket.send(json: Double.infinity) }
            try await socket.send(json: 1.5)
            #expect(try await socket.receive(json: Double.self) == 1.5)
        }
    }

    @Test("an answer that does not fit is thrown, and the socket goes on")
    func answers() async throws {
        try await self.serving([.text("no"), Self.good]) { socket in
            await #expect(throws: UndecodableMessage.self) { try await socket.receive(json: Order.self) }
            let order = try await socket.receive(json: Order.self)
            #expect(order.id == 1)
        }
    }
}
